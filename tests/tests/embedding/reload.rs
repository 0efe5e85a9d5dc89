//! A configuration is replaced while requests are served: none of them fails, and state is inherited.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use relay_config::{Config, Format, Loader};
use relay_server::{BuildError, Reloadable};
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Upstream, provider};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
const STREAMED: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;

fn load(config: &Value) -> Config {
    Loader::new().with_text("c", Format::Yaml, config.to_string()).load().unwrap().config
}

/// Serves a relay whose configuration can be replaced, on a free port.
async fn start(config: &Value) -> (Reloadable, SocketAddr) {
    let relay = relay_server::Relay::builder(load(config)).without_proxy().build().unwrap();
    let relay = Reloadable::new(relay);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(relay_server::serve(listener, relay.clone(), std::future::pending()));
    (relay, address)
}

#[tokio::test]
async fn no_request_fails_while_configurations_are_replaced_under_load() {
    let first = Upstream::answering(anthropic::answer).await;
    let second = Upstream::answering(anthropic::answer).await;
    let one = json!({"providers": [provider("a", "anthropic", &first.url())]});
    let other = json!({"providers": [provider("b", "anthropic", &second.url())]});
    let (relay, address) = start(&one).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|index| {
            let (is_over, served) = (Arc::clone(&is_over), Arc::clone(&served));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let is_stream = index % 2 == 0;
                    let call = Call::messages(if is_stream { STREAMED } else { BODY });
                    let response = call.send(address).await;
                    assert_eq!(response.status, 200);
                    if is_stream {
                        let events = response.events();
                        assert_eq!(events.last().map(|event| &*event.name), Some("message_stop"));
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..12 {
        let before = served.load(Ordering::Relaxed);
        let changes = relay.replace(load(if round % 2 == 0 { &other } else { &one })).unwrap();
        assert_eq!((changes.added.len(), changes.removed.len()), (1, 1));
        while served.load(Ordering::Relaxed) < before + 8 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(!first.requests().is_empty() && !second.requests().is_empty());
    assert_eq!(relay.relay().state().configuration.generation, 13);
}

#[tokio::test]
async fn a_stream_in_progress_ends_on_the_relay_on_which_it_began() {
    let first = Upstream::manual().await;
    let second = Upstream::answering(anthropic::answer).await;
    let (relay, address) = start(&json!({"providers": [provider("a", "anthropic", &first.url())]})).await;
    let streaming = tokio::spawn(async move { Call::messages(STREAMED).send(address).await });
    let (mut connection, _) = first.exchange().await;
    let events = Reply::new("claude-opus-5-5").text("Hello!").events();
    let (begin, end) = events.split_at(events.len() / 2);
    connection.send_head(&Answer::event_stream()).await;
    connection.send_chunk(&begin.concat()).await;

    relay.replace(load(&json!({"providers": [provider("b", "anthropic", &second.url())]}))).unwrap();
    assert_eq!(Call::messages(BODY).send(address).await.status, 200);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));

    connection.send_chunk(&end.concat()).await;
    connection.send_last_chunk().await;
    let response = streaming.await.unwrap();
    assert_eq!(response.events().last().map(|event| event.name.clone()).as_deref(), Some("message_stop"));
}

#[tokio::test]
async fn circuits_cooldowns_and_sessions_are_inherited() {
    let failing = Upstream::answering(|_| anthropic::error(500)).await;
    let limited = Upstream::answering(|_| anthropic::error(429)).await;
    let last = Upstream::answering(anthropic::answer).await;
    let config = |strategy: &str| {
        let with = |name: &str, upstream: &Upstream, priority: i32| {
            let mut provider = provider(name, "anthropic", &upstream.url());
            provider["priority"] = json!(priority);
            provider
        };
        json!({
            "providers": [with("failing", &failing, 3), with("limited", &limited, 2), with("last", &last, 1)],
            "routing": {"strategy": strategy},
            "health": {"health_check": {"enabled": false}, "circuit_breaker": {"failure_threshold": 1}},
        })
    };
    let (relay, address) = start(&config("failover")).await;
    assert_eq!(Call::messages(BODY).send(address).await.status, 200);
    let changes = relay.replace(load(&config("round_robin"))).unwrap();
    assert_eq!(changes.sections, ["routing"]);
    assert_eq!((changes.added.len(), changes.changed.len(), changes.removed.len()), (0, 0, 0));

    let state = serde_json::to_value(relay.relay().state()).unwrap();
    assert_eq!(state["configuration"]["generation"], 2);
    assert_eq!(state["providers"][0]["circuit"], "open", "{state:#}");
    assert!(state["providers"][1]["keys"][0]["cooldown_ms"].as_u64().unwrap() > 25_000, "{state:#}");
    assert_eq!(Call::messages(BODY).send(address).await.status, 200);
    assert_eq!((failing.requests().len(), limited.requests().len(), last.requests().len()), (1, 1, 2));
}

#[tokio::test]
async fn a_wrong_configuration_leaves_the_one_before_in_use() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let good = json!({"providers": [provider("a", "anthropic", &upstream.url())]});
    let (relay, address) = start(&good).await;
    let mut wrong = load(&good);
    wrong.providers.push(wrong.providers[0].clone());
    assert!(matches!(relay.replace(wrong), Err(BuildError::Config(_))));
    let mut unreadable = load(&good);
    unreadable.providers[0].ca_file = Some("/nonexistent/ca.pem".into());
    assert!(matches!(relay.replace(unreadable), Err(BuildError::Tls { .. })));
    assert_eq!(Call::messages(BODY).send(address).await.status, 200);
    assert_eq!(relay.relay().state().configuration.generation, 1);
    assert!(relay.replace(load(&good)).unwrap().is_empty());
}

#[tokio::test]
async fn a_drain_outlasts_a_replacement() {
    let config = json!({"providers": [{"name": "a", "type": "mock"}]});
    let (relay, address) = start(&config).await;
    assert_eq!(Call::get("/readyz").send(address).await.status, 200);
    relay.start_draining();
    assert_eq!(Call::get("/readyz").send(address).await.status, 503);
    relay.replace(load(&config)).unwrap();
    assert_eq!(Call::get("/readyz").send(address).await.status, 503);
    assert!(relay.relay().state().is_draining);
}

#[test]
fn changes_name_providers_sections_and_what_needs_a_new_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let provider = |name: &str, key: &str| json!({"name": name, "type": "zai", "keys": [{"key": key}]});
    let before = json!({"providers": [provider("a", "1"), provider("b", "2"), provider("c", "3")]});
    let after = json!({
        "server": {"listen": "127.0.0.1:1", "max_concurrent": 5},
        "logging": {"level": "debug"},
        "providers": [provider("d", "4"), provider("b", "other"), provider("a", "1")],
    });
    let relay = relay_server::Relay::builder(load(&before)).without_proxy().build().unwrap();
    let changes = Reloadable::new(relay).replace(load(&after)).unwrap();
    let names = |list: &[relay_config::ProviderName]| {
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (names(&changes.added), names(&changes.removed), names(&changes.changed)),
        ("d".to_owned(), "c".to_owned(), "b".to_owned())
    );
    assert!(changes.is_reordered);
    assert_eq!((changes.sections, changes.not_applied), (vec!["server"], vec!["server.listen", "logging"]));
}
