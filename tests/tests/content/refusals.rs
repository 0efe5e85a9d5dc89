//! Fields that an upstream rejects are removed from the retry, and from every further request for an hour.

use relay_tests::fakes::{Reply, anthropic, bedrock};
use relay_tests::{Answer, Call, Client, Relay, Request, Upstream, provider};
use serde_json::{Value, json};

const MODEL: &str = "claude-opus-5-5";

fn body(extra: &Value) -> Value {
    let mut body = json!({"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in extra.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn refusal(message: &str) -> Answer {
    anthropic::error_with(400, "invalid_request_error", message)
}

/// Refuses `field` as Anthropic's schema does, and answers anything else.
fn without(field: &'static str) -> impl Fn(&Request) -> Answer {
    move |request| match request.json().get(field) {
        Some(_) => refusal(&format!("{field}: Extra inputs are not permitted")),
        None => anthropic::message(request, &Reply::new(MODEL).text("hello")),
    }
}

async fn relay(providers: &[Value]) -> Relay {
    Relay::start(&json!({"providers": providers})).await
}

async fn learned(relay: &Relay) -> Value {
    let list = Call::get("/v1/providers").send(relay.address()).await.json();
    list["data"][0]["learned"].clone()
}

#[tokio::test]
async fn a_refused_field_is_removed_from_the_retry_and_from_later_requests() {
    let upstream = Upstream::answering(without("context_management")).await;
    let relay = relay(&[provider("gateway", "anthropic", &upstream.url())]).await;
    assert_eq!(learned(&relay).await, Value::Null);
    for stream in [true, false] {
        let body = body(&json!({"context_management": {"edits": []}, "temperature": 1.0, "stream": stream}));
        let call = Call::messages(body.to_string());
        let call = call.header("anthropic-beta", "context-management-2025-06-27,effort-2025-11-24");
        let response = call.send(relay.address()).await;
        assert_eq!(response.status, 200, "{:?}", response.body());
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 3, "expected two attempts at first, and one without the field later");
    assert!(requests[0].mentions("context_management"));
    for adapted in &requests[1..] {
        assert_eq!(
            adapted.header("anthropic-beta"),
            "effort-2025-11-24",
            "the beta must be removed with its field"
        );
        let text = String::from_utf8_lossy(&adapted.body);
        assert!(text.contains("\"temperature\":1.0") && !text.contains("context_management"), "{text}");
    }
    let learned = learned(&relay).await;
    let dropped: Vec<_> =
        learned.as_array().into_iter().flatten().map(|lesson| lesson["dropped"].as_str()).collect();
    assert_eq!(dropped, [Some("field context_management")], "only the named part is remembered");
    assert_eq!(learned[0]["model"], MODEL);
    assert!(learned[0]["expires_in_s"].as_u64().is_some_and(|left| (3500..=3600).contains(&left)));
}

#[tokio::test]
async fn an_unnamed_beta_of_bedrock_is_removed_with_its_field_from_the_refused_request() {
    let upstream = Upstream::builder().require(bedrock::rules()).answering(|request| {
        let betas = request.json()["anthropic_beta"].clone();
        let is_taken = |beta: &Value| beta == "interleaved-thinking-2025-05-14";
        match betas.as_array().into_iter().flatten().all(is_taken) {
            true => bedrock::answer(request),
            false => bedrock::error(400, "ValidationException", "invalid beta flag"),
        }
    });
    let upstream = upstream.await;
    let provider = json!({
        "name": "aws", "type": "bedrock", "base_url": upstream.url(), "aws_region": "eu-west-1",
        "aws_bearer_token": "token", "model_mapping": {"*": "eu.anthropic.claude-opus-4-7"},
    });
    let relay = relay(&[provider]).await;
    let tools = json!([{"name": "t", "input_schema": {"type": "object"}, "defer_loading": true}]);
    let betas = "advanced-tool-use-2025-11-20,interleaved-thinking-2025-05-14";
    for _ in 0..2 {
        let call =
            Call::messages(body(&json!({ "tools": tools })).to_string()).header("anthropic-beta", betas);
        assert_eq!(call.send(relay.address()).await.status, 200);
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 4, "a beta without a name is not remembered");
    for [refused, adapted] in requests.as_chunks::<2>().0 {
        assert_eq!(refused.json()["tools"], tools);
        let body = adapted.json();
        assert_eq!(body["anthropic_beta"], json!(["interleaved-thinking-2025-05-14"]));
        assert_eq!(body["tools"], json!([{"name": "t", "input_schema": {"type": "object"}}]));
    }
}

#[tokio::test]
async fn a_refusal_without_a_removable_field_is_passed_on_byte_for_byte() {
    let messages = [
        "messages: at least one message is required",
        "prompt is too long: 250000 tokens > 200000 maximum",
        "speed: Extra inputs are not permitted",
        "messages: Extra inputs are not permitted",
        "model: Extra inputs are not permitted",
        "Unexpected value(s) `nowhere-2025-01-01` for the `anthropic-beta` header.",
    ];
    for message in messages {
        let upstream = Upstream::answering(move |_| refusal(message)).await;
        let relay = relay(&[provider("gateway", "anthropic", &upstream.url())]).await;
        let response = Call::messages(body(&json!({})).to_string()).send(relay.address()).await;
        let mut direct = Client::connect(upstream.address()).await;
        direct.call(&Call::messages("{}")).await;
        let expected = direct.response().await;
        assert_eq!((response.status, response.body()), (400, expected.body()), "{message}");
        assert_eq!(upstream.requests().len(), 2, "{message}: one of the relay, one of this test");
    }
}

#[tokio::test]
async fn if_the_second_attempt_is_refused_too_the_client_gets_the_first_refusal() {
    let upstream = Upstream::answering(|request| match request.json().get("speed") {
        Some(_) => refusal("speed: Extra inputs are not permitted"),
        None => refusal("messages: text content blocks must be non-empty"),
    });
    let upstream = upstream.await;
    let relay = relay(&[provider("gateway", "anthropic", &upstream.url())]).await;
    let response = Call::messages(body(&json!({"speed": "fast"})).to_string()).send(relay.address()).await;
    assert_eq!(response.status, 400);
    assert_eq!(response.json()["error"]["message"], "speed: Extra inputs are not permitted");
    assert_eq!(upstream.requests().len(), 2);
    assert_eq!(learned(&relay).await, Value::Null, "nothing is learned from a removal that did not help");
}

#[tokio::test]
async fn if_the_second_attempt_fails_in_another_way_the_next_provider_is_called() {
    let first = Upstream::answering(|request| match request.json().get("speed") {
        Some(_) => refusal("speed: Extra inputs are not permitted"),
        None => anthropic::error(529),
    });
    let (first, second) = (first.await, Upstream::answering(anthropic::answer).await);
    let providers = [("a", &first), ("b", &second)].map(|(name, at)| provider(name, "anthropic", &at.url()));
    let relay = relay(&providers).await;
    let response = Call::messages(body(&json!({"speed": "fast"})).to_string()).send(relay.address()).await;
    assert_eq!(response.status, 200);
    assert_eq!(first.requests().len(), 2);
    assert_eq!(second.only_request().json()["speed"], "fast", "another provider must receive the field");
}
