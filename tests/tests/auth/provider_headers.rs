//! Fixed headers to an upstream, and client headers that are passed on.

use relay_tests::fakes::bedrock::{self, ACCESS_KEY, REGION, SECRET_KEY};
use relay_tests::fakes::{anthropic, google};
use relay_tests::{Answer, Call, PROVIDER_KEY, Relay, Request, Upstream, passthrough, provider};
use serde_json::{Value, json};

const BODY: &str =
    r#"{"model":"claude-sonnet-4-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
const COUNT: &str = r#"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"hi"}]}"#;
const SECRET: &str = "gateway secret, \"quoted\"";

/// Answers a message, a count or a list of models in the form of any kind.
fn answer(request: &Request) -> Answer {
    match request.path().rsplit(['/', ':']).next() {
        Some("count_tokens" | "count-tokens" | "rawPredict") if request.mentions("count") => {
            Answer::json(200, &json!({"input_tokens": 3, "inputTokens": 3}))
        }
        Some("models") => anthropic::answer(request),
        Some("tags") => Answer::json(200, &json!({"models": [{"name": "qwen3"}]})),
        _ => Answer::json(
            200,
            &json!({"type": "message", "id": "msg_1", "role": "assistant", "model": "m", "content": [],
                    "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}),
        ),
    }
}

/// Adds a fixed header, and two client headers to pass on.
fn with_headers(mut provider: Value) -> Value {
    provider["headers"] = json!({"X-Gateway-Key": SECRET, "User-Agent": "our-relay"});
    provider["forward_headers"] = json!(["X-Team", "Traceparent"]);
    provider
}

/// Returns a provider of every kind that has an upstream.
fn providers(url: &str, credentials: &str) -> Vec<Value> {
    let compatible = |auth: &str, keys: Value| json!({"name": "p", "type": "anthropic_compatible", "base_url": url, "auth": auth, "keys": keys});
    let keys = || json!([{"key": PROVIDER_KEY}]);
    let mut bearer = bedrock::provider(url, "anthropic.claude-sonnet-4-5-20250929-v1:0");
    for key in ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"] {
        bearer.as_object_mut().expect("a table").remove(key);
    }
    bearer["aws_bearer_token"] = json!(PROVIDER_KEY);
    vec![
        passthrough("p", url),
        provider("p", "anthropic", url),
        provider("p", "zai", url),
        json!({"name": "p", "type": "ollama", "base_url": url}),
        provider("p", "minimax", url),
        provider("p", "moonshot", url),
        provider("p", "deepseek", url),
        provider("p", "openrouter", url),
        provider("p", "azure", url),
        compatible("x-api-key", keys()),
        compatible("bearer", keys()),
        compatible("none", json!([])),
        bedrock::provider(url, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        bearer,
        json!({"name": "p", "type": "vertex", "base_url": url, "gcp_project_id": "my-project", "credentials_file": credentials}),
    ]
}

/// Adds the client's headers: those that are passed on, and others that are not.
fn from_client(call: Call) -> Call {
    call.header("x-api-key", "sk-ant-api03-of-the-client")
        .header("x-team", "one")
        .header("X-TEAM", "two")
        .header("x-other", "not passed on")
        .header("user-agent", "claude-cli")
        .header("x-gateway-key", "of the client")
}

#[track_caller]
fn assert_headers(request: &Request, context: &str) {
    let all = |name| request.headers.all(name).collect::<Vec<_>>();
    assert_eq!(all("x-gateway-key"), [SECRET], "{context}");
    assert_eq!(all("user-agent"), ["our-relay"], "{context}");
    assert_eq!(all("x-team"), ["one", "two"], "{context}");
    assert!(!request.headers.contains("x-other") && !request.headers.contains("traceparent"), "{context}");
}

#[tokio::test]
async fn every_kind_sends_fixed_and_forwarded_headers_with_messages_and_counts() {
    let tokens = Upstream::answering(|request| google::answer(request, "ya29.token", 3600)).await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let upstream = Upstream::answering(answer).await;
    let mut seen = 0;
    for provider in providers(&upstream.url(), &file.path().display().to_string()) {
        let relay = Relay::start(&json!({"providers": [with_headers(provider.clone())]})).await;
        let response = from_client(Call::messages(BODY)).send(relay.address()).await;
        assert_eq!(response.status, 200, "{provider}: {}", response.text());
        for (_, value) in response.headers.iter() {
            assert!(!value.contains("gateway secret"), "{provider}");
        }
        let count =
            from_client(Call::post("/v1/messages/count_tokens").json(COUNT)).send(relay.address()).await;
        assert_eq!(count.status, 200, "{provider}: {}", count.text());
        let requests = upstream.requests().split_off(seen);
        seen += requests.len();
        assert!(!requests.is_empty(), "{provider}");
        for request in requests {
            assert_headers(&request, &format!("{provider} {}", request.target));
        }
    }
}

#[tokio::test]
async fn the_forwarded_api_and_lists_of_models_carry_the_headers() {
    let upstream = Upstream::answering(answer).await;
    let mut anthropic = with_headers(provider("p", "anthropic", &upstream.url()));
    anthropic["discover_models"] = json!(true);
    let relay = Relay::start(&json!({"providers": [anthropic]})).await;
    assert_eq!(from_client(Call::get("/v1/files")).send(relay.address()).await.status, 200);
    assert_headers(&upstream.only_request(), "files");
    assert_eq!(Call::get("/v1/models").send(relay.address()).await.status, 200);
    let list = upstream.requests().remove(1);
    assert_eq!((list.path(), list.header("x-gateway-key")), ("/v1/models", SECRET));

    let mut ollama = with_headers(json!({"name": "p", "type": "ollama", "base_url": upstream.url()}));
    ollama["discover_models"] = json!(true);
    let relay = Relay::start(&json!({"providers": [ollama]})).await;
    assert_eq!(Call::get("/v1/models").send(relay.address()).await.status, 200);
    let tags = upstream.requests().remove(2);
    assert_eq!((tags.path(), tags.header("x-gateway-key")), ("/api/tags", SECRET));
}

#[tokio::test]
async fn a_probe_carries_the_fixed_headers() {
    let upstream = Upstream::answering(|request| match request.method.as_str() {
        "HEAD" => Answer::json(200, &json!({})),
        _ => anthropic::error(500),
    })
    .await;
    let relay = Relay::start(&json!({
        "providers": [with_headers(provider("p", "zai", &upstream.url()))],
        "health": {"circuit_breaker": {"failure_threshold": 1}, "health_check": {"interval_ms": 100}},
    }))
    .await;
    Call::messages(BODY).send(relay.address()).await;
    let probe = upstream.wait_for_requests(2).await.remove(1);
    assert_eq!((probe.method.as_str(), probe.header("x-gateway-key")), ("HEAD", SECRET));
    assert!(!probe.headers.contains("x-api-key"));
}

#[tokio::test]
async fn a_fixed_authorization_reaches_a_gateway_beside_the_key() {
    let upstream = Upstream::answering(answer).await;
    let mut azure = provider("p", "azure", &upstream.url());
    azure["headers"] = json!({"authorization": "Bearer of-the-gateway", "ocp-apim-subscription-key": "apim"});
    let relay = Relay::start(&json!({"providers": [azure]})).await;
    let call = Call::messages(BODY).header("authorization", "Bearer sk-ant-oat01-of-the-client");
    assert_eq!(call.send(relay.address()).await.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.headers.all("authorization").collect::<Vec<_>>(), ["Bearer of-the-gateway"]);
    assert_eq!(
        (request.header("x-api-key"), request.header("ocp-apim-subscription-key")),
        (PROVIDER_KEY, "apim")
    );
}

#[tokio::test]
async fn a_signature_covers_the_headers_of_aws_and_no_others() {
    let upstream = Upstream::answering(answer).await;
    let mut provider = bedrock::provider(&upstream.url(), "anthropic.claude-sonnet-4-5-20250929-v1:0");
    provider["headers"] = json!({"X-Amz-Source-Arn": "arn:aws:1", "X-Gateway-Key": SECRET});
    provider["forward_headers"] = json!(["x-amz-tag", "x-team", "x-amzn-trace-id", "x-amz-odd"]);
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    let call = from_client(Call::messages(BODY)).header("x-amz-tag", "b").header("x-amz-tag", "a  c");
    let call = call.header("x-amzn-trace-id", "Root=1").header("x-amz-odd", "\u{e9}");
    assert_eq!(call.send(relay.address()).await.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.header("x-gateway-key"), SECRET);
    assert_eq!(request.headers.all("x-amz-tag").collect::<Vec<_>>(), ["b", "a  c"]);
    // An unsigned header of AWS would be refused. A load balancer changes the trace id.
    assert_eq!((request.headers.get("x-amz-odd"), request.header("x-amzn-trace-id")), (None, "Root=1"));
    let authorization = request.header("authorization");
    // A gateway may remove its own headers, which must not break the signature.
    let signed = "SignedHeaders=content-type;host;x-amz-date;x-amz-source-arn;x-amz-tag,";
    assert!(authorization.contains(signed), "{authorization}");
    assert!(authorization.contains(&format!("Credential={ACCESS_KEY}/")) && authorization.contains(REGION));
    assert!(!request.mentions(SECRET_KEY));
}

#[tokio::test]
async fn a_header_that_the_client_declares_as_one_of_its_connection_is_not_passed_on() {
    let upstream = Upstream::answering(answer).await;
    let relay =
        Relay::start(&json!({"providers": [with_headers(provider("p", "zai", &upstream.url()))]})).await;
    let call = Call::messages(BODY).header("x-team", "one").header("connection", "X-Team");
    assert_eq!(call.send(relay.address()).await.status, 200);
    assert!(!upstream.only_request().headers.contains("x-team"));
}

#[tokio::test]
async fn a_fixed_header_counts_as_a_credential_of_the_operator() {
    let upstream = Upstream::answering(answer).await;
    let auth = json!({"api_key": "client-key", "allow_subscription": true});
    let ollama = json!({"name": "p", "type": "ollama", "base_url": upstream.url()});
    for (provider, status) in [(ollama.clone(), 200), (with_headers(ollama), 403)] {
        let relay = Relay::start(&json!({"server": {"auth": auth}, "providers": [provider]})).await;
        let call = Call::messages(BODY).header("authorization", "Bearer sk-ant-oat01-made-up");
        assert_eq!(call.send(relay.address()).await.status, status);
    }
}
