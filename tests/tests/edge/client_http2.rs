//! Clients that use cleartext HTTP/2 with prior knowledge.

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{
    Answer, Client, Connection, Http2Answer, Http2Client, Relay, Upstream, in_turn, provider, sse,
};
use serde_json::{Value, json};

const TARGET: &str = "/v1/messages?beta=true";
const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

async fn relay(upstream: &Upstream) -> Relay {
    Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await
}

#[tokio::test]
async fn requests_and_responses_are_the_same_as_over_http1() {
    let reply = Reply::new("claude-opus-5-5").text("hello");
    let answers = [anthropic::success(Answer::json(200, &reply.json())), anthropic::error(413)];
    let upstream = Upstream::answering(in_turn(answers)).await;
    let relay = relay(&upstream).await;
    let client = Http2Client::connect(relay.address()).await;

    let mut answer = client.post(TARGET, BODY).await.expect("an answer");
    assert_eq!(answer.head().status(), 200);
    assert_eq!(answer.head().headers()["request-id"], anthropic::REQUEST_ID);
    assert!(!answer.head().headers().contains_key("connection"));
    assert_eq!(answer.rest().await.expect("a whole body"), reply.json().to_string());
    let request = upstream.only_request();
    assert_eq!((request.target.as_str(), request.body.as_ref()), (TARGET, BODY.as_bytes()));

    let mut answer = client.post(TARGET, BODY).await.expect("an answer");
    assert_eq!(answer.head().status(), 413);
    let error: Value = serde_json::from_slice(&answer.rest().await.expect("a whole body")).expect("JSON");
    assert_eq!(error["error"]["type"], "request_too_large");
    let mut answer = client.post("/nowhere", BODY).await.expect("an answer");
    assert_eq!(answer.head().status(), 404);
    answer.rest().await.expect("a whole body");
}

/// A stream under way whose first content has been received.
async fn stream_under_way(upstream: &Upstream, client: &Http2Client) -> (Connection, Http2Answer) {
    let opening = sse::recorded("anthropic/hello.sse")[..4].concat();
    let answering = async {
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&anthropic::success(Answer::event_stream())).await;
        connection.send_chunk(&opening).await;
        connection
    };
    let (connection, answer) = tokio::join!(answering, client.post(TARGET, STREAMED));
    let mut answer = answer.expect("an answer");
    assert_eq!(answer.head().status(), 200);
    answer.expect(&opening).await;
    (connection, answer)
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_released() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream).await;
    let client = Http2Client::connect(relay.address()).await;
    // Two streams at once, in one connection.
    let (mut one, mut first) = stream_under_way(&upstream, &client).await;
    let (mut other, mut second) = stream_under_way(&upstream, &client).await;
    for event in &sse::recorded("anthropic/hello.sse")[4..] {
        one.send_chunk(event).await;
        first.expect(event).await;
        other.send_chunk(event).await;
        second.expect(event).await;
    }
    for (mut connection, mut answer) in [(one, first), (other, second)] {
        connection.send_last_chunk().await;
        assert_eq!(answer.data().await.expect("a proper end"), None);
    }
}

#[tokio::test]
async fn a_cancelled_stream_ends_only_its_own_upstream_request() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream).await;
    let client = Http2Client::connect(relay.address()).await;
    let (mut one, given_up) = stream_under_way(&upstream, &client).await;
    let (mut other, mut kept) = stream_under_way(&upstream, &client).await;
    given_up.cancel();
    one.peer_closed().await;
    for event in &sse::recorded("anthropic/hello.sse")[4..] {
        other.send_chunk(event).await;
        kept.expect(event).await;
    }

    // A stream is cancelled if its connection ends, too.
    drop(client);
    drop(kept);
    other.peer_closed().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_reset() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream).await;
    let client = Http2Client::connect(relay.address()).await;
    let (connection, mut answer) = stream_under_way(&upstream, &client).await;
    connection.reset();
    let error = answer.rest().await.expect_err("something is missing");
    assert!(error.is_reset() && error.is_remote(), "{error:?}");
    assert_ne!(error.reason(), Some(h2::Reason::NO_ERROR));
}

#[tokio::test]
async fn http2_can_be_switched_off() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&json!({
        "server": {"enable_http2": false},
        "providers": [provider("a", "anthropic", &upstream.url())],
    }))
    .await;
    let client = Http2Client::connect(relay.address()).await;
    client.post(TARGET, BODY).await.expect_err("HTTP/2 is off");
    assert_eq!(upstream.connections(), 0);

    // The connection ends, with or without an error response.
    let mut client = Client::connect(relay.address()).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    if let Some(head) = client.try_head().await {
        assert!((400..600).contains(&head.status), "{head:?}");
    }
    client.closed().await;
}
