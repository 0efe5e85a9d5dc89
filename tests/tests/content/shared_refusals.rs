//! Fields that an upstream refuses for one client stay in the correct requests of all others.

use relay_tests::fakes::{Reply, anthropic, azure, bedrock, zai};
use relay_tests::{Answer, Call, Relay, Request, Response, Upstream, provider};
use serde_json::{Value, json};

const MODEL: &str = "claude-opus-5-5";
const EXTRA: &str = "Extra inputs are not permitted";

fn body(extra: &Value) -> String {
    let mut body =
        json!({"model": MODEL, "max_tokens": 9000, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in extra.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body.to_string()
}

fn refusal(message: &str) -> Answer {
    anthropic::error_with(400, "invalid_request_error", message)
}

fn hello(request: &Request) -> Answer {
    anthropic::message(request, &Reply::new(MODEL).text("hello"))
}

async fn relay(upstream: &Upstream) -> Relay {
    Relay::start(&json!({"providers": [provider("gateway", "anthropic", &upstream.url())]})).await
}

async fn send(relay: &Relay, extra: &Value, betas: &'static str) -> Response {
    Call::messages(body(extra)).header("anthropic-beta", betas).send(relay.address()).await
}

async fn learned(relay: &Relay) -> Vec<String> {
    let list = Call::get("/v1/providers").send(relay.address()).await.json();
    let learned = list["data"][0]["learned"].as_array().cloned().unwrap_or_default();
    learned.iter().map(|lesson| lesson["dropped"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Validates `thinking` as the upstreams for Claude do, and reports each fault in the words of `kind`.
fn validate_thinking(kind: &'static str, request: &Request) -> Answer {
    let body = request.json();
    let thinking = &body["thinking"];
    let fault = match (thinking["type"].as_str(), thinking.get("budget_tokens")) {
        (Some("adaptive"), Some(_)) => format!("thinking.adaptive.budget_tokens: {EXTRA}"),
        (Some("enabled"), None) => "thinking.enabled.budget_tokens: Field required".to_owned(),
        _ if kind == "bedrock" => return bedrock::answer(request),
        _ => return hello(request),
    };
    match kind {
        "bedrock" => bedrock::error(400, "ValidationException", &fault),
        _ => refusal(&fault),
    }
}

#[tokio::test]
async fn a_field_is_removed_only_from_objects_of_the_refused_type_for_every_kind() {
    for kind in ["anthropic", "anthropic_compatible", "azure", "zai", "bedrock"] {
        let upstream = Upstream::answering(move |request| validate_thinking(kind, request)).await;
        let url = upstream.url();
        let mut gateway = match kind {
            "azure" => provider("gw", kind, &format!("{url}{}", azure::PREFIX)),
            "zai" => provider("gw", kind, &format!("{url}{}", zai::PREFIX)),
            "bedrock" => json!({"name": "gw", "type": kind, "base_url": url, "aws_region": "eu-west-1",
                                "aws_bearer_token": "token"}),
            _ => provider("gw", kind, &url),
        };
        match kind {
            "anthropic_compatible" => gateway["auth"] = json!("x-api-key"),
            "zai" => gateway["model_mapping"] = json!({"*": "glm-5.3"}),
            "bedrock" => gateway["model_mapping"] = json!({"*": "eu.anthropic.claude-opus-4-7"}),
            _ => {}
        }
        let relay = Relay::start(&json!({"providers": [gateway]})).await;
        let thinking = |kind: &str| json!({"thinking": {"type": kind, "budget_tokens": 2048}});
        assert_eq!(send(&relay, &thinking("adaptive"), "").await.status, 200, "{kind}");
        assert_eq!(upstream.requests().len(), 2, "{kind}: refused once");
        assert_eq!(learned(&relay).await, ["field thinking[adaptive].budget_tokens"], "{kind}");
        for _ in 0..3 {
            assert_eq!(send(&relay, &thinking("enabled"), "").await.status, 200, "{kind}");
        }
        let requests = upstream.requests();
        assert_eq!(requests.len(), 5, "{kind}: each correct request is sent once");
        for correct in &requests[2..] {
            assert_eq!(correct.json()["thinking"]["budget_tokens"], 2048, "{kind}");
        }
        assert_eq!(send(&relay, &thinking("adaptive"), "").await.status, 200, "{kind}");
        assert_eq!(upstream.requests().len(), 6, "{kind}: the same mistake is corrected before it is sent");
    }
}

#[tokio::test]
async fn nothing_is_remembered_if_no_beta_is_named() {
    let upstream = Upstream::answering(|request| match request.mentions("bad-2025-01-01") {
        true => refusal("invalid beta flag"),
        false => hello(request),
    });
    let upstream = upstream.await;
    let relay = relay(&upstream).await;
    assert_eq!(send(&relay, &json!({}), "effort-2025-11-24,bad-2025-01-01").await.status, 200);
    assert_eq!(upstream.requests().len(), 2, "the request is served without betas");
    assert_eq!(learned(&relay).await, Vec::<String>::new());
    assert_eq!(send(&relay, &json!({}), "effort-2025-11-24").await.status, 200);
    let requests = upstream.requests();
    assert_eq!((requests.len(), requests[2].header("anthropic-beta")), (3, "effort-2025-11-24"));
}

#[tokio::test]
async fn a_field_without_its_beta_stays_in_requests_that_send_the_beta() {
    let upstream = Upstream::answering(|request| {
        let betas = request.headers.get("anthropic-beta").unwrap_or_default();
        let has_beta = betas.contains("context-management-2025-06-27");
        match request.json().get("context_management") {
            Some(_) if !has_beta => refusal(&format!("context_management: {EXTRA}")),
            _ => hello(request),
        }
    });
    let upstream = upstream.await;
    let relay = relay(&upstream).await;
    let extra = json!({"context_management": {"edits": []}});
    assert_eq!(send(&relay, &extra, "effort-2025-11-24").await.status, 200);
    let betas = "effort-2025-11-24,context-management-2025-06-27";
    assert_eq!(send(&relay, &extra, betas).await.status, 200);
    let requests = upstream.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[2].mentions("context_management") && requests[2].header("anthropic-beta") == betas);
}

#[tokio::test]
async fn a_refused_request_is_repeated_as_a_whole_and_its_fields_are_sent_again() {
    // The upstream begins to require the field that it has refused before.
    let is_required = std::sync::atomic::AtomicBool::new(false);
    let upstream = Upstream::answering(move |request| {
        let has_field = request.json().get("speed").is_some();
        if request.mentions("now required") {
            is_required.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        match (is_required.load(std::sync::atomic::Ordering::Relaxed), has_field) {
            (false, true) => refusal(&format!("speed: {EXTRA}")),
            (true, false) => refusal("speed: Field required"),
            _ => hello(request),
        }
    });
    let upstream = upstream.await;
    let relay = relay(&upstream).await;
    assert_eq!(send(&relay, &json!({"speed": "fast"}), "").await.status, 200);
    assert_eq!(learned(&relay).await, ["field speed"]);
    let changed = send(&relay, &json!({"speed": "fast", "system": "now required"}), "").await;
    assert_eq!(changed.status, 200, "{:?}", changed.body());
    let requests = upstream.requests();
    assert_eq!(requests.len(), 4);
    assert!(!requests[2].mentions("speed") && requests[3].json()["speed"] == "fast");
    assert_eq!(learned(&relay).await, Vec::<String>::new());
    assert_eq!(send(&relay, &json!({"speed": "fast"}), "").await.status, 200);
    assert_eq!(upstream.requests().len(), 5, "the field is sent at once");
}

#[tokio::test]
async fn a_mistake_of_the_client_is_reported_in_the_words_for_it_and_changes_nothing() {
    let upstream = Upstream::answering(|request| match request.json() {
        body if body.get("speed").is_some() => refusal(&format!("speed: {EXTRA}")),
        body if body["messages"].as_array().is_some_and(Vec::is_empty) => {
            refusal("messages: at least one message is required")
        }
        _ => hello(request),
    });
    let upstream = upstream.await;
    let relay = relay(&upstream).await;
    assert_eq!(send(&relay, &json!({"speed": "fast"}), "").await.status, 200);
    let response = send(&relay, &json!({"speed": "fast", "messages": []}), "").await;
    assert_eq!(response.status, 400);
    assert_eq!(response.json()["error"]["message"], "messages: at least one message is required");
    assert_eq!(upstream.requests().len(), 4, "the whole request was sent once more");
    assert_eq!(learned(&relay).await, ["field speed"]);
    assert_eq!(send(&relay, &json!({"speed": "fast"}), "").await.status, 200);
    assert_eq!(upstream.requests().len(), 5);
}

#[tokio::test]
async fn a_refusal_of_a_token_count_changes_no_message() {
    let upstream = Upstream::answering(|request| match request.path() {
        "/v1/messages/count_tokens" if request.json().get("temperature").is_some() => {
            refusal(&format!("temperature: {EXTRA}"))
        }
        "/v1/messages/count_tokens" => Answer::json(200, &json!({"input_tokens": 7})),
        _ => hello(request),
    });
    let upstream = upstream.await;
    let relay = relay(&upstream).await;
    let extra = json!({"temperature": 0.5});
    for _ in 0..2 {
        let count = Call::post("/v1/messages/count_tokens").json(body(&extra)).send(relay.address()).await;
        assert_eq!(count.json()["input_tokens"], 7);
    }
    assert_eq!(upstream.requests().len(), 3, "a count is corrected before it is sent, too");
    assert_eq!(learned(&relay).await, ["field temperature (count_tokens)"]);
    assert_eq!(send(&relay, &extra, "").await.status, 200);
    assert_eq!(upstream.requests()[3].json()["temperature"], 0.5);
}
