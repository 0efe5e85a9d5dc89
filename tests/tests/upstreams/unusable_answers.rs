//! Responses of status 200 that no client can use: bodies that are no message, messages in the wrong form, streams that begin
//! with nothing readable.

use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use relay_tests::fakes::{Reply, anthropic, bedrock};
use relay_tests::{
    Answer, Call, Coding, End, Ending, Relay, Request, Response, Upstream, minimal_provider, provider, sse,
};
use serde_json::{Value, json};

use super::odd_streams::vertex;

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

/// A relay whose circuits do not open, with the upstream of its first provider.
struct Setup {
    relay: Relay,
    upstream: Upstream,
    _google: (Upstream, NamedTempFile),
}

/// Starts a relay whose first provider answers a request for the model `case-{n}` with number `n` of `answers`, and any other
/// one with the first.
async fn relay(kind: &str, answers: Vec<Answer>, further: Option<&Upstream>, routing: Value) -> Setup {
    let cases = answers.len();
    let upstream =
        Upstream::answering(move |request: &Request| answers[case(request).unwrap_or(0)].clone()).await;
    let (vertex, tokens, file) = vertex(&upstream).await;
    let mut first = match kind {
        "bedrock" => bedrock::provider(&upstream.url(), "eu.anthropic.claude-opus-5-5"),
        "vertex" => vertex,
        kind => minimal_provider("gw", kind, &upstream.url()),
    };
    first["name"] = json!("gw");
    first["priority"] = json!(2);
    if kind == "bedrock" {
        for number in 0..cases {
            first["model_mapping"][format!("case-{number}")] =
                json!(format!("eu.anthropic.case-{number}-v1:0"));
        }
    }
    let mut providers = vec![first];
    providers.extend(further.map(|second| provider("second", "anthropic", &second.url())));
    let health = json!({"circuit_breaker": {"failure_threshold": 1_000}});
    let relay = Relay::start(&json!({"providers": providers, "routing": routing, "health": health})).await;
    Setup { relay, upstream, _google: (tokens, file) }
}

/// Returns the number of the case, which is in the path or in the body.
fn case(request: &Request) -> Option<usize> {
    let body = String::from_utf8_lossy(&request.body);
    let (_, rest) = request.target.split_once("case-").or_else(|| body.split_once("case-"))?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

impl Setup {
    /// Sends each of `bodies` for each case, all at once. Returns the number of the case and the body with each response.
    async fn send_cases(
        &self,
        cases: usize,
        bodies: &[&'static str],
    ) -> Vec<(usize, &'static str, Response)> {
        let address = self.relay.address();
        let mut calls = JoinSet::new();
        for number in 0..cases {
            for &body in bodies {
                let call = Call::messages(body.replace("claude-opus-5-5", &format!("case-{number}")));
                calls.spawn(async move { (number, body, call.send(address).await) });
            }
        }
        calls.join_all().await
    }
}

/// Sends `body` to a relay with one provider of this kind, whose upstream gives `answer`.
async fn alone(kind: &str, answer: Answer, body: &'static str) -> Response {
    let setup = relay(kind, vec![answer], None, json!({})).await;
    Call::messages(body).send(setup.relay.address()).await
}

/// Sends `body` to a relay with a second provider after the one that gives `answer`.
async fn with_fallback(kind: &str, answer: Answer, body: &'static str) -> Response {
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let setup = relay(kind, vec![answer], Some(&second), json!({})).await;
    Call::messages(body).send(setup.relay.address()).await
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

fn answers_of(cases: &[(&'static str, Answer, &'static str)]) -> Vec<Answer> {
    cases.iter().map(|(_, answer, _)| answer.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_that_is_no_message_is_a_bad_gateway_for_every_kind() {
    let cases = unusable();
    for kind in KINDS.into_iter().chain(["bedrock", "vertex"]) {
        let bodies = if kind == "anthropic" { &[BODY, STREAMED][..] } else { &[BODY] };
        let setup = relay(kind, answers_of(&cases), None, json!({})).await;
        for (number, body, response) in setup.send_cases(cases.len(), bodies).await {
            let (what, _, words) = &cases[number];
            assert_bad_gateway(&response, words, &format!("{kind}: {what}: {body}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_that_is_no_message_is_answered_by_the_next_provider() {
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let cases = unusable();
    for kind in ["anthropic", "openrouter", "bedrock", "vertex"] {
        let setup = relay(kind, answers_of(&cases), Some(&second), json!({})).await;
        for (number, _, response) in setup.send_cases(cases.len(), &[BODY, STREAMED]).await {
            let what = cases[number].0;
            assert_eq!((response.status, response.text().as_str()), (200, "second"), "{kind}: {what}");
        }
        assert!(setup.upstream.requests().len() >= cases.len(), "{kind}");
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
    for kind in KINDS.into_iter().chain(["bedrock", "vertex"]) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_a_readable_first_event_is_a_bad_gateway() {
    let cases = unusable_starts();
    let all_kinds = KINDS.into_iter().chain(["vertex"]).map(|kind| (kind, "abort"));
    for (kind, on_break) in all_kinds.chain(KINDS[..2].iter().map(|kind| (*kind, "error_event"))) {
        let routing = json!({"on_stream_break": on_break});
        let setup = relay(kind, answers_of(&cases), None, routing).await;
        for (number, _, response) in setup.send_cases(cases.len(), &[STREAMED]).await {
            let (what, _, words) = &cases[number];
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
