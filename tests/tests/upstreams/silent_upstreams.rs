//! Upstreams that fall silent within an answer, without an end of the stream or of the connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use relay_tests::{
    Answer, Call, CertificateAuthority, Client, Http2Upstream, Relay, Upstream, provider, sse,
};
use serde_json::{Value, json};

const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
const IDLE: Duration = Duration::from_millis(200);

fn opening() -> Bytes {
    sse::recorded("anthropic/hello.sse")[..4].concat().into()
}

async fn relay(mut provider: Value) -> Relay {
    provider["idle_timeout_ms"] = json!(IDLE.as_millis() as u64);
    Relay::start(&json!({"providers": [provider]})).await
}

/// Receives the opening, and checks that the rest breaks off after the idle timeout.
async fn expect_break(client: &mut Client) {
    assert_eq!(client.head().await.status, 200);
    client.expect(&opening()).await;
    let started = Instant::now();
    assert_eq!(client.chunk().await, None);
    assert!(client.end().expect("an end").is_broken(), "{:?}", client.end());
    assert!(started.elapsed() > IDLE / 2, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_stream_over_http1_that_falls_silent_breaks_off_and_closes_its_connection() {
    let upstream = Upstream::manual().await;
    let relay = relay(provider("a", "anthropic", &upstream.url())).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&Answer::event_stream()).await;
    connection.send_chunk(&opening()).await;
    expect_break(&mut client).await;
    connection.peer_closed().await;
}

#[tokio::test]
async fn a_stream_over_http2_without_end_stream_breaks_off_and_is_reset() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let mut first = provider("a", "anthropic", &upstream.url());
    first["ca_file"] = json!(authority.ca_file());
    let relay = relay(first).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let mut exchange = upstream.exchange().await;
    exchange.send_head("text/event-stream");
    exchange.data(opening());
    expect_break(&mut client).await;
    assert_eq!(exchange.peer_reset().await, Reason::CANCEL);
    // The connection stays for other requests.
    let mut next = Client::connect(relay.address()).await;
    next.call(&Call::messages(STREAMED)).await;
    assert_eq!(upstream.exchange().await.connection(), 0);
}
