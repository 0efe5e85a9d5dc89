//! A listener on a Unix socket.

use std::path::PathBuf;

use relay_tests::fakes::anthropic;
use relay_tests::{
    Answer, Call, Client, End, Http2Client, Relay, Tunnel, Upstream, provider, sse, within_limit,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// A relay on a Unix socket, and a way to it for clients of TCP.
struct Local {
    relay: Relay,
    tunnel: Tunnel,
    path: PathBuf,
    _directory: TempDir,
}

async fn start(upstream: &Upstream, server: Value) -> Local {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("relay.sock");
    let config = json!({"server": server, "providers": [provider("a", "anthropic", &upstream.url())]});
    let listener = relay_server::bind_unix(&path, 0o600).unwrap();
    let relay = Relay::start_on(listener, &config, |builder| builder).await;
    let tunnel = Tunnel::to_unix(&path).await;
    Local { relay, tunnel, path, _directory: directory }
}

#[tokio::test]
async fn requests_name_a_loopback_host_as_on_a_loopback_address() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let local = start(&upstream, json!({"allowed_hosts": ["relay.example"]})).await;
    for (host, expected) in [
        ("localhost", 200),
        ("127.0.0.1:80", 200),
        ("relay.example", 200),
        ("attacker.example", 403),
        ("unix", 403),
    ] {
        let answer = Call::messages(BODY).header("host", host).send(local.tunnel.address()).await;
        assert_eq!(answer.status, expected, "{host}");
    }
}

#[tokio::test]
async fn streams_arrive_event_by_event_over_both_versions_of_http() {
    let upstream = Upstream::manual().await;
    let local = start(&upstream, json!({})).await;
    let events = sse::recorded("anthropic/hello.sse");

    let mut client = Client::connect(local.tunnel.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&anthropic::success(Answer::event_stream())).await;
    connection.send_chunk(&events[..4].concat()).await;
    client.head().await;
    client.expect(&events[..4].concat()).await;
    for event in &events[4..] {
        connection.send_chunk(event).await;
        client.expect(event).await;
    }
    connection.send_last_chunk().await;
    assert_eq!((client.chunk().await, client.end()), (None, Some(End::Complete)));

    let client = Http2Client::connect(local.tunnel.address()).await;
    let mut answer = client.request("GET", "/health").await.unwrap();
    assert_eq!(answer.head().status(), 200);
    answer.rest().await.unwrap();
}

#[tokio::test]
async fn a_stop_removes_the_socket_and_completes_open_requests() {
    let upstream = Upstream::manual().await;
    let mut local = start(&upstream, json!({})).await;
    let mut idle = Client::connect(local.tunnel.address()).await;
    idle.call(&Call::get("/health")).await;
    idle.response().await;
    let mut client = Client::connect(local.tunnel.address()).await;
    client.call(&Call::messages(BODY)).await;
    let (mut connection, _) = upstream.exchange().await;

    local.relay.stop();
    idle.closed().await;
    assert!(!local.path.exists());
    let answer = anthropic::success(Answer::json(200, &json!({"type": "message", "content": []})));
    connection.answer(&answer).await.unwrap();
    assert_eq!(client.response().await.status, 200);
    within_limit("end of the relay", local.relay.stopped()).await;
}

#[tokio::test]
async fn malformed_bytes_are_answered_and_a_disconnect_cancels() {
    let upstream = Upstream::manual().await;
    let local = start(&upstream, json!({})).await;
    let mut malformed = Client::connect(local.tunnel.address()).await;
    malformed.send("\u{16}\u{3}\u{1}\r\n\r\n").await;
    assert_eq!(malformed.response().await.status, 400);

    let mut client = Client::connect(local.tunnel.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    client.disconnect();
    connection.peer_closed().await;
}
