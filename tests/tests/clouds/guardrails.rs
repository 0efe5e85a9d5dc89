//! Guardrails of Amazon Bedrock: requested by a client, or enforced by the operator.

use relay_tests::fakes::bedrock::{self, ACCESS_KEY, REGION, SECRET_KEY};
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Call, Python, Relay, Request, Response, Upstream, minimal_provider, provider};
use serde_json::{Value, json};

const MODEL: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
const ID: &str = "x-amzn-bedrock-guardrailidentifier";
const VERSION: &str = "x-amzn-bedrock-guardrailversion";
const TRACE: &str = "x-amzn-bedrock-trace";

/// Everything that InvokeModel takes in headers, in the case that AWS's SDKs write.
const ALL: [(&str, &str); 6] = [
    ("X-Amzn-Bedrock-GuardrailIdentifier", "abc1"),
    ("X-Amzn-Bedrock-GuardrailVersion", "2"),
    ("X-Amzn-Bedrock-Trace", "ENABLED"),
    ("X-Amzn-Bedrock-PerformanceConfig-Latency", "optimized"),
    ("X-Amzn-Bedrock-Service-Tier", "priority"),
    ("X-Amzn-Bedrock-Request-Metadata", r#"{"team": "a b"}"#),
];

fn call(stream: bool, headers: &[(&str, &str)]) -> Call {
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 8, "messages": [], "stream": stream});
    headers.iter().fold(Call::messages(body.to_string()), |call, (name, value)| call.header(name, *value))
}

fn answer(request: &Request) -> relay_tests::Answer {
    match request.path() {
        "/v1/messages" => anthropic::message(request, &Reply::new("claude").text("Hello!")),
        _ => bedrock::answer(request),
    }
}

async fn relay(providers: &[Value]) -> Relay {
    Relay::start(&json!({"providers": providers})).await
}

fn enforcing(url: &str, guardrail: Value) -> Value {
    let mut provider = bedrock::provider(url, MODEL);
    provider["bedrock_guardrail"] = guardrail;
    provider
}

/// Asserts that the upstream received exactly these headers for Bedrock, and that the signature covers them.
async fn assert_sent(request: &Request, expected: &[(&str, &str)]) {
    let mut found: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-amzn-bedrock-"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    found.sort();
    let mut expected: Vec<_> =
        expected.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
    expected.sort();
    assert_eq!(found, expected);
    let signature = request.header("authorization");
    for (name, _) in &expected {
        assert!(
            signature.contains(&format!(";{name};")) || signature.contains(&format!(";{name},")),
            "{signature}"
        );
    }
    let Some(python) = Python::find() else { return };
    let mut headers = json!({"content-type": request.header("content-type"), "host": request.header("host")});
    for (name, value) in &expected {
        headers[name] = json!(value);
    }
    let call = json!({
        "method": request.method, "url": format!("http://{}{}", request.header("host"), request.target),
        "headers": headers, "body": base64_simd::STANDARD.encode_to_string(&request.body),
        "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "token": null, "region": REGION,
        "service": "bedrock", "date": request.header("x-amz-date"),
    });
    assert_eq!(python.signatures(&[call]).await, [json!(signature)]);
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, kind: &str, part: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    let error = response.json();
    assert_eq!(error["error"]["type"], kind);
    let message = error["error"]["message"].as_str().expect("a message");
    assert!(message.contains(part), "{message}");
    assert_eq!(response.headers.get("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn headers_of_the_client_reach_bedrock_and_are_signed() {
    for (api, stream) in [("invoke", false), ("invoke", true), ("messages", false), ("messages", true)] {
        let upstream = Upstream::answering(answer).await;
        let mut provider = bedrock::provider(&upstream.url(), MODEL);
        provider["bedrock_api"] = json!(api);
        let relay = relay(&[provider]).await;
        assert_eq!(call(stream, &ALL).send(relay.address()).await.status, 200);
        assert_sent(&upstream.only_request(), &ALL).await;
    }
}

#[tokio::test]
async fn the_enforced_guardrail_is_sent_with_every_message() {
    let guardrail = json!({"id": "abc1", "version": "2", "trace": "DISABLED"});
    let enforced = [(ID, "abc1"), (VERSION, "2"), (TRACE, "DISABLED")];
    for stream in [false, true] {
        let upstream = Upstream::answering(answer).await;
        let relay = relay(&[enforcing(&upstream.url(), guardrail.clone())]).await;
        let clients: [&[(&str, &str)]; 5] = [
            &[],
            &[(ID, "abc1")],
            &[(ID, "abc1"), (ID, "abc1"), (VERSION, "2"), (TRACE, "ENABLED_FULL")],
            &[(ID, "")],
            &[("X-AMZN-BEDROCK-GUARDRAILIDENTIFIER", " abc1 ")],
        ];
        for client in clients {
            assert_eq!(call(stream, client).send(relay.address()).await.status, 200, "{client:?}");
        }
        for request in upstream.requests() {
            assert_sent(&request, &enforced).await;
        }
        let others: [&[(&str, &str)]; 5] = [
            &[(ID, "other")],
            &[(ID, "abc1"), (ID, "other")],
            &[(ID, "abc1, other")],
            &[(ID, "abc1"), (VERSION, "DRAFT")],
            &[(VERSION, "1")],
        ];
        for client in others {
            let response = call(stream, client).send(relay.address()).await;
            let part = "`bedrock` enforces the guardrail `abc1` in version `2` and takes no other";
            assert_refused(&response, 403, "permission_error", part);
        }
        assert_eq!(upstream.requests().len(), clients.len());
    }
}

#[tokio::test]
async fn a_token_count_carries_no_guardrail() {
    let upstream = Upstream::answering(answer).await;
    let relay = relay(&[enforcing(&upstream.url(), json!({"id": "abc1", "version": 2}))]).await;
    let count = json!({"model": "claude-sonnet-4-5", "messages": []}).to_string();
    let count = Call::post("/v1/messages/count_tokens").json(count).header(ID, "other");
    assert_eq!(count.send(relay.address()).await.json(), json!({"input_tokens": 2095}));
    assert_sent(&upstream.only_request(), &[]).await;
}

#[tokio::test]
async fn a_request_for_a_guardrail_never_reaches_a_provider_that_applies_none() {
    for kind in ["anthropic", "zai", "ollama", "minimax", "azure", "anthropic_compatible"] {
        let upstream = Upstream::answering(answer).await;
        let relay = relay(&[minimal_provider("other", kind, &upstream.url())]).await;
        let response = call(false, &[(ID, "abc1"), (VERSION, "1")]).send(relay.address()).await;
        assert_refused(&response, 400, "invalid_request_error", "`other` applies no guardrail");
        assert_eq!(upstream.requests().len(), 0, "{kind}");
        // Without a guardrail, the other headers for Bedrock stay in the relay.
        assert_eq!(call(false, &ALL[2..]).send(relay.address()).await.status, 200, "{kind}");
        let sent = upstream.only_request();
        assert!(!sent.headers.iter().any(|(name, _)| name.to_ascii_lowercase().contains("amzn")), "{kind}");
    }
}

#[tokio::test]
async fn a_request_for_a_guardrail_does_not_fail_over_to_an_unguarded_provider() {
    let overloaded =
        Upstream::answering(|_| bedrock::error(503, "ServiceUnavailableException", "busy")).await;
    let unguarded = Upstream::answering(answer).await;
    let providers = [
        provider("first", "anthropic", &unguarded.url()),
        bedrock::provider(&overloaded.url(), MODEL),
        provider("last", "anthropic", &unguarded.url()),
    ];
    let relay = relay(&providers).await;
    assert_eq!(call(true, &[(ID, "abc1"), (VERSION, "1")]).send(relay.address()).await.status, 503);
    assert_eq!((overloaded.requests().len(), unguarded.requests().len()), (1, 0));
    assert_eq!(call(true, &[]).send(relay.address()).await.status, 200);
    assert_eq!((overloaded.requests().len(), unguarded.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_request_goes_to_the_provider_that_enforces_its_guardrail() {
    let upstream = Upstream::answering(answer).await;
    let mut second = enforcing(&upstream.url(), json!({"id": "second", "version": "DRAFT"}));
    second["name"] = json!("second");
    let relay = relay(&[enforcing(&upstream.url(), json!({"id": "first", "version": "1"})), second]).await;
    assert_eq!(call(false, &[(ID, "second")]).send(relay.address()).await.status, 200);
    assert_sent(&upstream.only_request(), &[(ID, "second"), (VERSION, "DRAFT")]).await;
    let response = call(false, &[(ID, "third")]).send(relay.address()).await;
    assert_refused(&response, 403, "permission_error", "`second` enforces the guardrail `second`");
}

#[tokio::test]
async fn a_header_with_two_values_is_refused() {
    let upstream = Upstream::answering(answer).await;
    let relay = relay(&[bedrock::provider(&upstream.url(), MODEL)]).await;
    for (name, values) in [(ID, ["a", "b"]), ("x-amzn-bedrock-service-tier", ["flex", "priority"])] {
        let response = call(false, &[(name, values[0]), (name, values[1])]).send(relay.address()).await;
        assert_refused(&response, 400, "invalid_request_error", &format!("for {name}"));
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn the_rest_of_the_api_refuses_a_guardrail() {
    let upstream = Upstream::answering(answer).await;
    let relay = relay(&[provider("anthropic", "anthropic", &upstream.url())]).await;
    let batch = Call::post("/v1/messages/batches").json("{}").header(ID, "abc1");
    let response = batch.send(relay.address()).await;
    assert_refused(&response, 400, "invalid_request_error", "/v1/messages/batches applies no guardrail");
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn the_tags_of_a_guardrail_stay_in_the_body() {
    let upstream = Upstream::answering(answer).await;
    let relay = relay(&[bedrock::provider(&upstream.url(), MODEL)]).await;
    let config = json!({"tagSuffix": "xyz", "streamProcessingMode": "ASYNCHRONOUS"});
    let body =
        json!({"model": "m", "max_tokens": 8, "messages": [], "amazon-bedrock-guardrailConfig": config});
    let call = Call::messages(body.to_string()).header(ID, "abc1").header(VERSION, "1");
    assert_eq!(call.send(relay.address()).await.status, 200);
    assert_eq!(upstream.only_request().json()["amazon-bedrock-guardrailConfig"], config);
}

#[tokio::test]
async fn a_body_cannot_limit_the_enforced_guardrail() {
    for (api, stream) in [("invoke", false), ("invoke", true), ("messages", false), ("messages", true)] {
        let upstream = Upstream::answering(answer).await;
        let mut provider = enforcing(&upstream.url(), json!({"id": "abc1", "version": 2}));
        provider["bedrock_api"] = json!(api);
        let relay = relay(&[provider]).await;
        for field in [
            r#""amazon-bedrock-guardrailConfig":{"tagSuffix":"xyz"}"#,
            r#""amazon-bedrock-guardrail\u0043onfig":{"streamProcessingMode":"ASYNCHRONOUS"}"#,
            r#""amazon-bedrock-guardrailConfig":{"tagSuffix":"xyz"},"amazon-bedrock-guardrailConfig":null"#,
        ] {
            let body = format!(r#"{{"model":"m","max_tokens":8,"messages":[],"stream":{stream},{field}}}"#);
            for headers in [&[][..], &[(ID, "abc1"), (VERSION, "2")]] {
                let call = Call::messages(body.clone());
                let call = headers.iter().fold(call, |call, (name, value)| call.header(name, *value));
                let part = "`bedrock` enforces the guardrail `abc1` in version `2` and takes no \
                            amazon-bedrock-guardrailConfig";
                assert_refused(&call.send(relay.address()).await, 403, "permission_error", part);
            }
        }
        assert_eq!(upstream.requests().len(), 0, "{api}");
        if api == "messages" {
            continue;
        }
        // InvokeModel gets known fields only, and the names of fields are case-sensitive.
        let body = r#"{"model":"m","max_tokens":8,"messages":[],"Amazon-Bedrock-GuardrailConfig":{"tagSuffix":"x"}}"#;
        assert_eq!(Call::messages(body).send(relay.address()).await.status, 200);
        assert!(!upstream.only_request().mentions("tagSuffix"), "{api}");
    }
}
