//! Requests that are refused before their body has arrived.

use std::time::{Duration, Instant};

use relay_tests::fakes::anthropic;
use relay_tests::{Relay, Upstream, provider, within_limit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than the buffers of both sockets hold.
const LARGE: usize = 8 * 1024 * 1024;

async fn relay() -> Relay {
    let upstream = Upstream::answering(anthropic::answer).await;
    let config = json!({
        "server": {"auth": {"api_keys": [{"name": "a", "key": "key-a", "rpm_limit": 1}]}},
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    Relay::start(&config).await
}

/// Sends the head of a request with a body of `size` bytes.
async fn send_head(relay: &Relay, key: &str, size: usize) -> TcpStream {
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: {}\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
         content-length: {size}\r\n\r\n",
        relay.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Reads the status of the response.
async fn status(stream: &mut TcpStream) -> String {
    let mut line = [0; 12];
    within_limit("status line", stream.read_exact(&mut line)).await.unwrap();
    String::from_utf8_lossy(&line[9..]).into_owned()
}

#[tokio::test]
async fn a_client_that_stalls_within_its_body_is_refused_at_once() {
    let relay = relay().await;
    // The first request of the minute is admitted, and waits for its body.
    let mut admitted = send_head(&relay, "key-a", 2).await;
    admitted.write_all(b"{}").await.unwrap();
    assert_eq!(status(&mut admitted).await, "400");
    for (key, expected) in [("wrong", "401"), ("key-a", "429")] {
        let mut stream = send_head(&relay, key, LARGE).await;
        stream.write_all(b"{").await.unwrap();
        let started = Instant::now();
        assert_eq!(status(&mut stream).await, expected);
        assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_client_that_sends_its_whole_body_first_gets_the_refusal() {
    let relay = relay().await;
    let mut stream = send_head(&relay, "wrong", LARGE).await;
    let piece = vec![b' '; LARGE / 8];
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        stream.write_all(&piece).await.unwrap();
    }
    assert_eq!(status(&mut stream).await, "401");
    let mut rest = Vec::new();
    within_limit("end of the response", stream.read_to_end(&mut rest)).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("authentication_error"));
}
