//! `GET /v1/models`: models of the configuration, and further models that upstreams list.

use std::time::{Duration, Instant};

use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::fakes::ollama;
use relay_tests::{Answer, Call, PROVIDER_KEY, Relay, Request, Response, Upstream, passthrough, provider};
use serde_json::{Value, json};

const LIST: &str = "/v1/models?limit=1000";

fn discovering(mut provider: Value) -> Value {
    provider["discover_models"] = json!(true);
    provider
}

fn ids(response: &Response) -> Vec<String> {
    assert_eq!(response.status, 200, "{:?}", response.body());
    let list = response.json();
    let models = list["data"].as_array().expect("a list");
    models.iter().map(|model| model["id"].as_str().expect("an id").to_owned()).collect()
}

fn tags(request: &Request) -> Answer {
    match request.target.as_str() {
        "/api/tags" => {
            let model = |name: &str| json!({"name": name, "model": name, "size": 1, "details": {}});
            Answer::json(200, &json!({"models": [model("qwen3-coder:30b"), model("gpt-oss:20b")]}))
        }
        _ => ollama::answer(request),
    }
}

#[tokio::test]
async fn models_listed_by_upstreams_follow_the_configured_models() {
    let rules = anthropic::rules(Credential::Key(PROVIDER_KEY));
    let claude = Upstream::builder().require(rules).answering(anthropic::answer).await;
    let local = Upstream::builder().require(ollama::rules()).answering(tags).await;
    let mut first = discovering(provider("first", "anthropic", &claude.url()));
    first["models"] = json!(["claude-haiku-5-5"]);
    let second = json!({
        "name": "second", "type": "ollama", "base_url": local.url(), "discover_models": true,
        "model_mapping": {"claude-local": "qwen3-coder:30b"},
    });
    let relay = Relay::start(&json!({"providers": [first, second]})).await;
    for _ in 0..3 {
        let response = Call::get(LIST).send(relay.address()).await;
        let expected =
            ["claude-haiku-5-5", "claude-local", "claude-opus-5-5", "qwen3-coder:30b", "gpt-oss:20b"];
        assert_eq!(ids(&response), expected);
        let haiku = &response.json()["data"][0];
        assert_eq!(
            (&haiku["display_name"], &haiku["created_at"], &haiku["owned_by"]),
            (&json!("Claude Haiku 5.5"), &json!("2026-10-01T00:00:00Z"), &json!("first"))
        );
    }
    assert_eq!((claude.requests().len(), local.requests().len()), (1, 1), "a list is kept for a while");
}

#[tokio::test]
async fn simultaneous_requests_share_one_request_to_the_upstream() {
    let upstream = Upstream::answering(tags).await;
    let local = json!({"name": "a", "type": "ollama", "base_url": upstream.url(), "discover_models": true});
    let relay = Relay::start(&json!({"providers": [local]})).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let address = relay.address();
        clients.spawn(async move { ids(&Call::get(LIST).send(address).await).len() });
    }
    assert_eq!(clients.join_all().await, [2; 20]);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let upstream = Upstream::answering(|request| {
        let model = |id: &str| json!({"type": "model", "id": id, "display_name": id});
        let (ids, has_more) = match request.target.as_str() {
            "/v1/models?limit=1000" => (["a", "b"], true),
            "/v1/models?limit=1000&after_id=b" => (["c", "d"], false),
            other => panic!("{other}"),
        };
        Answer::json(200, &json!({"data": ids.map(model), "has_more": has_more}))
    });
    let upstream = upstream.await;
    let provider = discovering(provider("a", "anthropic", &upstream.url()));
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    assert_eq!(ids(&Call::get(LIST).send(relay.address()).await), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn models_listed_for_a_clients_credential_are_shown_to_that_client_only() {
    let upstream = Upstream::answering(|request| {
        let whose = request.headers.get("authorization").unwrap_or_default().replace("Bearer ", "");
        Answer::json(
            200,
            &json!({"data": [{"type": "model", "id": format!("of-{whose}")}], "has_more": false}),
        )
    });
    let upstream = upstream.await;
    let relay = Relay::start(&json!({"providers": [discovering(passthrough("a", &upstream.url()))]})).await;
    for token in ["sk-ant-oat01-one", "sk-ant-oat01-two", "sk-ant-oat01-one"] {
        let call = Call::get(LIST).header("authorization", format!("Bearer {token}"));
        assert_eq!(ids(&call.send(relay.address()).await), [format!("of-{token}")]);
    }
    assert_eq!(upstream.requests()[0].header("anthropic-beta"), "oauth-2025-04-20");
    assert_eq!(ids(&Call::get(LIST).send(relay.address()).await), [""; 0]);
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn an_upstream_without_a_list_delays_the_answer_only_briefly() {
    let silent = Upstream::manual().await;
    let failing = Upstream::answering(|_| Answer::text(500, "text/plain", "no")).await;
    let local = |name: &str, url: String| json!({"name": name, "type": "ollama", "base_url": url, "discover_models": true, "models": [name]});
    let providers = [local("silent", silent.url()), local("failing", failing.url())];
    let relay = Relay::start(&json!({"providers": providers})).await;
    let started = Instant::now();
    assert_eq!(ids(&Call::get(LIST).send(relay.address()).await), ["silent", "failing"]);
    assert!(started.elapsed() < Duration::from_millis(2800), "Claude Code gives up after 3 s");
    // The failure is remembered: the second list sends no request to the failed upstream.
    ids(&Call::get(LIST).send(relay.address()).await);
    assert_eq!(failing.requests().len(), 1);
}

#[tokio::test]
async fn one_model_is_described_without_an_anthropic_upstream() {
    let upstream = Upstream::answering(tags).await;
    let local = json!({
        "name": "a", "type": "ollama", "base_url": upstream.url(), "discover_models": true,
        "models": ["claude-local"],
    });
    let relay = Relay::start(&json!({"providers": [local]})).await;
    for id in ["claude-local", "gpt-oss%3A20b"] {
        let response = Call::get(format!("/v1/models/{id}")).send(relay.address()).await;
        assert_eq!((response.status, &response.json()["type"]), (200, &json!("model")));
        assert_eq!(response.json()["id"], id.replace("%3A", ":"));
    }
    let response = Call::get("/v1/models/nonesuch").send(relay.address()).await;
    assert_eq!((response.status, &response.json()["error"]["type"]), (404, &json!("not_found_error")));
}
