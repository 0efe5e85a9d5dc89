//! The state of a relay: its shape, its facts, and no secret in it.

use relay_config::{Format, Loader};
use relay_tests::fakes::anthropic;
use relay_tests::{Call, PROVIDER_KEY, Upstream, provider};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;

/// The keys of a JSON object, in order.
#[track_caller]
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_state_has_a_fixed_shape_and_no_secret() {
    let limited = Upstream::answering(|_| anthropic::error(429)).await;
    let overloaded = Upstream::answering(|_| anthropic::error(529)).await;
    let good = Upstream::answering(anthropic::answer).await;
    let mut first = provider("limited", "anthropic", &limited.url());
    first["priority"] = json!(3);
    first["keys"][0]["rpm_limit"] = json!(10);
    let mut second = provider("overloaded", "anthropic", &overloaded.url());
    second["priority"] = json!(2);
    let config = json!({
        "server": {"auth": {"api_key": "client-secret"}},
        "providers": [first, second, provider("good", "anthropic", &good.url()),
                      {"name": "off", "type": "mock", "enabled": false}],
        "health": {"health_check": {"enabled": false}},
    });
    let config = Loader::new().with_text("c", Format::Yaml, config.to_string()).load().unwrap().config;
    let relay = relay_server::Relay::builder(config).without_proxy().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(relay_server::serve(listener, relay.clone(), std::future::pending()));
    let call = Call::messages(BODY).header("x-api-key", "client-secret");
    assert_eq!(call.send(address).await.status, 200);

    let state = serde_json::to_value(relay.state()).unwrap();
    let text = state.to_string();
    assert!(!text.contains(PROVIDER_KEY) && !text.contains("client-secret"), "{text}");
    let mut top = keys(&state);
    top.sort_unstable();
    assert_eq!(top, ["configuration", "is_draining", "is_ready", "providers", "version"]);
    let mut of_configuration = keys(&state["configuration"]);
    of_configuration.sort_unstable();
    assert_eq!(of_configuration, ["generation", "since_unix_ms"]);
    let providers = state["providers"].as_array().unwrap();
    let mut of_provider = keys(&providers[0]);
    of_provider.sort_unstable();
    assert_eq!(
        of_provider,
        [
            "circuit",
            "circuit_since_ms",
            "circuit_wait_ms",
            "content_times",
            "in_flight",
            "is_enabled",
            "is_paused",
            "keys",
            "last_failure",
            "name",
            "open_reason",
            "resting_models",
            "type",
            "unusable",
        ]
    );
    let key = &providers[0]["keys"][0];
    let mut of_key = keys(key);
    of_key.sort_unstable();
    assert_eq!(of_key, ["cooldown_ms", "credential", "is_drained", "is_rejected", "limits"]);
    assert!(key["cooldown_ms"].as_u64().is_some_and(|left| (1..=30_000).contains(&left)), "{state:#}");
    let requests = &key["limits"][0];
    assert_eq!((&requests["name"], &requests["per_minute"]), (&json!("requests"), &json!(10)));
    assert_eq!(requests["is_configured"], true);
    assert!(requests["remaining"].as_u64().is_some_and(|left| left <= 9), "{state:#}");
    let resting = &providers[1]["resting_models"][0];
    assert_eq!(resting["model"], "claude-opus-5-5");
    assert!(resting["remaining_ms"].as_u64().is_some_and(|left| left > 0), "{state:#}");
    assert_eq!((&providers[2]["circuit"], &providers[2]["in_flight"]), (&json!("closed"), &json!(0)));
    // A limit that was learned from the headers of a response.
    assert_eq!(providers[2]["keys"][0]["limits"][0]["is_configured"], false);
    let mut off = keys(&providers[3]);
    off.sort_unstable();
    assert_eq!(off, ["is_enabled", "name", "type"]);
    assert_eq!(state["is_ready"], true);
}

#[tokio::test]
async fn a_key_has_its_configured_name_or_its_short_id() {
    let named = json!({"key": "secret-of-a-named-key", "name": "team-a"});
    let config = json!({
        "providers": [
            {"name": "z", "type": "zai", "keys": [named, {"key": "secret-of-another-key"}]},
            {"name": "o", "type": "ollama"},
        ],
    });
    let config = Loader::new().with_text("c", Format::Yaml, config.to_string()).load().unwrap().config;
    let state = relay_server::Relay::builder(config).without_proxy().build().unwrap().state();
    let credentials = |provider: usize| {
        let pool = state.providers[provider].pool.as_ref().unwrap();
        pool.keys.iter().map(|key| key.credential.as_str()).collect::<Vec<_>>()
    };
    let keys = credentials(0);
    assert_eq!((keys.len(), keys[0]), (2, "team-a"));
    assert!(keys[1].len() == 8 && keys[1].bytes().all(|byte| byte.is_ascii_hexdigit()), "{keys:?}");
    assert_eq!(credentials(1), ["none"]);
}

#[tokio::test]
async fn an_open_circuit_has_its_age_its_wait_and_its_reason() {
    let failing = Upstream::answering(|_| anthropic::error(500)).await;
    let config = json!({
        "providers": [provider("a", "anthropic", &failing.url())],
        "health": {"health_check": {"enabled": false},
                   "circuit_breaker": {"failure_threshold": 1, "open_duration_ms": 60_000}},
    });
    let config = Loader::new().with_text("c", Format::Yaml, config.to_string()).load().unwrap().config;
    let relay = relay_server::Relay::builder(config).without_proxy().build().unwrap();
    let before = serde_json::to_value(relay.state()).unwrap();
    assert_eq!(before["providers"][0]["circuit_since_ms"], Value::Null);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(relay_server::serve(listener, relay.clone(), std::future::pending()));
    Call::messages(BODY).send(address).await;
    let state = serde_json::to_value(relay.state()).unwrap();
    let provider = &state["providers"][0];
    assert_eq!(provider["circuit"], "open", "{state:#}");
    assert!(provider["circuit_since_ms"].as_u64().is_some_and(|age| age < 10_000), "{state:#}");
    assert!(provider["circuit_wait_ms"].as_u64().is_some_and(|wait| wait > 40_000), "{state:#}");
    for text in ["open_reason", "last_failure", "unusable"] {
        assert!(provider[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {state:#}");
    }
    assert_eq!(state["is_ready"], false);
    relay.start_draining();
    assert!(relay.state().is_draining);
}
