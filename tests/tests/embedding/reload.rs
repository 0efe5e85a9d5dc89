//! A configuration is replaced while requests are served: none of them fails, and state is inherited.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use relay_config::{Config, Format, Loader};
use relay_server::{BuildError, Reloadable};
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, CertificateAuthority, Request, Response, Upstream, provider};
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

/// Sends `call` until it is answered with `status`.
async fn until(status: u16, address: SocketAddr, call: &Call) -> Response {
    loop {
        let response = call.send(address).await;
        if response.status == status {
            return response;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn requests_in_flight_count_toward_max_concurrent_after_a_replacement() {
    let slow = Upstream::manual().await;
    let quick = Upstream::answering(anthropic::answer).await;
    let config = |limit: u32, upstream: &Upstream| {
        let mut config = json!({"providers": [provider("a", "anthropic", &upstream.url())]});
        if limit > 0 {
            config["server"] = json!({"max_concurrent": limit});
        }
        config
    };
    // Without a limit, the requests in flight are counted as well.
    let (relay, address) = start(&config(0, &slow)).await;
    let held = tokio::spawn(async move { Call::messages(STREAMED).send(address).await });
    let (mut connection, _) = slow.exchange().await;
    let call = Call::messages(BODY);
    for limit in [1, 2, 1] {
        relay.replace(load(&config(limit, &quick))).unwrap();
        let response = call.send(address).await;
        let (status, kind) = if limit == 1 { (503, "overloaded_error") } else { (200, "") };
        assert_eq!(response.status, status, "limit {limit}");
        assert_eq!(response.json()["error"]["type"].as_str().unwrap_or_default(), kind);
    }
    connection.send_head(&Answer::event_stream()).await;
    connection.send_chunk(&Reply::new("claude-opus-5-5").text("Hello!").events().concat()).await;
    connection.send_last_chunk().await;
    assert_eq!(held.await.unwrap().status, 200);
    until(200, address, &call).await;
}

#[tokio::test]
async fn bodies_that_are_held_count_toward_the_budget_after_a_replacement() {
    const KIB: usize = 1024;
    let slow = Upstream::manual().await;
    let quick = Upstream::answering(anthropic::answer).await;
    let config = |kib: usize, upstream: &Upstream| {
        json!({
            "server": {"max_buffered_bytes": kib * KIB, "max_body_bytes": 512 * KIB},
            "providers": [provider("a", "anthropic", &upstream.url())],
        })
    };
    let large = Call::messages(format!("{}{BODY}", " ".repeat(300 * KIB)));
    let (relay, address) = start(&config(512, &slow)).await;
    let first = large.clone();
    let held = tokio::spawn(async move { first.send(address).await });
    let connection = slow.exchange().await;
    relay.replace(load(&config(513, &quick))).unwrap();
    let refused = large.send(address).await;
    assert_eq!((refused.status, refused.headers.get("retry-after")), (503, Some("1")));
    assert_eq!(Call::messages(BODY).send(address).await.status, 200);
    drop(connection);
    held.abort();
    until(200, address, &large).await;
}

#[tokio::test]
async fn limits_of_a_client_outlast_a_replacement() {
    let slow = Upstream::manual().await;
    let quick = Upstream::answering(anthropic::answer).await;
    let config = |limits: &Value, upstream: &Upstream| {
        let mut client = json!({"name": "one", "key": "key-of-one"});
        client.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        json!({
            "server": {"auth": {"api_keys": [client]}},
            "providers": [provider("a", "anthropic", &upstream.url())],
        })
    };
    let call = |body: &'static str| Call::messages(body).header("x-api-key", "key-of-one");
    let limits = json!({"rpm_limit": 3, "max_concurrent": 1});
    let (relay, address) = start(&config(&limits, &slow)).await;
    let streamed = call(STREAMED);
    let held = tokio::spawn(async move { streamed.send(address).await });
    let connection = slow.exchange().await;

    relay.replace(load(&config(&limits, &quick))).unwrap();
    let refused = call(BODY).send(address).await;
    assert_eq!(refused.status, 429);
    assert!(refused.json()["error"]["message"].to_string().contains('1'), "{}", refused.json());

    drop(connection);
    held.abort();
    // The request in the relay before has used one of three.
    let second = until(200, address, &call(BODY)).await;
    assert_eq!(second.headers.get("anthropic-ratelimit-requests-remaining"), Some("1"));
    relay.replace(load(&config(&json!({"rpm_limit": 3}), &quick))).unwrap();
    assert_eq!(call(BODY).send(address).await.status, 200);
    assert_eq!(call(BODY).send(address).await.status, 429);
    // A client under another name is another client.
    let renamed = config(&limits, &quick).to_string().replace("\"one\"", "\"two\"");
    relay.replace(load(&serde_json::from_str(&renamed).unwrap())).unwrap();
    assert_eq!(call(BODY).send(address).await.status, 200);
}

#[tokio::test]
async fn a_session_stays_on_its_provider_after_a_replacement() {
    let upstreams = [
        Upstream::answering(anthropic::answer).await,
        Upstream::answering(anthropic::answer).await,
        Upstream::answering(anthropic::answer).await,
    ];
    let config = |order: &[usize]| {
        let providers: Vec<_> = order
            .iter()
            .map(|&index| provider(["a", "b", "c"][index], "anthropic", &upstreams[index].url()))
            .collect();
        json!({"providers": providers, "routing": {"strategy": "round_robin", "affinity": "session"}})
    };
    let session = |number: u32| {
        let id = format!("00000000-0000-4000-8000-00000000000{number}");
        Call::messages(BODY).header("x-claude-code-session-id", id)
    };
    let counts = || upstreams.each_ref().map(|upstream| upstream.requests().len());
    let (relay, address) = start(&config(&[0, 1])).await;
    for number in 1..=4 {
        assert_eq!(session(number).send(address).await.status, 200);
    }
    assert_eq!(counts(), [2, 2, 0]);
    for order in [&[2, 1, 0][..], &[1, 2, 0], &[0, 1, 2]] {
        let before = counts();
        relay.replace(load(&config(order))).unwrap();
        for number in 1..=4 {
            assert_eq!(session(number).send(address).await.status, 200);
        }
        assert_eq!(counts(), [before[0] + 2, before[1] + 2, 0], "{order:?}");
    }
    // The sessions of a provider that is gone are served by another one.
    relay.replace(load(&config(&[0, 2]))).unwrap();
    let before = counts();
    for number in 1..=4 {
        assert_eq!(session(number).send(address).await.status, 200);
    }
    assert_eq!(counts()[1], before[1]);
    assert!(counts()[0] >= before[0] + 2);
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
async fn a_provider_keeps_its_connection_and_its_refused_fields() {
    let refuse = |request: &Request| match request.body.windows(9).any(|part| part == b"new_field") {
        true => {
            anthropic::error_with(400, "invalid_request_error", "new_field: Extra inputs are not permitted")
        }
        false => anthropic::answer(request),
    };
    let upstream = Upstream::answering(refuse).await;
    let config = |strategy: &str, priority: i32| {
        let mut provider = provider("a", "anthropic", &upstream.url());
        provider["priority"] = json!(priority);
        json!({"providers": [provider], "routing": {"strategy": strategy}})
    };
    let (relay, address) = start(&config("failover", 1)).await;
    let call = Call::messages(BODY.replace(r#""max_tokens""#, r#""new_field":1,"max_tokens""#));
    assert_eq!(call.send(address).await.status, 200);
    assert_eq!(upstream.requests().len(), 2);
    for (index, (strategy, priority)) in
        [("round_robin", 1), ("round_robin", 2), ("latency_based", 2)].iter().enumerate()
    {
        assert!(!relay.replace(load(&config(strategy, *priority))).unwrap().is_empty());
        assert_eq!(call.send(address).await.status, 200);
        assert_eq!(upstream.requests().len(), 3 + index, "the field is removed before the request is sent");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_stream_of_a_provider_that_has_not_changed_counts_toward_its_load() {
    let upstream = Upstream::manual().await;
    let config = |attempts: u32| json!({"providers": [provider("a", "anthropic", &upstream.url())], "routing": {"max_attempts": attempts}});
    let (relay, address) = start(&config(1)).await;
    let streaming = tokio::spawn(async move { Call::messages(STREAMED).send(address).await });
    let (mut connection, _) = upstream.exchange().await;
    relay.replace(load(&config(2))).unwrap();
    let in_flight =
        || serde_json::to_value(relay.relay().state()).unwrap()["providers"][0]["in_flight"].clone();
    assert_eq!(in_flight(), 1);
    connection.send_head(&Answer::event_stream()).await;
    connection.send_chunk(&Reply::new("claude-opus-5-5").text("Hello!").events().concat()).await;
    connection.send_last_chunk().await;
    assert_eq!(streaming.await.unwrap().status, 200);
    while in_flight() != 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_ca_file_with_other_contents_replaces_the_connections() {
    let (authority, other) = (CertificateAuthority::new(), CertificateAuthority::new());
    let upstream = Upstream::builder().tls(&authority).answering(anthropic::answer).await;
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::copy(authority.ca_file(), &ca_file).unwrap();
    let mut provider = provider("a", "anthropic", &upstream.url());
    provider["ca_file"] = json!(ca_file);
    let config = json!({"providers": [provider]});
    let (relay, address) = start(&config).await;
    assert_eq!(Call::messages(BODY).send(address).await.status, 200);
    assert!(relay.replace(load(&config)).unwrap().is_empty());

    std::fs::copy(other.ca_file(), &ca_file).unwrap();
    let changes = relay.replace(load(&config)).unwrap();
    assert_eq!(changes.files, [("a".into(), ca_file.clone())]);
    assert!(changes.changed.is_empty() && !changes.is_empty());
    let refused = Call::messages(BODY).send(address).await;
    assert!(refused.status >= 500, "{}", refused.status);
    std::fs::copy(authority.ca_file(), &ca_file).unwrap();
    relay.replace(load(&config)).unwrap();
    assert_eq!(Call::messages(BODY).send(address).await.status, 200);
}

#[tokio::test]
async fn a_drain_outlasts_a_replacement() {
    let config = json!({"providers": [{"name": "a", "type": "mock"}]});
    let (relay, address) = start(&config).await;
    assert_eq!(Call::get("/readyz").send(address).await.status, 200);
    relay.start_draining();
    assert_eq!(Call::get("/readyz").send(address).await.status, 503);
    let other = json!({"providers": [{"name": "b", "type": "mock"}]});
    assert!(!relay.replace(load(&other)).unwrap().is_empty());
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
        "logging": {"level": "debug", "format": "json"},
        "providers": [provider("d", "4"), provider("b", "other"), provider("a", "1")],
    });
    let relay = relay_server::Relay::builder(load(&before)).without_proxy().build().unwrap();
    let relay = Reloadable::new(relay);
    let changes = relay.replace(load(&after)).unwrap();
    let names = |list: &[relay_config::ProviderName]| {
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (names(&changes.added), names(&changes.removed), names(&changes.changed)),
        ("d".to_owned(), "c".to_owned(), "b".to_owned())
    );
    assert!(changes.is_reordered);
    let restart = ["server.listen", "logging"];
    assert_eq!((&*changes.sections, &*changes.not_applied), (&["server", "logging"][..], &restart[..]));
    let again = relay.replace(load(&after)).unwrap();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(again.not_applied, restart, "settings that are not in use are named each time");
}
