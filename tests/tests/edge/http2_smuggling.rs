//! HTTP/2 requests that would be another request, or two, if they were written as HTTP/1.1 (RFC 9113 sections 8.2 and 8.3).

use relay_tests::fakes::anthropic;
use relay_tests::{HTTP2_PREFACE, Relay, Upstream, http2_frame, provider, within_limit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// HPACK: `:status: 200` and `:status: 400`.
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8c;

/// The fields of a valid request, in their order.
const VALID: [(&str, &str); 5] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/v1/messages"),
    (":authority", "localhost"),
    ("content-type", "application/json"),
];

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// A response with this status.
    Status(u16),
    /// A reset of the stream, or the end of the connection.
    Refused,
}

/// Sends a request with `fields`, which are encoded by HPACK as literals. `data` is its body.
async fn send(relay: &Relay, fields: &[(&str, &str)], data: &str) -> Answer {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // Seven bits have the length; longer ones continue in the next byte.
            match u8::try_from(text.len()) {
                Ok(length @ ..127) => block.push(length),
                Ok(length) => block.extend([127, length - 127]),
                Err(_) => panic!("a short text"),
            }
            block.extend(text.as_bytes());
        }
    }
    let frames = [
        HTTP2_PREFACE.to_vec(),
        http2_frame(SETTINGS, 0, 0, &[]),
        http2_frame(HEADERS, END_HEADERS, 1, &block),
        http2_frame(DATA, END_STREAM, 1, data.as_bytes()),
    ];
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    stream.write_all(&frames.concat()).await.unwrap();
    within_limit("answer", answer(&mut stream)).await
}

/// Reads frames until one of them answers the first stream.
async fn answer(stream: &mut TcpStream) -> Answer {
    loop {
        let mut header = [0; 9];
        if stream.read_exact(&mut header).await.is_err() {
            return Answer::Refused;
        }
        let [a, b, c, kind, _, id @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        match (kind, u32::from_be_bytes(id), payload.first()) {
            (HEADERS, 1, Some(&OK)) => return Answer::Status(200),
            (HEADERS, 1, Some(&BAD_REQUEST)) => return Answer::Status(400),
            (HEADERS, 1, _) => panic!("another status: {payload:x?}"),
            (RST_STREAM, 1, _) | (GOAWAY, ..) => return Answer::Refused,
            _ => {}
        }
    }
}

/// Returns the valid fields with `value` in the place of the one of `name`, or after all others.
fn with<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut fields = VALID.to_vec();
    match fields.iter_mut().find(|(valid, _)| *valid == name) {
        Some(field) => field.1 = value,
        None => fields.push((name, value)),
    }
    fields
}

#[tokio::test]
async fn a_request_that_would_be_another_one_over_http1_is_refused() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    assert_eq!(send(&relay, &VALID, BODY).await, Answer::Status(200));
    assert_eq!(upstream.take_requests().len(), 1);

    let mut requests = vec![
        // Fields of a connection.
        with("connection", "close"),
        with("connection", "x-api-key"),
        with("keep-alive", "timeout=5"),
        with("proxy-connection", "keep-alive"),
        with("transfer-encoding", "chunked"),
        with("upgrade", "h2c"),
        with("te", "gzip"),
        // Lengths that differ from the data.
        with("content-length", "1"),
        with("content-length", "1000"),
        with("content-length", "-1"),
        with("content-length", "0x38"),
        // Names and values that end or begin a line.
        with("x", "y\r\ncontent-length: 0\r\n\r\nGET /smuggled HTTP/1.1"),
        with("x", "y\nz: a"),
        with("x", "y\0z"),
        with("x\r\ny", "z"),
        with("x: y\r\nz", "a"),
        with("x y", "z"),
        with("X-Upper", "z"),
        with("", "z"),
        with(":path", "/v1/messages HTTP/1.1\r\nx: y"),
        with(":path", "/v1/messages\r\n"),
        with(":path", ""),
        with(":method", "POST /smuggled HTTP/1.1\r\nx:"),
        with(":method", "POST "),
        with(":authority", "localhost\r\nx: y"),
        with(":authority", "localhost/smuggled"),
        with(":scheme", "http\r\nx"),
        with(":status", "200"),
        with(":unknown", "x"),
    ];
    // A pseudo-header field that is missing, occurs twice, or follows another field.
    for (index, field) in VALID.iter().enumerate().take(3) {
        let mut missing = VALID.to_vec();
        missing.remove(index);
        let mut last = missing.clone();
        last.push(*field);
        let mut twice = VALID.to_vec();
        twice.insert(index, *field);
        requests.extend([missing, last, twice]);
    }
    for fields in requests {
        let answer = send(&relay, &fields, BODY).await;
        assert!(matches!(answer, Answer::Refused | Answer::Status(400)), "{answer:?}: {fields:?}");
        assert_eq!(upstream.requests().len(), 0, "{fields:?}");
    }
}
