//! A prompt that is too long, reported in a response of status 200: the client gets the error that lets it compact.

use bytes::Bytes;
use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Relay, Response, Upstream, in_turn, provider, sse};
use serde_json::{Value, json};

/// Providers' words, each with the message that the client gets.
const WORDS: [(&str, &str); 3] = [
    (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "prompt is too long: 9000 tokens > 8192 maximum (This model's maximum context length is 8192 tokens. However, your \
         messages resulted in 9000 tokens.)",
    ),
    (
        "the input length exceeds the context length",
        "prompt is too long: the input length exceeds the context length",
    ),
    ("prompt is too long: 9 tokens > 8 maximum", "prompt is too long: 9 tokens > 8 maximum"),
];

fn body(stream: bool) -> String {
    json!({"model": "m", "max_tokens": 8, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
        .to_string()
}

/// Sends a request through a relay with two providers, of which the first sends `answer`. Checks that no other is called.
async fn send(answer: Answer, stream: bool, kind: &str) -> Response {
    let upstream = Upstream::answering(in_turn([answer])).await;
    let other = Upstream::answering(anthropic::answer).await;
    let mut first = provider("first", kind, &upstream.url());
    first["priority"] = json!(9);
    let relay =
        Relay::start(&json!({"providers": [first, provider("other", "anthropic", &other.url())]})).await;
    let response = Call::messages(body(stream)).send(relay.address()).await;
    assert_eq!(other.requests().len(), 0, "the prompt is too long for every provider");
    response
}

#[track_caller]
fn assert_too_long(response: &Response, message: &str, context: &str) {
    assert_eq!(response.status, 400, "{context}: {:?}", response.body());
    let error = &response.json()["error"];
    assert_eq!(
        (&error["type"], &error["message"]),
        (&json!("invalid_request_error"), &json!(message)),
        "{context}"
    );
}

#[tokio::test]
async fn a_first_event_becomes_a_400_in_anthropics_words() {
    let foreign = |data: Value| Bytes::from(format!("event: error\ndata: {data}\n\n"));
    let (words, message) = WORDS[0];
    let events = [
        sse::error("invalid_request_error", words),
        foreign(json!({"type": "error", "error": {"type": "context_length_exceeded", "message": words}})),
        foreign(json!({"error": {"type": "BadRequestError", "code": 400, "message": words}})),
        foreign(json!({"message": words})),
        Bytes::from(format!("data: {}\n\n", json!({"error": {"message": words}}))),
    ];
    let events = events.map(|event| (event, message));
    let others = WORDS.map(|(words, message)| (sse::error("api_error", words), message));
    for (event, message) in events.into_iter().chain(others) {
        let context = String::from_utf8_lossy(&event).into_owned();
        let response = send(Answer::sse([event]), true, "anthropic_compatible").await;
        assert_too_long(&response, message, &context);
    }
}

#[tokio::test]
async fn an_error_object_becomes_a_400_in_anthropics_words() {
    let (words, message) = WORDS[0];
    let bodies = [
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": words}}),
        json!({"type": "error", "error": {"type": "exceed_context_size_error", "message": words}}),
        json!({"error": {"type": "BadRequestError", "code": 400, "message": words}}),
        json!({"object": "error", "type": "BadRequestError", "code": 400, "message": words}),
        json!({"error": words}),
        json!({"code": 1261, "msg": words, "success": false}),
        json!({"base_resp": {"status_code": 2013, "status_msg": words}}),
    ];
    for body in bodies {
        for (kind, stream) in [("anthropic_compatible", true), ("zai", false), ("minimax", true)] {
            let response = send(Answer::json(200, &body), stream, kind).await;
            assert_too_long(&response, message, &format!("{kind}: {body}"));
        }
    }
    for (words, message) in WORDS {
        let body = json!({"type": "error", "error": {"type": "api_error", "message": words}});
        let response = send(Answer::json(200, &body), false, "anthropic_compatible").await;
        assert_too_long(&response, message, words);
    }
}

#[tokio::test]
async fn an_error_after_the_first_content_stays_in_the_stream() {
    let start = sse::recorded("anthropic/hello.sse").into_iter().take(4);
    let events = start.chain([sse::error("api_error", WORDS[1].0)]);
    let response = send(Answer::sse(events), true, "anthropic_compatible").await;
    assert_eq!(response.status, 200);
    let last = response.events().last().expect("an event").json();
    assert_eq!(last["error"]["message"], WORDS[1].0);
}
