//! Responses of status 200 that no client can use: bodies that are no message, messages in the wrong form, streams that begin
//! with nothing readable.

use bytes::Bytes;

use relay_tests::fakes::{Reply, anthropic, bedrock};
use relay_tests::{
    Answer, Call, Coding, End, Ending, Relay, Response, Upstream, in_turn, minimal_provider, provider, sse,
};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// The kinds that need no more than an address and a key.
const KINDS: [&str; 9] = [
    "anthropic",
    "zai",
    "ollama",
    "minimax",
    "moonshot",
    "deepseek",
    "openrouter",
    "azure",
    "anthropic_compatible",
];

fn configured(kind: &str, url: &str) -> Value {
    let mut provider = match kind {
        "bedrock" => bedrock::provider(url, "eu.anthropic.claude-opus-5-5"),
        kind => minimal_provider("gw", kind, url),
    };
    provider["name"] = json!("gw");
    provider["priority"] = json!(2);
    provider
}

/// A relay whose circuits do not open, with the answers of its first provider in turn.
async fn relay(
    kind: &str,
    answers: Vec<Answer>,
    further: Option<&Upstream>,
    routing: Value,
) -> (Relay, Upstream) {
    let upstream = Upstream::answering(in_turn(answers)).await;
    let mut providers = vec![configured(kind, &upstream.url())];
    providers.extend(further.map(|second| provider("second", "anthropic", &second.url())));
    let health = json!({"circuit_breaker": {"failure_threshold": 1_000}});
    let relay = Relay::start(&json!({"providers": providers, "routing": routing, "health": health})).await;
    (relay, upstream)
}

/// Sends `body` to a relay with one provider of this kind, whose upstream gives `answer`.
async fn alone(kind: &str, answer: Answer, body: &'static str) -> Response {
    let (relay, _upstream) = relay(kind, vec![answer], None, json!({})).await;
    Call::messages(body).send(relay.address()).await
}

/// Sends `body` to a relay with a second provider after the one that gives `answer`.
async fn with_fallback(kind: &str, answer: Answer, body: &'static str) -> Response {
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let (relay, _upstream) = relay(kind, vec![answer], Some(&second), json!({})).await;
    Call::messages(body).send(relay.address()).await
}

#[track_caller]
fn assert_bad_gateway(response: &Response, words: &str, context: &str) {
    assert_eq!(response.status, 502, "{context}: {:?}", response.body());
    assert_eq!(response.headers.get("content-type"), Some("application/json"), "{context}");
    let error = response.json();
    assert_eq!(
        (&error["type"], &error["error"]["type"]),
        (&json!("error"), &json!("api_error")),
        "{context}"
    );
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("`gw`") && message.contains(words), "{context}: {message}");
}

fn answer(content_type: &str, body: &'static str) -> Answer {
    Answer::text(200, content_type, body)
}

/// Answers of status 200 that are no message, each with words of the error for the client.
fn unusable() -> Vec<(&'static str, Answer, &'static str)> {
    const JSON: &str = "application/json";
    let no_message = "200 with JSON that is not a message";
    vec![
        ("null", answer(JSON, "null"), no_message),
        ("a number", answer(JSON, "7"), no_message),
        ("a string", answer(JSON, "\"hello\""), no_message),
        ("a list", answer(JSON, "[]"), no_message),
        ("a list like a message", answer(JSON, r#"["message", []]"#), no_message),
        ("an empty object", answer(JSON, "{}"), no_message),
        (
            "a chat completion",
            answer(
                "application/json; charset=utf-8",
                r#"{"id":"c","object":"chat.completion","choices":[]}"#,
            ),
            no_message,
        ),
        ("a count", answer(JSON, r#"{"input_tokens":7}"#), no_message),
        (
            "damaged JSON",
            answer(JSON, r#"{"type":"message","content":[],}"#),
            "200 with JSON that is damaged",
        ),
        ("two values", answer(JSON, r#"{"type":"message","content":[]}{}"#), "200 with JSON that is damaged"),
        ("cut JSON", answer(JSON, r#"{"type":"message","content":["#), "broke off"),
        ("an empty body", answer(JSON, ""), "200 with an empty body"),
        ("white space", answer(JSON, " \r\n"), "200 with an empty body"),
        ("no content type and no body", Answer::new(200), "200 with an empty body"),
        ("no content", Answer::pieces(200, []), "200 with an empty body"),
        ("204", Answer::new(204), "204 with an empty body"),
        ("a page", answer("text/html", "<!DOCTYPE html><title>Sign in</title>"), "200 with a page: Sign in"),
        ("a page as JSON", answer(JSON, "<!DOCTYPE html><title>Sign in</title>"), "200 with a page: Sign in"),
        ("a text", answer("text/plain", "Ollama is running"), "Ollama is running"),
    ]
}

#[tokio::test]
async fn a_success_that_is_no_message_is_a_bad_gateway_for_every_kind() {
    for kind in KINDS.into_iter().chain(["bedrock"]) {
        let bodies = if kind == "anthropic" { vec![BODY, STREAMED] } else { vec![BODY] };
        let answers = unusable().into_iter().flat_map(|(_, answer, _)| vec![answer; bodies.len()]);
        let (relay, _upstream) = relay(kind, answers.collect(), None, json!({})).await;
        for (what, _, words) in unusable() {
            for body in bodies.clone() {
                let response = Call::messages(body).send(relay.address()).await;
                assert_bad_gateway(&response, words, &format!("{kind}: {what}: {body}"));
            }
        }
    }
}

#[tokio::test]
async fn a_success_that_is_no_message_is_answered_by_the_next_provider() {
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    for kind in ["anthropic", "openrouter", "bedrock"] {
        let answers = unusable().into_iter().flat_map(|(_, answer, _)| [answer.clone(), answer]);
        let (relay, upstream) = relay(kind, answers.collect(), Some(&second), json!({})).await;
        for (at, (what, ..)) in unusable().into_iter().enumerate() {
            for body in [BODY, STREAMED] {
                // Every model is a new one, so that no rest of a model takes the first provider out.
                let body = body.replace("opus-5-5", &format!("opus-5-{at}"));
                let response = Call::messages(body).send(relay.address()).await;
                assert_eq!((response.status, response.text().as_str()), (200, "second"), "{kind}: {what}");
            }
        }
        assert!(upstream.requests().len() >= unusable().len(), "{kind}");
    }
}

#[tokio::test]
async fn a_large_answer_is_checked_to_its_end() {
    let text = "x".repeat(200_000);
    let good = json!({"type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": text}]});
    let damaged = good.to_string().replace("}],", "}]],");
    let response = alone("anthropic", Answer::json(200, &good), BODY).await;
    assert_eq!((response.status, response.json()), (200, good.clone()));
    let response = alone("anthropic", Answer::json(200, &json!(null)).with_body(damaged), BODY).await;
    assert_bad_gateway(&response, "JSON that is damaged", "damaged at the end");
    let other = json!({"choices": [{"text": text}]});
    let response = alone("anthropic", Answer::json(200, &other), BODY).await;
    assert_bad_gateway(&response, "JSON that is not a message", "a large completion");
}

#[tokio::test]
async fn the_first_bytes_count_if_the_content_type_is_wrong() {
    let message = Reply::new("claude-opus-5-5").text("hello");
    let json = Bytes::from(message.json().to_string());
    for content_type in
        ["text/plain", "APPLICATION/JSON", "application/octet-stream", "text/event-stream", ""]
    {
        let with_type = |answer: Answer| match content_type {
            "" => answer,
            name => answer.with_header("content-type", name),
        };
        let response = alone("zai", with_type(Answer::new(200)).with_body(json.clone()), BODY).await;
        assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{content_type}");
        assert_eq!(response.headers.get("content-type"), Some("application/json"), "{content_type}");
        let stream = with_type(Answer::pieces(200, message.events()));
        let response = alone("zai", stream.clone(), STREAMED).await;
        assert_eq!(
            (response.end, response.body()),
            (End::Complete, message.events().concat().into()),
            "{content_type}"
        );
        let found = response.headers.get("content-type").unwrap_or_default();
        assert!(found.starts_with("text/event-stream"), "{content_type}: {found}");
    }
    for content_type in ["TEXT/EVENT-STREAM", "text/event-stream;charset=utf-8", "Text/Event-Stream ; x=y"] {
        let stream = Answer::pieces(200, message.events()).with_header("content-type", content_type);
        let response = alone("ollama", stream, STREAMED).await;
        assert_eq!(response.text(), "hello", "{content_type}");
    }
}

#[tokio::test]
async fn an_error_in_json_has_its_status_whatever_its_content_type() {
    let error = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}});
    for content_type in ["application/json", "text/event-stream", "text/plain", "application/problem+json"] {
        for body in [BODY, STREAMED] {
            let answer =
                Answer::new(200).with_header("content-type", content_type).with_body(error.to_string());
            let response = alone("anthropic", answer, body).await;
            assert_eq!(
                (response.status, &response.json()["error"]["message"]),
                (429, &json!("slow")),
                "{content_type}"
            );
        }
    }
}

#[tokio::test]
async fn a_message_in_one_piece_becomes_the_requested_stream_of_a_lone_provider() {
    let message = Reply::new("claude-opus-5-5").thinking("hm", "c2lnbmF0dXJl").text("one, two");
    for kind in KINDS.into_iter().chain(["bedrock"]) {
        let response = alone(kind, Answer::json(200, &message.json()), STREAMED).await;
        assert_eq!(
            (response.status, response.end, response.text().as_str()),
            (200, End::Complete, "one, two"),
            "{kind}"
        );
        let events = response.events();
        let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!((names[0], names[names.len() - 1]), ("message_start", "message_stop"), "{kind}");
        assert_eq!(events[names.len() - 2].json()["usage"], message.json()["usage"], "{kind}");
    }
    let response = with_fallback("zai", Answer::json(200, &message.json()), STREAMED).await;
    assert_eq!(response.text(), "second", "another provider answers with a stream");
}

#[tokio::test]
async fn a_stream_for_a_request_without_stream_is_a_failure() {
    let stream = Answer::sse(Reply::new("claude-opus-5-5").text("hello").events());
    for kind in ["anthropic", "zai", "ollama"] {
        let response = alone(kind, stream.clone(), BODY).await;
        assert_bad_gateway(&response, "with a stream", kind);
        assert_eq!(with_fallback(kind, stream.clone(), BODY).await.text(), "second", "{kind}");
    }
    let error = Answer::sse([sse::error("overloaded_error", "busy")]);
    assert_eq!(alone("anthropic", error, BODY).await.status, 503);
}

#[tokio::test]
async fn a_coding_that_the_relay_cannot_decode_is_a_failure() {
    for body in [BODY, STREAMED] {
        let answer = answer("application/json", "\u{1}\u{2}").with_header("content-encoding", "compress");
        let response = alone("anthropic", answer, body).await;
        assert_bad_gateway(&response, "content-encoding `compress`", body);
        assert_eq!(response.headers.get("content-encoding"), None);
        let null = answer_of_null().compressed(Coding::Gzip).await;
        let response = alone("anthropic", null, body).await;
        assert_bad_gateway(&response, "not a message", body);
    }
    let identity =
        Answer::json(200, &Reply::new("m").text("hello").json()).with_header("content-encoding", "identity");
    assert_eq!(alone("anthropic", identity, BODY).await.text(), "hello");
}

fn answer_of_null() -> Answer {
    answer("application/json", "null")
}

/// Streams whose beginning no client can use, each with words of the error for the client.
fn unusable_starts() -> Vec<(&'static str, Answer, &'static str)> {
    let one = |event: &'static str| Answer::sse([Bytes::from_static(event.as_bytes())]);
    let chunk = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let page = "<!DOCTYPE html><title>Sign in</title>";
    vec![
        ("damaged data", one("event: message_start\ndata: {\"type\":\"message_st\n\n"), "is damaged"),
        ("no object", one("data: null\n\n"), "is damaged"),
        ("a chunk of another API", one(chunk), "is damaged"),
        ("nothing", Answer::sse([]), "200 with an empty body"),
        ("a comment alone", one(": hello\n\n"), "ended its answer before it was complete"),
        ("a ping alone", Answer::sse([sse::ping()]), "ended its answer before it was complete"),
        ("a foreign event", one("event: done\ndata: [DONE]\n\n"), "ended its answer before it was complete"),
        ("half an event", one("event: message_start\ndata: {"), "ended its answer before it was complete"),
        ("no end of the body", Answer::sse([]).with_ending(Ending::Fin), "broke off"),
        ("a reset", Answer::sse([sse::ping()]).with_ending(Ending::Reset), "broke off"),
        ("a page", one(page), "200 with a page: Sign in"),
        ("null", one("null"), "200"),
    ]
}

#[tokio::test]
async fn a_stream_without_a_readable_first_event_is_a_bad_gateway() {
    let error_event = KINDS[..2].iter().map(|kind| (*kind, "error_event"));
    for (kind, on_break) in KINDS.into_iter().map(|kind| (kind, "abort")).chain(error_event) {
        let answers = unusable_starts().into_iter().map(|(_, answer, _)| answer).collect();
        let (relay, _upstream) = relay(kind, answers, None, json!({"on_stream_break": on_break})).await;
        for (what, _, words) in unusable_starts() {
            let response = Call::messages(STREAMED).send(relay.address()).await;
            assert_bad_gateway(&response, words, &format!("{kind}: {what}: {on_break}"));
        }
    }
}

#[tokio::test]
async fn an_event_stream_of_aws_without_a_readable_first_event_is_a_bad_gateway() {
    let aws = |body: &'static [u8]| {
        Answer::new(200).with_header("content-type", "application/vnd.amazon.eventstream").with_body(body)
    };
    for (what, answer, words) in [
        ("nothing", aws(b""), "200 with an empty body"),
        ("a page", aws(b"<html><title>Sign in</title></html>"), "200 with a page: Sign in"),
        ("a damaged frame", aws(b"\0\0\0\x40\0\0\0\x10damaged checksum"), "cannot be read"),
        (
            "half a frame",
            aws(b"\0\0\0\x40\0\0\0\x10"),
            "cannot be read: the stream ended 8 bytes into a frame",
        ),
    ] {
        let response = alone("bedrock", answer, STREAMED).await;
        assert_bad_gateway(&response, words, what);
    }
}
