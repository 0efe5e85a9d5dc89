//! Hostile upstreams and clients: one of them neither holds a thread of the relay nor delays the requests of others.

use std::time::{Duration, Instant};

use relay_tests::{Call, End, Relay, Upstream, provider};
use serde_json::json;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// Starts an upstream that reads a request, and then sends `bytes` again and again until the relay closes the connection.
async fn endless(bytes: Vec<u8>) -> Upstream {
    Upstream::scripted(move |mut connection| {
        let bytes = bytes.clone();
        async move {
            if connection.receive().await.is_some() {
                while connection.try_send(&bytes).await.is_ok() {}
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn informational_responses_without_end_neither_hold_a_thread_nor_wait_for_a_timeout() {
    for head in ["100 Continue", "102 Processing", "103 Early Hints\r\nlink: </a>"] {
        let upstream = endless(format!("HTTP/1.1 {head}\r\n\r\n").repeat(2000).into_bytes()).await;
        let relay = Relay::start(&json!({"providers": [provider("gw", "anthropic", &upstream.url())]})).await;
        let started = Instant::now();
        for call in [Call::messages(BODY), Call::messages(STREAMED), Call::get("/v1/files")] {
            let response = call.send(relay.address()).await;
            assert_eq!((response.status, response.end), (502, End::Complete), "{head}");
            let message = response.json()["error"]["message"].to_string();
            assert!(message.contains("informational responses"), "{message}");
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{head}: {:?}", started.elapsed());
        upstream.wait_for_open_connections(0).await;
    }
}

#[tokio::test]
async fn a_few_informational_responses_precede_each_response_of_a_connection() {
    let message = r#"{"type":"message","content":[],"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(200);
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", message.len());
    let answer = format!("{interim}{head}\r\n\r\n{message}").into_bytes();
    let upstream = Upstream::scripted(move |mut connection| {
        let answer = answer.clone();
        async move {
            while connection.receive().await.is_some() {
                connection.send(&answer).await;
            }
        }
    })
    .await;
    let relay = Relay::start(&json!({"providers": [provider("gw", "anthropic", &upstream.url())]})).await;
    for _ in 0..8 {
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!((response.status, &response.body()[..]), (200, message.as_bytes()));
    }
    assert_eq!(upstream.connections(), 1, "the limit is that of one request");
}
