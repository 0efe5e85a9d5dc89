//! Failures of `count_tokens`: the client gets an estimate, and messages are served as before.

use relay_tests::fakes::{anthropic, bedrock, google, vertex};
use relay_tests::{
    Answer, Call, Ending, Relay, Request, Response, Upstream, minimal_provider, passthrough, provider,
};
use serde_json::{Value, json};

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hello"}]}"#;
const OTHER_MODEL: &str = r#"{"model":"claude-haiku-5-5","max_tokens":8,"messages":[]}"#;
const COUNT: &str = "/v1/messages/count_tokens";

/// A circuit that opens after one failure and does not close within a test.
fn fragile() -> Value {
    json!({"circuit_breaker": {"failure_threshold": 1, "open_duration_ms": 3_600_000}, "health_check": {"enabled": false}})
}

async fn relay(providers: &[Value]) -> Relay {
    Relay::start(&json!({"providers": providers, "health": fragile()})).await
}

async fn count(relay: &Relay, body: &'static str) -> Response {
    Call::post(COUNT).json(body).send(relay.address()).await
}

async fn send(relay: &Relay) -> Response {
    Call::messages(BODY).send(relay.address()).await
}

fn is_count(request: &Request) -> bool {
    request.target.contains("count")
}

/// Answers messages well and counts with `answer`.
fn counting(answer: Answer) -> impl Fn(&Request) -> Answer + Send + Sync {
    move |request| match is_count(request) {
        true => answer.clone(),
        false => anthropic::answer_with("hello")(request),
    }
}

fn counts(upstream: &Upstream) -> usize {
    upstream.requests().iter().filter(|request| is_count(request)).count()
}

#[track_caller]
fn assert_estimated(response: &Response, label: &str) {
    assert_eq!(response.status, 200, "{label}: {:?}", response.body());
    assert_eq!(response.headers.get("x-cc-relay-estimated"), Some("true"), "{label}");
    assert!(response.json()["input_tokens"].is_u64(), "{label}: {:?}", response.body());
}

/// Failures that a next count would meet again, and the others.
fn failures() -> Vec<(Answer, bool)> {
    let json = |status, body: Value| Answer::json(status, &body);
    let page = |status| Answer::text(status, "text/html", "<html><title>Oh</title></html>");
    vec![
        (
            json(200, json!({"error": "Unexpected endpoint or method. (POST /v1/messages/count_tokens)"})),
            true,
        ),
        (json(200, json!(null)), true),
        (json(200, json!({})), true),
        (json(200, json!({"input_tokens": null})), true),
        (json(200, json!({"tokens": 7})), true),
        (page(200), true),
        (Answer::new(200), true),
        (Answer::text(404, "text/plain", "404 page not found"), true),
        (anthropic::error_with(404, "not_found_error", "model: claude-opus-5-5"), true),
        (page(404), true),
        (page(405), true),
        (page(501), true),
        (anthropic::error_with(403, "permission_error", "no right to count"), true),
        (page(400), false),
        (
            json(400, json!({"error": {"message": "Unknown request URL: POST /v1/messages/count_tokens"}})),
            true,
        ),
        (anthropic::error_with(401, "authentication_error", "invalid x-api-key"), false),
        (
            anthropic::error_with(429, "rate_limit_error", "slow down").with_header("retry-after", "3600"),
            false,
        ),
        (anthropic::error(500), false),
        (page(502), false),
        (anthropic::error(529), false),
        (Answer::new(503).with_ending(Ending::Fin), false),
        (Answer::new(302).with_header("location", "http://127.0.0.1:1/"), false),
        (Answer::new(600), false),
    ]
}

#[tokio::test]
async fn a_failed_count_is_estimated_and_leaves_messages_as_they_were() {
    for (answer, is_lasting) in failures() {
        let label = format!("{answer:?}");
        let upstream = Upstream::answering(counting(answer)).await;
        let relay = relay(&[provider("gw", "anthropic", &upstream.url())]).await;
        for _ in 0..3 {
            assert_estimated(&count(&relay, BODY).await, &label);
        }
        assert_eq!(counts(&upstream), if is_lasting { 1 } else { 3 }, "{label}");
        assert_estimated(&count(&relay, OTHER_MODEL).await, &label);
        assert_eq!(send(&relay).await.text(), "hello", "{label}");
        let providers = Call::get("/v1/providers").send(relay.address()).await.json();
        assert_eq!(providers["data"][0]["circuit"], "closed", "{label}");
    }
}

#[tokio::test]
async fn a_count_fails_over_before_it_is_estimated() {
    for (answer, _) in failures() {
        let label = format!("{answer:?}");
        let first = Upstream::answering(counting(answer)).await;
        let second = Upstream::answering(anthropic::answer).await;
        let relay = relay(&[
            provider("first", "anthropic", &first.url()),
            provider("second", "anthropic", &second.url()),
        ])
        .await;
        let response = count(&relay, BODY).await;
        assert_eq!((response.status, response.json()), (200, json!({"input_tokens": 2095})), "{label}");
        assert_eq!(response.headers.get("x-cc-relay-estimated"), None, "{label}");
        assert_eq!(send(&relay).await.text(), "hello", "{label}: messages stay at the first provider");
    }
}

#[tokio::test]
async fn a_count_at_an_unreachable_or_silent_upstream_is_estimated() {
    let (_socket, address) = Upstream::refusing();
    let silent = Upstream::scripted(|mut connection| async move {
        while let Some(request) = connection.receive().await {
            if is_count(&request) {
                connection.peer_closed().await;
                return;
            }
            connection.answer(&anthropic::answer_with("hello")(&request)).await.expect("the relay listens");
        }
    });
    let silent = silent.await;
    let refusing = relay(&[provider("gw", "anthropic", &format!("http://{address}"))]).await;
    assert_estimated(&count(&refusing, BODY).await, "refused");
    let mut slow = provider("gw", "anthropic", &silent.url());
    slow["first_byte_timeout_ms"] = json!(100);
    let relay = relay(&[slow]).await;
    assert_estimated(&count(&relay, BODY).await, "silent");
    assert_eq!(send(&relay).await.text(), "hello");
}

#[tokio::test]
async fn the_clients_own_mistake_stays_the_clients() {
    for (status, kind) in [(400, "invalid_request_error"), (413, "request_too_large")] {
        let refused = anthropic::error_with(status, kind, "messages: Field required");
        let first = Upstream::answering(counting(refused)).await;
        let second = Upstream::answering(anthropic::answer).await;
        let relay = relay(&[
            provider("first", "anthropic", &first.url()),
            provider("second", "anthropic", &second.url()),
        ])
        .await;
        for _ in 0..2 {
            let response = count(&relay, BODY).await;
            assert_eq!((response.status, &response.json()["error"]["type"]), (status, &json!(kind)));
        }
        assert_eq!((counts(&first), counts(&second)), (2, 0));
    }
}

#[tokio::test]
async fn every_kind_without_a_count_is_estimated() {
    for kind in [
        "anthropic",
        "zai",
        "minimax",
        "moonshot",
        "deepseek",
        "openrouter",
        "ollama",
        "anthropic_compatible",
        "azure",
    ] {
        for status in [403, 404, 500] {
            let upstream = Upstream::answering(counting(anthropic::error(status))).await;
            let relay = relay(&[minimal_provider("gw", kind, &upstream.url())]).await;
            assert_estimated(&count(&relay, BODY).await, kind);
            assert_eq!(send(&relay).await.status, 200, "{kind} {status}");
        }
    }
}

#[tokio::test]
async fn bedrock_without_the_right_to_count_is_estimated() {
    let denied = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: bedrock:CountTokens";
    for answer in [
        bedrock::error(403, "AccessDeniedException", denied),
        bedrock::error(
            400,
            "ValidationException",
            "Invocation of model ID x with on-demand throughput isn't supported.",
        ),
        bedrock::error(400, "ValidationException", "The provided model identifier is invalid."),
        bedrock::error(429, "ThrottlingException", "Too many requests"),
        bedrock::error(500, "InternalServerException", "oh"),
        Answer::json(200, &json!({"tokens": 1})),
    ] {
        let label = format!("{answer:?}");
        let upstream = Upstream::answering(move |request| match is_count(request) {
            true => answer.clone(),
            false => bedrock::answer(request),
        });
        let upstream = upstream.await;
        let model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
        let relay = relay(&[bedrock::provider(&upstream.url(), model)]).await;
        assert_estimated(&count(&relay, BODY).await, &label);
        assert_eq!(send(&relay).await.status, 200, "{label}");
    }
}

#[tokio::test]
async fn vertex_without_a_count_is_estimated() {
    let error = |status: u16, code: &str| {
        Answer::json(status, &json!({"error": {"code": status, "message": "no", "status": code}}))
    };
    for answer in [error(403, "PERMISSION_DENIED"), error(404, "NOT_FOUND"), error(503, "UNAVAILABLE")] {
        let label = format!("{answer:?}");
        let tokens = Upstream::answering(|request| google::answer(request, "ya29.token", 3600)).await;
        let upstream = Upstream::answering(move |request| match is_count(request) {
            true => answer.clone(),
            false => vertex::answer(request),
        });
        let upstream = upstream.await;
        let file = google::credentials_file(&google::service_account(&tokens.url()));
        let provider = json!({"name": "vertex", "type": "vertex", "base_url": upstream.url(),
            "gcp_project_id": "p", "gcp_region": "eu", "credentials_file": file.path()});
        let relay = relay(&[provider]).await;
        assert_estimated(&count(&relay, BODY).await, &label);
        assert_eq!(send(&relay).await.status, 200, "{label}");
    }
}

#[tokio::test]
async fn a_clients_own_refused_credential_stays_the_clients_and_a_missing_right_is_estimated() {
    for (status, is_estimated) in [(401, false), (403, true), (404, true), (429, true), (500, true)] {
        let upstream = Upstream::answering(counting(anthropic::error(status))).await;
        let relay = relay(&[passthrough("gw", &upstream.url())]).await;
        for number in 1..=2 {
            let call = Call::post(COUNT).header("x-api-key", "sk-ant-api03-of-the-client").json(BODY);
            let response = call.send(relay.address()).await;
            match is_estimated {
                true => assert_estimated(&response, &status.to_string()),
                false => assert_eq!(response.status, status),
            }
            assert_eq!(counts(&upstream), number, "{status}: another client may have the right");
        }
    }
}

#[tokio::test]
async fn a_count_is_estimated_while_the_circuit_is_open() {
    let upstream = Upstream::answering(|request| match is_count(request) {
        true => anthropic::answer(request),
        false => anthropic::error(500),
    });
    let upstream = upstream.await;
    let relay = relay(&[provider("gw", "anthropic", &upstream.url())]).await;
    assert_eq!(send(&relay).await.status, 500);
    assert_estimated(&count(&relay, BODY).await, "open circuit");
    assert_eq!(counts(&upstream), 0);
}

#[tokio::test]
async fn failed_counts_do_not_end_the_rest_of_a_key_nor_begin_one() {
    // A key without money can still count.
    let poor = anthropic::error_with(
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the API.",
    );
    let upstream = Upstream::answering(move |request| match request.header("x-api-key") {
        "poor" if !is_count(request) => poor.clone(),
        _ => anthropic::answer(request),
    });
    let upstream = upstream.await;
    let mut pool = provider("gw", "anthropic", &upstream.url());
    pool["keys"] = json!([{"key": "poor", "priority": 2}, {"key": "rich", "priority": 1}]);
    let relay = relay(&[pool]).await;
    for _ in 0..3 {
        assert_eq!(send(&relay).await.status, 200);
        assert_eq!(count(&relay, BODY).await.json(), json!({"input_tokens": 2095}));
    }
    let messages = upstream.requests().into_iter().filter(|request| !is_count(request));
    let keys: Vec<_> = messages.map(|request| request.header("x-api-key").to_owned()).collect();
    assert_eq!(keys, ["poor", "rich", "rich", "rich"]);
}
