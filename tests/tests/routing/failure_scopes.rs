//! The extent of a failure: a key without money, one model, a status that is no answer.

use relay_tests::fakes::{anthropic, ollama, zai};
use relay_tests::{Answer, Call, Relay, Request, Response, Upstream, in_turn, minimal_provider, provider};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

const CREDIT: &str = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade \
    or purchase credits.";

fn fragile() -> Value {
    json!({"circuit_breaker": {"failure_threshold": 1, "open_duration_ms": 3_600_000}, "health_check": {"enabled": false}})
}

async fn send(relay: &Relay, body: impl Into<bytes::Bytes>) -> Response {
    Call::messages(body).send(relay.address()).await
}

/// Answers requests with the key `poor` by `answer`, and others well.
fn poor(answer: Answer) -> impl Fn(&Request) -> Answer + Send + Sync {
    move |request| {
        let is_poor = ["x-api-key", "authorization"]
            .iter()
            .any(|name| request.headers.get(name).is_some_and(|value| value.ends_with("poor")));
        if is_poor { answer.clone() } else { anthropic::answer_with("hello")(request) }
    }
}

fn sse_error(kind: &str, message: &str) -> Answer {
    Answer::sse([relay_tests::sse::error(kind, message)])
}

#[tokio::test]
async fn a_key_without_money_is_replaced_and_rests() {
    let invalid = |message: &str| anthropic::error_with(400, "invalid_request_error", message);
    let balance = "Insufficient balance or no resource package. Please recharge.";
    for (kind, answer) in [
        ("anthropic", invalid(CREDIT)),
        ("anthropic", invalid("This organization has been disabled.")),
        (
            "anthropic",
            invalid(
                "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
            ),
        ),
        ("anthropic", sse_error("invalid_request_error", CREDIT)),
        ("anthropic", anthropic::error(402)),
        ("zai", zai::error(429, "1113", balance)),
        ("zai", Answer::json(429, &json!({"type": "error", "error": {"type": "1113", "message": balance}}))),
        ("zai", Answer::json(200, &json!({"type": "error", "error": {"type": "1113", "message": balance}}))),
        ("zai", anthropic::error_with(400, "invalid_request_error", "[1113][Insufficient balance][id]")),
        ("minimax", anthropic::error_with(500, "api_error", "insufficient balance (1008)")),
        (
            "minimax",
            Answer::json(
                200,
                &json!({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
            ),
        ),
        ("moonshot", anthropic::error_with(429, "exceeded_current_quota_error", "Your account is suspended")),
        ("deepseek", Answer::json(402, &json!({"error": {"message": "Insufficient Balance"}}))),
        (
            "openrouter",
            Answer::json(402, &json!({"error": {"code": 402, "message": "Insufficient credits"}})),
        ),
        (
            "openrouter",
            Answer::json(
                403,
                &json!({"error": {"code": 403, "message": "Key limit exceeded (total limit)."}}),
            ),
        ),
        ("anthropic_compatible", invalid(CREDIT)),
    ] {
        for body in [BODY, STREAMED] {
            let label = format!("{kind} {answer:?}");
            let upstream = Upstream::answering(poor(answer.clone())).await;
            let mut pool = minimal_provider("pool", kind, &upstream.url());
            pool["keys"] = json!([{"key": "key-poor", "priority": 2}, {"key": "key-rich", "priority": 1}]);
            let relay = Relay::start(&json!({"providers": [pool], "health": fragile()})).await;
            for _ in 0..3 {
                assert_eq!(send(&relay, body).await.text(), "hello", "{label}");
            }
            assert_eq!(upstream.requests().len(), 4, "{label}: the poor key rests after its refusal");
        }
    }
}

#[tokio::test]
async fn a_lone_key_without_money_is_the_operators() {
    let upstream =
        Upstream::answering(poor(anthropic::error_with(400, "invalid_request_error", CREDIT))).await;
    let mut pool = provider("pool", "anthropic", &upstream.url());
    pool["keys"] = json!([{"key": "key-poor"}]);
    let relay = Relay::start(&json!({"providers": [pool]})).await;
    let response = send(&relay, BODY).await;
    let error = &response.json()["error"];
    assert_eq!((response.status, &error["type"]), (502, &json!("api_error")));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("`pool`")), "{error}");
    assert_eq!(response.headers.get("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn errors_about_the_conversation_that_mention_money_stay_the_clients() {
    for message in [
        "messages.0.content.0.text: \"Your credit balance is too low\" is not allowed",
        "tools.0.custom.name: String should match pattern, not 'credit balance is too low'",
        "messages.2: This organization has been disabled. is no valid role",
        "system.0: You have reached your specified API usage limits",
        "prompt is too long: 200001 tokens > 200000 maximum",
    ] {
        let refused = anthropic::error_with(400, "invalid_request_error", message);
        let first = Upstream::answering(in_turn([refused])).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let relay = Relay::start(&json!({"providers": [
            provider("first", "anthropic", &first.url()), provider("second", "anthropic", &second.url()),
        ]}))
        .await;
        for count in 1..=2 {
            let response = send(&relay, BODY).await;
            assert_eq!((response.status, &response.json()["error"]["message"]), (400, &json!(message)));
            assert_eq!((first.requests().len(), second.requests().len()), (count, 0));
        }
    }
}

fn with_model(model: &str) -> String {
    json!({"model": model, "max_tokens": 8, "messages": []}).to_string()
}

#[tokio::test]
async fn a_refusal_of_one_model_of_ollama_leaves_the_local_model_in_use() {
    let memory = "model requires more system memory (49.5 GiB) than is available (13.0 GiB)";
    for answer in [
        ollama::error(401, "authentication_error", "unauthorized"),
        ollama::error(403, "permission_error", "this model requires a subscription, upgrade for access"),
        ollama::error(429, "rate_limit_error", "weekly usage limit, try again in 20s")
            .with_header("retry-after", "20"),
        ollama::error(500, "api_error", memory),
        ollama::error(502, "api_error", "bad gateway"),
        ollama::error(503, "overloaded_error", "busy"),
        Answer::text(502, "text/html", "<h1>Bad Gateway</h1>"),
    ] {
        let label = format!("{answer:?}");
        let upstream =
            Upstream::answering(move |request| match request.json()["model"] == "kimi-k2.7:cloud" {
                true => answer.clone(),
                false => anthropic::answer_with("local")(request),
            });
        let upstream = upstream.await;
        let relay = Relay::start(&json!({
            "providers": [minimal_provider("ollama", "ollama", &upstream.url())], "health": fragile(),
        }))
        .await;
        for _ in 0..6 {
            let response = send(&relay, with_model("kimi-k2.7:cloud")).await;
            assert!(response.status != 200 && response.status != 401, "{label}: {}", response.status);
        }
        assert_eq!(send(&relay, with_model("qwen3:8b")).await.text(), "local", "{label}");
        let providers = Call::get("/v1/providers").send(relay.address()).await.json();
        assert_eq!(providers["data"][0]["circuit"], "closed", "{label}");
    }
}

#[tokio::test]
async fn a_model_that_a_provider_does_not_serve_rests_there() {
    let first = Upstream::answering(|request| match request.json()["model"] == "claude-opus-5-5" {
        true => anthropic::error_with(404, "not_found_error", "model: claude-opus-5-5"),
        false => anthropic::answer_with("first")(request),
    });
    let first = first.await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = Relay::start(&json!({"providers": [
        provider("first", "anthropic", &first.url()), provider("second", "anthropic", &second.url()),
    ], "health": fragile()}))
    .await;
    for _ in 0..3 {
        assert_eq!(send(&relay, BODY).await.text(), "second");
    }
    assert_eq!(first.requests().len(), 1, "the model rests at the first provider");
    assert_eq!(send(&relay, with_model("claude-haiku-5-5")).await.text(), "first");
}

#[tokio::test]
async fn unusual_statuses_are_failures_of_the_upstream() {
    for status in [101, 304, 600, 999, 301, 307, 501, 505] {
        for body in [BODY, STREAMED] {
            let answer = Answer::new(status).with_header("location", "http://127.0.0.1:1/");
            let odd = Upstream::answering(in_turn([answer])).await;
            let alone = Relay::start(&json!({"providers": [provider("odd", "anthropic", &odd.url())]})).await;
            let response = send(&alone, body).await;
            let expected = if (500..600).contains(&status) { status } else { 502 };
            assert_eq!(
                (response.status, &response.json()["error"]["type"]),
                (expected, &json!("api_error")),
                "{status}"
            );

            let second = Upstream::answering(anthropic::answer_with("second")).await;
            let relay = Relay::start(&json!({"providers": [
                provider("odd", "anthropic", &odd.url()), provider("second", "anthropic", &second.url()),
            ]}))
            .await;
            assert_eq!(send(&relay, body).await.text(), "second", "{status}");
        }
    }
}

#[tokio::test]
async fn unusual_statuses_of_the_rest_of_the_api_are_failures_of_the_upstream() {
    for status in [101, 302, 600, 999] {
        let odd = Upstream::answering(in_turn([Answer::new(status)])).await;
        let relay = Relay::start(&json!({"providers": [provider("odd", "anthropic", &odd.url())]})).await;
        let response = Call::get("/v1/files").send(relay.address()).await;
        assert_eq!(
            (response.status, &response.json()["error"]["type"]),
            (502, &json!("api_error")),
            "{status}"
        );
    }
}
