//! Requests while the configuration is replaced again and again: each is served by one configuration as a whole.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use relay_config::{Config, Format, Loader};
use relay_server::Reloadable;
use relay_tests::fakes::anthropic;
use relay_tests::{Call, Upstream};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
const CLIENTS: usize = 8;
const GENERATIONS: usize = 30;
/// The requests during each generation.
const REQUESTS: usize = 8;

/// A configuration of which the key, the model and a header have this number.
fn config(generation: usize, upstream: &Upstream) -> Config {
    let config = json!({"providers": [{
        "name": "a", "type": "anthropic", "base_url": upstream.url(),
        "keys": [{"key": format!("key-{generation}")}],
        "model_mapping": {"claude-*": format!("model-{generation}")},
        "headers": {"x-generation": generation.to_string()},
    }]});
    Loader::new().with_text("c", Format::Yaml, config.to_string()).load().unwrap().config
}

async fn send_without_end(address: SocketAddr) {
    loop {
        let response = Call::messages(BODY).send(address).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
}

#[tokio::test]
async fn each_request_is_served_by_one_configuration_as_a_whole() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay_server::Relay::builder(config(0, &upstream)).without_proxy().build().unwrap();
    let relay = Reloadable::new(relay);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(relay_server::serve(listener, relay.clone(), std::future::pending()));
    let mut clients: JoinSet<_> = (0..CLIENTS).map(|_| send_without_end(address)).collect();
    for generation in 1..=GENERATIONS {
        upstream.wait_for_requests(generation * REQUESTS).await;
        relay.replace(config(generation, &upstream)).unwrap();
    }
    assert!(clients.try_join_next().is_none(), "each client is still served");
    drop(clients);
    serving.abort();

    let mut generations = BTreeSet::new();
    for request in upstream.requests() {
        let generation: usize = request.header("x-generation").parse().unwrap();
        assert_eq!(request.header("x-api-key"), format!("key-{generation}"));
        assert_eq!(request.json()["model"], format!("model-{generation}"));
        generations.insert(generation);
    }
    assert!(generations.len() > GENERATIONS / 2, "{generations:?}");
}
