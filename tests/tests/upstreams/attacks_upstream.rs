//! Failures in the forms that real vendors send: a status inside of a 200, an error inside of an error, one model's failure.

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Relay, Request, Response, Upstream, in_turn, minimal_provider, provider};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
const OTHER: &str = r#"{"model":"claude-haiku-4-5","max_tokens":8,"messages":[]}"#;

fn fragile() -> Value {
    json!({"circuit_breaker": {"failure_threshold": 1, "open_duration_ms": 3_600_000}, "health_check": {"enabled": false}})
}

async fn send(relay: &Relay, body: &'static str) -> Response {
    Call::messages(body).send(relay.address()).await
}

/// Starts a relay with one provider of `kind` whose upstream always sends `answer`.
async fn alone(kind: &str, answer: Answer) -> (Relay, Upstream) {
    let upstream = Upstream::answering(move |_: &Request| answer.clone()).await;
    let mut only = minimal_provider("only", kind, &upstream.url());
    if kind != "ollama" {
        only["keys"] = json!([{"key": "key-1"}]);
    }
    (Relay::start(&json!({"providers": [only], "health": fragile()})).await, upstream)
}

#[track_caller]
fn assert_error(response: &Response, status: u16, kind: &str, beginning: &str) {
    let error = response.json()["error"].clone();
    assert_eq!((response.status, &error["type"]), (status, &json!(kind)), "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.starts_with(beginning)), "{error}");
}

#[tokio::test]
async fn an_error_in_a_200_has_the_status_that_its_code_type_or_words_state() {
    let n_keep = "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 15000 >= \
        n_ctx: 4096).";
    let invalid = "invalid_request_error";
    for (kind, error, status, expected, beginning) in [
        ("openrouter", json!({"code": 429, "message": "slow"}), 429, "rate_limit_error", "slow"),
        ("openrouter", json!({"code": 400, "message": "no"}), 400, invalid, "no"),
        ("openrouter", json!({"code": 502, "message": "down"}), 502, "api_error", "down"),
        (
            "anthropic_compatible",
            json!({"type": "overloaded_error", "message": "x"}),
            503,
            "overloaded_error",
            "x",
        ),
        ("anthropic_compatible", json!(n_keep), 400, invalid, "prompt is too long: 15000 tokens > 4096"),
        (
            "anthropic_compatible",
            json!({"message": n_keep}),
            400,
            invalid,
            "prompt is too long: 15000 tokens > 4096",
        ),
        ("ollama", json!(n_keep), 400, invalid, "prompt is too long: 15000 tokens > 4096"),
        (
            "anthropic_compatible",
            json!("Unexpected endpoint or method."),
            502,
            "api_error",
            "Unexpected endpoint",
        ),
    ] {
        for body in [BODY, STREAMED] {
            let (relay, _upstream) = alone(kind, Answer::json(200, &json!({ "error": error }))).await;
            assert_error(&send(&relay, body).await, status, expected, beginning);
        }
    }
}

#[tokio::test]
async fn a_refused_key_in_a_200_is_replaced_and_rests() {
    for (kind, answer) in [
        ("zai", json!({"code": 401, "msg": "token expired or incorrect", "success": false})),
        ("openrouter", json!({"error": {"code": 402, "message": "Insufficient credits"}})),
        ("anthropic_compatible", json!({"error": {"type": "authentication_error", "message": "no"}})),
        ("anthropic_compatible", json!({"code": "Arrearage", "message": "Access denied.", "error": true})),
    ] {
        for body in [BODY, STREAMED] {
            let refusal = Answer::json(200, &answer);
            let upstream = Upstream::answering(move |request: &Request| {
                let mut values =
                    ["x-api-key", "authorization"].iter().filter_map(|name| request.headers.get(name));
                match values.any(|value| value.ends_with("poor")) {
                    true => refusal.clone(),
                    false => anthropic::answer_with("hello")(request),
                }
            })
            .await;
            let mut pool = minimal_provider("pool", kind, &upstream.url());
            pool["keys"] = json!([{"key": "key-poor", "priority": 2}, {"key": "key-rich", "priority": 1}]);
            let relay = Relay::start(&json!({"providers": [pool], "health": fragile()})).await;
            for _ in 0..3 {
                assert_eq!(send(&relay, body).await.text(), "hello", "{kind} {answer}");
            }
            assert_eq!(upstream.requests().len(), 4, "{kind} {answer}: the poor key rests after its refusal");
        }
    }
}

#[tokio::test]
async fn an_error_that_openrouter_passes_on_keeps_the_words_of_the_model() {
    let passed_on = |raw: &str| {
        json!({"error": {"code": 400, "message": "Provider returned error",
            "metadata": {"provider_name": "Anthropic", "raw": raw}}})
    };
    let inner = |message: &str| {
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}}).to_string()
    };
    let invalid = "invalid_request_error";
    let openai = "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens (135000 in the \
        messages, 5000 in the completion).";
    for (raw, beginning) in [
        (
            inner("prompt is too long: 210000 tokens > 200000 maximum"),
            "prompt is too long: 210000 tokens > 200000 maximum",
        ),
        (
            json!({"error": {"message": openai}}).to_string(),
            "prompt is too long: 140000 tokens > 131072 maximum",
        ),
        (inner("messages: at least one message is required"), "messages: at least one message is required"),
        ("plain words".to_owned(), "plain words"),
        (String::new(), "Provider returned error"),
    ] {
        let (relay, _upstream) = alone("openrouter", Answer::json(400, &passed_on(&raw))).await;
        assert_error(&send(&relay, BODY).await, 400, invalid, beginning);
    }
}

#[tokio::test]
async fn a_field_that_openrouter_refuses_in_an_inner_error_is_sent_once_only() {
    let inner = json!({"type": "error", "error": {"type": "invalid_request_error",
        "message": "speed: Extra inputs are not permitted"}});
    let refusal = Answer::json(
        400,
        &json!({"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": inner.to_string()}}}),
    );
    let upstream = Upstream::answering(move |request: &Request| match request.json().get("speed") {
        Some(_) => refusal.clone(),
        None => anthropic::answer_with("hello")(request),
    })
    .await;
    let relay = Relay::start(&json!({"providers": [provider("only", "openrouter", &upstream.url())]})).await;
    let body = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"speed":"fast"}"#;
    for _ in 0..2 {
        assert_eq!(send(&relay, body).await.text(), "hello");
    }
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_model_that_deepseek_or_ollama_cannot_serve_does_not_open_the_circuit() {
    let missing =
        Answer::json(400, &json!({"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}));
    let busy = Answer::json(503, &json!({"error": {"message": "Service is too busy."}}));
    let cloud = Answer::json(502, &json!({"error": "upstream error"}));
    for (kind, answer, status) in
        [("deepseek", missing, 404), ("deepseek", busy, 503), ("ollama", cloud, 502)]
    {
        let upstream = Upstream::answering(move |request: &Request| {
            match request.json()["model"] == "claude-opus-5-5" {
                true => answer.clone(),
                false => anthropic::answer_with("hello")(request),
            }
        })
        .await;
        let mut only = minimal_provider("only", kind, &upstream.url());
        if kind != "ollama" {
            only["keys"] = json!([{"key": "key-1"}]);
        }
        let relay = Relay::start(&json!({"providers": [only], "health": fragile()})).await;
        for _ in 0..3 {
            assert_eq!(send(&relay, BODY).await.status, status, "{kind}");
        }
        assert_eq!(send(&relay, OTHER).await.text(), "hello", "{kind}");
    }
}

#[tokio::test]
async fn a_model_that_deepseek_does_not_have_is_served_by_the_next_provider() {
    let missing =
        Answer::json(400, &json!({"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}));
    let first = Upstream::answering(in_turn([missing])).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut deepseek = provider("first", "deepseek", &first.url());
    deepseek["priority"] = json!(2);
    let providers = json!([deepseek, provider("second", "anthropic", &second.url())]);
    let relay = Relay::start(&json!({ "providers": providers })).await;
    assert_eq!(send(&relay, BODY).await.text(), "second");
}
