//! The access of single clients: `server.auth.api_keys[].{models,expires}`.

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Relay, Response, Upstream, provider};
use serde_json::{Value, json};

/// A relay with an intern, who may use Haiku models and `glm-5`, a client without bounds, and two clients whose keys end.
async fn relay(upstream: &Upstream) -> Relay {
    let mut only = provider("a", "anthropic", &upstream.url());
    only["models"] = json!(["claude-haiku-5-5", "claude-opus-5-5", "glm-5"]);
    only["model_mapping"] = json!({"glm-5": "claude-opus-5-5"});
    let client = |name: &str, setting: Value| {
        let mut client = json!({"name": name, "key": format!("key-of-{name}")});
        client.as_object_mut().unwrap().extend(setting.as_object().unwrap().clone());
        client
    };
    let clients = [
        client("intern", json!({"models": ["claude-haiku-*", "glm-5"]})),
        client("free", json!({})),
        client("past", json!({"expires": "2020-01-01"})),
        client("future", json!({"expires": "2099-12-31T23:59:59+01:00"})),
    ];
    let config = json!({"server": {"auth": {"api_keys": clients}}, "providers": [only]});
    Relay::start(&config).await
}

async fn send(relay: &Relay, client: &str, call: Call) -> Response {
    call.header("x-api-key", format!("key-of-{client}")).send(relay.address()).await
}

fn messages(model: &str) -> Call {
    let body = json!({"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]});
    Call::messages(body.to_string())
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, kind: &str, parts: &[&str]) {
    assert_eq!(response.status, status, "{:?}", response.body());
    let body = response.json();
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(kind)), "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert_eq!(body["request_id"], response.headers.get("request-id").unwrap());
    assert_eq!(response.headers.get("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn a_client_is_served_with_its_models_only() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream).await;
    for model in ["claude-haiku-5-5", "claude-haiku-5-5-20261001", "glm-5"] {
        assert_eq!(send(&relay, "intern", messages(model)).await.status, 200, "{model}");
    }
    let sent = upstream.requests().len();
    let names = ["`intern`", "`claude-opus-5-5`", "`claude-haiku-*`, `glm-5`"];
    assert_refused(
        &send(&relay, "intern", messages("claude-opus-5-5")).await,
        403,
        "permission_error",
        &names,
    );
    let count = Call::post("/v1/messages/count_tokens").json(r#"{"model":"claude-opus-5-5","messages":[]}"#);
    assert_refused(&send(&relay, "intern", count).await, 403, "permission_error", &names);
    for body in [
        json!({"model": "claude-haiku-5-5", "fallbacks": [{"model": "claude-opus-5-5"}]}),
        json!({"model": "claude-haiku-5-5", "tools": [{"type": "advisor", "model": "claude-opus-5-5"}]}),
    ] {
        let call = Call::messages(body.to_string());
        assert_refused(&send(&relay, "intern", call).await, 403, "permission_error", &names);
    }
    assert_eq!(upstream.requests().len(), sent, "no refused request reaches the upstream");
    assert_eq!(send(&relay, "free", messages("claude-opus-5-5")).await.status, 200);
}

#[tokio::test]
async fn operations_whose_models_are_not_read_are_refused() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream).await;
    let batch = || Call::post("/v1/messages/batches").json(r#"{"requests":[]}"#);
    let refused = send(&relay, "intern", batch()).await;
    assert_refused(&refused, 403, "permission_error", &["/v1/messages/batches", "models"]);
    let refused = send(&relay, "intern", Call::get("/v1/models/claude-opus-5-5")).await;
    assert_refused(&refused, 403, "permission_error", &["`claude-opus-5-5`"]);
    assert!(upstream.requests().is_empty());
    for call in [Call::get("/v1/files"), Call::get("/v1/models/claude-haiku-5-5")] {
        assert_ne!(send(&relay, "intern", call).await.status, 403);
    }
    assert_ne!(send(&relay, "free", batch()).await.status, 403);
    let sent: Vec<_> = upstream.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(sent, ["/v1/files", "/v1/models/claude-haiku-5-5", "/v1/messages/batches"]);
}

#[tokio::test]
async fn the_list_of_models_has_those_of_the_client() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream).await;
    let list = async |client: &str| {
        let list = send(&relay, client, Call::get("/v1/models")).await.json();
        let ids =
            list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), list["has_more"].clone())
    };
    assert_eq!(list("intern").await, (vec!["claude-haiku-5-5".to_owned(), "glm-5".to_owned()], json!(false)));
    assert_eq!(list("free").await.0, ["claude-haiku-5-5", "claude-opus-5-5", "glm-5"]);
    let page = send(&relay, "intern", Call::get("/v1/models?limit=1&after_id=claude-haiku-5-5")).await.json();
    assert_eq!((&page["first_id"], &page["has_more"]), (&json!("glm-5"), &json!(false)));
    let hidden = send(&relay, "intern", Call::get("/v1/models?after_id=claude-opus-5-5")).await;
    assert_eq!(hidden.status, 400);
}

#[tokio::test]
async fn an_expired_key_is_refused_on_every_route_with_its_end() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream).await;
    for call in [messages("claude-haiku-5-5"), Call::get("/v1/models"), Call::get("/v1/files")] {
        let refused = send(&relay, "past", call).await;
        assert_refused(&refused, 401, "authentication_error", &["expired at 2020-01-01T23:59:59Z"]);
    }
    let unknown = send(&relay, "unknown", messages("claude-haiku-5-5")).await;
    assert_refused(&unknown, 401, "authentication_error", &["does not accept"]);
    assert!(upstream.requests().is_empty());
    assert_eq!(send(&relay, "future", messages("claude-haiku-5-5")).await.status, 200);
}
