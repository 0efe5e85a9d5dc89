//! Bytes that are no HTTP/1.1 request: the answers have Anthropic's form, and reach clients that are still sending.

use std::time::Duration;

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Relay, Upstream, provider, within_limit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn relay(upstream: &Upstream, server: Value) -> Relay {
    Relay::start(&json!({"server": server, "providers": [provider("a", "anthropic", &upstream.url())]})).await
}

/// Sends `bytes`, reads up to the end of the connection, and returns the text.
async fn exchange(relay: &Relay, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(relay.address()).await.expect("the relay listens");
    stream.write_all(bytes).await.expect("an open connection");
    // As a client that writes its whole request before it reads.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut text = String::new();
    within_limit("end of the connection", stream.read_to_string(&mut text)).await.expect("a whole response");
    text
}

/// Checks the last response in `text`.
#[track_caller]
fn check(text: &str, status: u16, kind: &str) {
    let (head, body) = text.rsplit_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
    let head = &head[head.rfind("HTTP/1.1").expect("a status line")..];
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(kind)), "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    let id = body["request_id"].as_str().expect("an id");
    assert!(head.contains(&format!("request-id: {id}")), "{head}");
}

#[tokio::test]
async fn bytes_that_are_no_request_get_an_error_in_anthropics_form() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream, json!({})).await;
    let many: String = (0..101).map(|index| format!("x-{index}: a\r\n")).collect();
    let cases = [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("GET /\u{1}health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/3.0\r\nhost: 127.0.0.1\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nbad header: 1\r\n\r\n".to_owned(), 400),
        ("POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: x\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "x".repeat(70_000)), 414),
        (format!("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {}\r\n\r\n", "x".repeat(1_000_000)), 431),
        (format!("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n{many}\r\n"), 431),
    ];
    for (bytes, status) in &cases {
        check(&exchange(&relay, bytes.as_bytes()).await, *status, "invalid_request_error");
    }
    // Also after a request of the same connection.
    let before = "GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let mut stream = TcpStream::connect(relay.address()).await.expect("the relay listens");
    stream.write_all(before.as_bytes()).await.expect("an open connection");
    let mut part = [0; 4096];
    let first = stream.read(&mut part).await.expect("a response");
    assert!(part[..first].starts_with(b"HTTP/1.1 200 "));
    stream.write_all(b"GARBAGE\r\n\r\n").await.expect("an open connection");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("text");
    check(&rest, 400, "invalid_request_error");
}

#[tokio::test]
async fn a_body_that_repeats_an_answer_to_malformed_bytes_arrives_unchanged() {
    let text = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Thu, 26 Nov 2026 11:00:00 GMT\r\n\r\n";
    let upstream = Upstream::answering(move |_| {
        Answer::text(200, "application/octet-stream", "").with_body(text.repeat(2000))
    })
    .await;
    let relay = relay(&upstream, json!({})).await;
    let call = Call::get("/v1/files/f/content");
    assert_eq!(call.send(relay.address()).await.body(), text.repeat(2000));
}

#[tokio::test]
async fn a_client_that_sends_its_whole_body_first_reads_the_refusal_of_it() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let server = json!({"max_body_bytes": 1024, "auth": {"api_key": "k-0123456789"}});
    let relay = relay(&upstream, server).await;
    for (credential, status, kind) in
        [("k-0123456789", 413, "request_too_large"), ("wrong", 401, "authentication_error")]
    {
        for length in [20_000_000, 2_000] {
            let head = format!(
                "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {credential}\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            let bytes = [head.as_bytes(), &vec![b' '; length]].concat();
            let mut stream = TcpStream::connect(relay.address()).await.expect("the relay listens");
            within_limit("end of the request", stream.write_all(&bytes))
                .await
                .expect("the relay reads the rest");
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.shutdown().await.expect("an open connection");
            let mut text = String::new();
            within_limit("end of the connection", stream.read_to_string(&mut text))
                .await
                .expect("a whole response");
            check(&text, status, kind);
        }
    }
}
