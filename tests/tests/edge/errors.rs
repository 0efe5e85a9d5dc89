//! Errors of upstreams in each provider's format, and their translation for the client.

use relay_tests::fakes::{anthropic, ollama, zai};
use relay_tests::{
    Answer, Call, Coding, Ending, Relay, Response, Upstream, in_turn, provider, send_to_lone_provider,
};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"m","max_tokens":8,"messages":[]}"#;

/// Returns the client's response if the only provider is of this kind and returns `answer`.
async fn answered(kind: &str, answer: Answer) -> Response {
    send_to_lone_provider(kind, answer, BODY).await
}

#[track_caller]
fn check(response: &Response, status: u16, kind: &str, message: &str) {
    let body = response.json();
    let found = (response.status, &body["type"], &body["error"]["type"], &body["error"]["message"]);
    assert_eq!(found, (status, &json!("error"), &json!(kind), &json!(message)));
    assert_eq!(response.headers.get("content-type"), Some("application/json"));
    assert!(response.headers.contains("request-id"));
}

#[tokio::test]
async fn an_error_in_anthropics_format_passes_byte_for_byte() {
    let odd = r#"{"type" : "error","error":{"message":"\u006eo","type":"overloaded_error","x":1.50}}"#;
    for kind in ["anthropic", "anthropic_compatible", "zai", "minimax", "ollama"] {
        let answer = Answer::json(500, &Value::Null).with_body(odd).with_header("content-language", "en");
        let response = answered(kind, answer).await;
        assert_eq!((response.status, response.body()), (500, odd.into()), "{kind}");
        assert_eq!(response.headers.get("content-language"), Some("en"));
    }
}

#[tokio::test]
async fn html_plain_text_and_empty_bodies_become_anthropic_errors() {
    let cloudflare =
        "<!DOCTYPE html><html><head><title>gw.example | 524: A timeout occurred</title></head></html>";
    for (answer, status, kind, message) in [
        (
            Answer::text(502, "text/html", "<html><head><title>502 Bad Gateway</title></head></html>"),
            502,
            "api_error",
            "provider `gw` answered 502 with a page: 502 Bad Gateway",
        ),
        (
            Answer::text(524, "text/html; charset=UTF-8", cloudflare),
            524,
            "api_error",
            "provider `gw` answered 524 with a page: gw.example | 524: A timeout occurred",
        ),
        (
            Answer::text(413, "text/html", "<h1>413 Request Entity Too Large</h1>"),
            413,
            "request_too_large",
            "provider `gw` answered 413 with a page: 413 Request Entity Too Large",
        ),
        (Answer::new(503), 503, "overloaded_error", "provider `gw` answered 503 with an empty body"),
        (
            Answer::text(500, "text/plain", "upstream connect error at http://10.0.0.7:8443/?token=x"),
            500,
            "api_error",
            "upstream connect error at … (provider `gw`)",
        ),
        (
            Answer::json(
                400,
                &json!({"error": {"message": "No such field", "type": "invalid", "code": null}}),
            ),
            400,
            "invalid_request_error",
            "No such field (provider `gw`)",
        ),
        (Answer::json(422, &json!({"detail": "bad"})), 422, "invalid_request_error", "bad (provider `gw`)"),
    ] {
        let response = answered("anthropic_compatible", answer.clone()).await;
        check(&response, status, kind, message);
        // The request id is in both places, so that an error report can contain it.
        assert_eq!(response.json()["request_id"].as_str(), response.headers.get("request-id"));
        for coding in Coding::ALL {
            let compressed = answer.clone().compressed(coding).await;
            let response = answered("anthropic_compatible", compressed).await;
            assert_eq!(response.headers.get("content-encoding"), None);
            if status != 503 {
                check(&response, status, kind, message);
            }
        }
    }
}

#[tokio::test]
async fn an_error_whose_body_breaks_off_keeps_its_status() {
    let page = Answer::text(502, "text/html", "<title>Bad</title>")
        .with_content_length(9000)
        .with_ending(Ending::Fin);
    let response = answered("anthropic_compatible", page).await;
    check(&response, 502, "api_error", "provider `gw` answered 502 with a page: Bad");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_reported_in_the_text_that_makes_the_client_compact() {
    let text = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000.";
    let openai = json!({"error": {"message": text, "type": "invalid_request_error", "code": "context_length_exceeded"}});
    for (kind, answer, text) in [
        ("anthropic_compatible", Answer::json(400, &openai), text),
        ("zai", zai::bare_error(400, "1261", "Prompt exceeds max length"), "Prompt exceeds max length"),
        ("zai", zai::error(400, "1261", "[1261][too much][id]"), "[1261][too much][id]"),
        (
            "ollama",
            ollama::error(500, "api_error", "the input length exceeds the context length"),
            "the input length exceeds the context length",
        ),
    ] {
        let expected = format!("prompt is too long: {text}");
        check(&answered(kind, answer).await, 400, "invalid_request_error", &expected);
    }
    // For this error, the client has to request a shorter answer, and reads the limit from the numbers.
    let text = "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease either";
    let response = answered("zai", anthropic::error_with(400, "invalid_request_error", text)).await;
    check(&response, 400, "invalid_request_error", text);
}

#[tokio::test]
async fn a_rate_limit_error_has_the_time_until_its_end() {
    let date = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
    let limited = || anthropic::error_with(429, "rate_limit_error", "slow down").with_header(date.0, date.1);
    let openai = |message: &str| Answer::json(429, &json!({"error": {"message": message, "type": "tokens"}}));
    let until_evening =
        "[1308][Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 21:00:00][id]";
    for (kind, answer, expected) in [
        ("anthropic", limited().with_header("retry-after", "3600"), Some("3600")),
        ("anthropic", limited().with_header("retry-after", "0.4"), Some("1")),
        ("anthropic", limited().with_header("retry-after", "Sun, 22 Nov 2026 12:00:50 GMT"), Some("50")),
        (
            "anthropic",
            limited()
                .with_header("anthropic-ratelimit-requests-remaining", "0")
                .with_header("anthropic-ratelimit-requests-reset", "2026-11-22T12:00:07Z"),
            Some("7"),
        ),
        ("anthropic", limited(), None),
        ("anthropic_compatible", openai("Rate limit reached. Please try again in 1m2.5s."), Some("63")),
        // The time of the upstream is in Beijing's time zone: its evening is noon in UTC.
        ("zai", zai::error(429, "1308", until_evening).with_header(date.0, date.1), Some("3600")),
        ("zai", zai::error(429, "1302", "concurrency"), None),
    ] {
        let response = answered(kind, answer).await;
        assert_eq!((response.status, response.headers.get("retry-after")), (429, expected), "{kind}");
        assert_eq!(response.headers.get("x-should-retry"), None);
    }
}

#[tokio::test]
async fn exhausted_credit_is_reported_without_a_retry() {
    let error = json!({
        "type": "rate_limit_error",
        "message": "This organization has reached its spend limit.",
        "details": {"error_code": "enforced_spend_limit_reached"},
    });
    let cap = Answer::json(429, &json!({"type": "error", "error": error}));
    let response = answered("anthropic", cap).await;
    assert_eq!((response.status, response.json()["error"].clone()), (429, error));
    assert_eq!(response.headers.get("x-should-retry"), Some("false"));
    assert_eq!(response.headers.get("retry-after"), None, "the end of the limit is unknown");

    let response = answered("zai", zai::error(429, "1113", "Insufficient balance")).await;
    assert_eq!((response.status, response.headers.get("x-should-retry")), (502, Some("false")));
}

#[tokio::test]
async fn a_configuration_error_of_ollama_is_explained() {
    let response = answered("ollama", Answer::new(403)).await;
    let message = response.json()["error"]["message"].as_str().expect("a message").to_owned();
    assert_eq!(response.status, 403);
    assert!(message.contains("OLLAMA_HOST") && message.contains("127.0.0.1"), "{message}");

    let response = answered("ollama", Answer::text(404, "text/plain", "404 page not found")).await;
    let message = response.json()["error"]["message"].as_str().expect("a message").to_owned();
    assert!(response.status == 404 && message.contains("0.14"), "{message}");

    let unknown = ollama::error(404, "not_found_error", "model 'x' not found");
    check(&answered("ollama", unknown).await, 404, "not_found_error", "model 'x' not found");
}

#[tokio::test]
async fn a_missing_field_that_zai_requires_is_named() {
    let failure = zai::error(500, "500", "[500][Operation failed][id]");
    let response = send_to_lone_provider("zai", failure, r#"{"model":"m","messages":[]}"#).await;
    check(&response, 400, "invalid_request_error", "max_tokens: Field required");
}

#[tokio::test]
async fn the_error_of_the_last_of_several_providers_is_translated() {
    let page = Answer::text(502, "text/html", "<title>Bad Gateway</title>");
    let first = Upstream::answering(in_turn([page.clone()])).await;
    let second = Upstream::answering(in_turn([page])).await;
    let providers = [provider("first", "anthropic", &first.url()), provider("second", "zai", &second.url())];
    let relay = Relay::start(&json!({"providers": providers})).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    check(&response, 502, "api_error", "provider `second` answered 502 with a page: Bad Gateway");
}
