//! A stream whose first event is an error: the client gets the status that the event means, also from a lone provider.

use bytes::Bytes;
use relay_tests::fakes::{anthropic, bedrock};
use relay_tests::{Answer, Call, Client, Ending, Relay, Response, Upstream, in_turn, provider, sse};
use serde_json::{Value, json};

const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

async fn send(provider: Value) -> Response {
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    Call::messages(STREAMED).send(relay.address()).await
}

#[track_caller]
fn assert_error(response: &Response, status: u16, kind: &str, words: &str) {
    assert_eq!(response.status, status, "{:?}", response.body());
    assert_eq!(response.headers.get("content-type"), Some("application/json"));
    let error = response.json();
    assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!(kind)));
    assert!(error["error"]["message"].as_str().is_some_and(|message| message.contains(words)), "{error}");
    assert_eq!(error["request_id"].as_str(), response.headers.get("request-id"));
}

#[tokio::test]
async fn a_first_exception_of_bedrock_leaves_as_its_status() {
    for (name, status, kind) in [
        ("throttlingException", 429, "rate_limit_error"),
        ("serviceUnavailableException", 503, "overloaded_error"),
        ("modelNotReadyException", 503, "overloaded_error"),
        ("internalServerException", 500, "api_error"),
        ("modelStreamErrorException", 500, "api_error"),
        ("modelTimeoutException", 504, "timeout_error"),
        ("validationException", 400, "invalid_request_error"),
    ] {
        let upstream =
            Upstream::answering(in_turn([bedrock::stream([bedrock::exception(name, "why")])])).await;
        let model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
        let response = send(bedrock::provider(&upstream.url(), model)).await;
        assert_error(&response, status, kind, "why");
    }
    let long = bedrock::exception("validationException", "Input is too long for requested model.");
    let upstream = Upstream::answering(in_turn([bedrock::stream([long])])).await;
    let response = send(bedrock::provider(&upstream.url(), "anthropic.claude-sonnet-4-6")).await;
    assert_error(&response, 400, "invalid_request_error", "prompt is too long");
}

#[tokio::test]
async fn a_first_error_event_leaves_as_its_status() {
    for (kind, status) in [
        ("overloaded_error", 503),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("timeout_error", 504),
        ("invalid_request_error", 400),
        ("request_too_large", 413),
    ] {
        for opening in [None, Some(sse::ping()), Some(Bytes::from_static(b": hello\n\n"))] {
            let events = opening.into_iter().chain([sse::error(kind, "why")]);
            let upstream = Upstream::answering(in_turn([Answer::sse(events)])).await;
            let response = send(provider("gw", "anthropic", &upstream.url())).await;
            assert_error(&response, status, kind, "why");
        }
    }
}

#[tokio::test]
async fn a_first_error_event_about_the_relays_key_names_the_provider() {
    let upstream =
        Upstream::answering(in_turn([Answer::sse([sse::error("authentication_error", "no")])])).await;
    let response = send(provider("gw", "anthropic", &upstream.url())).await;
    assert_error(&response, 502, "api_error", "`gw`");
    assert_eq!(response.headers.get("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn an_error_after_the_first_event_stays_an_event_of_a_lone_provider() {
    let start = sse::recorded("anthropic/hello.sse").remove(0);
    let events = [start, sse::error("overloaded_error", "busy")];
    let upstream = Upstream::answering(in_turn([anthropic::success(Answer::sse(events))])).await;
    let response = send(provider("gw", "anthropic", &upstream.url())).await;
    assert_eq!(response.status, 200);
    let names: Vec<_> = sse::parse(&response.body()).into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["message_start", "error"]);
}

#[tokio::test]
async fn the_head_leaves_with_the_first_event() {
    let upstream = Upstream::manual().await;
    let relay = Relay::start(&json!({"providers": [provider("gw", "anthropic", &upstream.url())]})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&Answer::event_stream()).await;
    let start = sse::recorded("anthropic/hello.sse").remove(0);
    connection.send_chunk(&start).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.chunk().await, Some(start));
}

#[tokio::test]
async fn a_stream_that_ends_before_its_first_event_is_a_bad_gateway() {
    for ending in [Ending::Clean, Ending::Fin] {
        let upstream = Upstream::answering(in_turn([Answer::sse([]).with_ending(ending)])).await;
        let response = send(provider("gw", "anthropic", &upstream.url())).await;
        assert_error(&response, 502, "api_error", "`gw`");
    }
}
