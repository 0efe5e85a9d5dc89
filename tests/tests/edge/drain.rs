//! A graceful stop.

use relay_tests::{Answer, Call, Client, Connection, End, Relay, Upstream, provider, sse};
use serde_json::json;
use tokio::net::TcpStream;

const BODY: &str = r#"{"model":"m","max_tokens":8,"messages":[],"stream":true}"#;

/// Starts a stream and returns after its first content.
async fn stream_under_way(drain_timeout_ms: u64) -> (Upstream, Relay, Connection, Client) {
    let upstream = Upstream::manual().await;
    let config = json!({
        "server": {"drain_timeout_ms": drain_timeout_ms},
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    let relay = Relay::start(&config).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&Answer::event_stream()).await;
    let events = sse::recorded("anthropic/hello.sse");
    for event in &events[..4] {
        connection.send_chunk(event).await;
    }
    client.head().await;
    client.expect(&events[..4].concat()).await;
    (upstream, relay, connection, client)
}

#[tokio::test]
async fn an_open_stream_is_completed() {
    let (_upstream, mut relay, mut connection, mut client) = stream_under_way(20_000).await;
    let mut idle = Client::connect(relay.address()).await;
    idle.call(&Call::get("/health")).await;
    idle.response().await;

    relay.stop();
    idle.closed().await;
    let late = TcpStream::connect(relay.address()).await;
    assert!(late.is_err(), "a stopping relay must accept no further connections");

    for event in &sse::recorded("anthropic/hello.sse")[4..] {
        connection.send_chunk(event).await;
        client.expect(event).await;
    }
    connection.send_last_chunk().await;
    assert_eq!((client.chunk().await, client.end()), (None, Some(End::Complete)));
    client.closed().await;
    relay.stopped().await;
}

#[tokio::test]
async fn a_stream_is_cut_when_the_drain_timeout_expires() {
    let (_upstream, mut relay, mut connection, mut client) = stream_under_way(200).await;
    relay.stop();
    relay.stopped().await;
    assert_eq!(client.chunk().await, None);
    assert!(client.end().is_some_and(End::is_broken), "{:?}", client.end());
    connection.peer_closed().await;
}

#[tokio::test]
async fn an_idle_relay_stops_at_once() {
    let upstream = Upstream::manual().await;
    let config = json!({
        "server": {"drain_timeout_ms": 600_000},
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    let mut relay = Relay::start(&config).await;
    relay.stop();
    relay.stopped().await;
}
