//! Request smuggling: requests whose end a proxy and the relay could read differently (RFC 9112 sections 6.3 and 11.2).

use relay_tests::fakes::anthropic;
use relay_tests::{Client, Relay, Upstream, provider};
use serde_json::json;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;

async fn scene() -> (Upstream, Relay) {
    let upstream = Upstream::answering(anthropic::answer_with("a")).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    (upstream, relay)
}

/// A request within the bytes of another one. It must never be answered.
fn smuggled() -> String {
    format!(
        "POST /v1/messages?smuggled HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}

/// Sends `request`. Returns the statuses of all responses on its connection, which the relay has to close.
async fn statuses(relay: &Relay, request: &str) -> Vec<u16> {
    let mut client = Client::connect(relay.address()).await;
    let _ = client.try_send(request).await; // it may be refused before its end
    let mut statuses = Vec::new();
    while let Some(head) = client.try_head().await {
        statuses.push(head.status);
        while client.chunk().await.is_some() {}
    }
    statuses
}

/// The bytes of a request with these framing headers, followed by a smuggled one.
fn request(framing: &str, body: &str) -> String {
    format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_request_of_two_lengths_never_yields_a_second_request() {
    let (upstream, relay) = scene().await;
    let smuggled = smuggled();
    let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n{smuggled}", BODY.len());
    let (short, long) = (BODY.len(), BODY.len() + smuggled.len());
    let requests = [
        request(&format!("content-length: {}\r\ntransfer-encoding: chunked", chunked.len()), &chunked),
        request(&format!("transfer-encoding: chunked\r\ncontent-length: {}", chunked.len()), &chunked),
        request(&format!("content-length: {short}\r\ncontent-length: {long}"), &format!("{BODY}{smuggled}")),
        request(&format!("content-length: {short}, {long}"), &format!("{BODY}{smuggled}")),
        request(
            &format!("content-length: {short}\r\ntransfer-encoding: x-unknown"),
            &format!("{BODY}{smuggled}"),
        ),
        request("transfer-encoding: chunked, identity", &chunked),
        request("transfer-encoding: identity, chunked\r\ncontent-length: 3", &chunked),
        request("transfer-encoding: xchunked", &chunked),
        request("transfer-encoding: chunked\r\ntransfer-encoding: identity", &chunked),
        request("transfer-encoding : chunked", &chunked),
        request("transfer-encoding:\x0bchunked", &chunked),
        request(&format!("content-length: 0x{short:x}"), &format!("{BODY}{smuggled}")),
        request(&format!("content-length: -{short}"), &format!("{BODY}{smuggled}")),
        request(&format!("content-length: {short} {long}"), &format!("{BODY}{smuggled}")),
        request(&format!("content-length : {short}"), &format!("{BODY}{smuggled}")),
        request(&format!(" content-length: {short}"), &format!("{BODY}{smuggled}")),
        request(&format!("x: y\r\n content-length: {short}"), &format!("{BODY}{smuggled}")),
        request(&format!("x: y\rcontent-length: {short}"), &format!("{BODY}{smuggled}")),
    ];
    for request in requests {
        let statuses = statuses(&relay, &request).await;
        assert!(statuses == [200] || statuses == [400], "{statuses:?}: {request:?}");
    }
    assert!(upstream.requests().iter().all(|received| !received.target.contains("smuggled")));
}

/// A request with a chunked body whose first line of a chunk, data and end are these bytes, followed by a smuggled one.
fn chunked_request(line: &str, data: &str, end: &str) -> String {
    request("transfer-encoding: chunked", &format!("{line}{data}{end}{}", smuggled()))
}

#[tokio::test]
async fn chunks_that_other_parsers_read_differently_never_yield_a_second_request() {
    let (upstream, relay) = scene().await;
    let size = BODY.len();
    let end = "\r\n0\r\n\r\n";
    let requests = [
        // Sizes that are no hexadecimal number, or one beyond 64 bits.
        chunked_request(&format!("0x{size:x}\r\n"), BODY, end),
        chunked_request(&format!("+{size:x}\r\n"), BODY, end),
        chunked_request(&format!("-{size:x}\r\n"), BODY, end),
        chunked_request(&format!("1{size:016x}\r\n"), BODY, end),
        chunked_request("\r\n", BODY, end),
        // Lines that end with one character, and line ends within an extension.
        chunked_request(&format!("{size:x}\n"), BODY, end),
        chunked_request(&format!("{size:x}\r"), BODY, end),
        chunked_request(&format!("{size:x};a\nb\r\n"), BODY, end),
        chunked_request(&format!("{size:x};a\rb\r\n"), BODY, end),
        chunked_request(&format!("{size:x}\r\n"), BODY, "\n0\n\n"),
        chunked_request(&format!("{size:x}\r\n"), BODY, "0\r\n\r\n"),
        chunked_request(&format!("{:x}\r\n", size - 3), BODY, end),
        // Extensions without end.
        chunked_request(&format!("{size:x};{}\r\n", "a".repeat(100_000)), BODY, end),
        chunked_request(&format!("1;{}\r\n \r\n", "a".repeat(100)).repeat(1000), BODY, end),
    ];
    for request in requests {
        let statuses = statuses(&relay, &request).await;
        assert_eq!(statuses, [400], "{request:.400?}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn heads_that_other_parsers_read_differently_never_yield_a_second_request() {
    let (upstream, relay) = scene().await;
    let smuggled = smuggled();
    let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n{smuggled}", BODY.len());
    let (short, long) = (BODY.len(), BODY.len() + smuggled.len());
    let lengths = format!("content-length: {short}");
    let both = format!("{BODY}{smuggled}");
    let requests = [
        // RFC 9112 section 6.1: a version without chunked bodies.
        request("transfer-encoding: chunked", &chunked).replacen("HTTP/1.1", "HTTP/1.0", 1),
        request(&format!("{lengths}\r\ntransfer-encoding: chunked"), &chunked)
            .replacen("HTTP/1.1", "HTTP/1.0", 1),
        // Line ends of one character, which some parsers read as a part of the value.
        request(&format!("x: y\ncontent-length: {short}\r\ncontent-length: {long}"), &both),
        request(&format!("x: y\rcontent-length: {short}\r\ncontent-length: {long}"), &both),
        request(&format!("x: y\n{lengths}\r\ntransfer-encoding: chunked\n"), &both),
        // Characters that end a value for some parsers, and names that others normalize.
        request(&format!("x: y\0\r\n{lengths}"), &both),
        request(&format!("content-length: {short}\0{long}"), &both),
        request(&format!("content-length\0: {long}\r\n{lengths}"), &both),
        request(&format!(": y\r\n{lengths}"), &both),
        request(&format!("content length: {long}\r\n{lengths}"), &both),
        request(&format!("\tcontent-length: {long}\r\n{lengths}"), &both),
        request(&format!("content-length: \u{661}\r\n{lengths}"), &both),
        // Request lines of more or fewer parts.
        request(&lengths, &both).replacen("HTTP/1.1", "HTTP/1.1 HTTP/1.0", 1),
        request(&lengths, &both).replacen("HTTP/1.1", "HTTP/1.2", 1),
        request(&lengths, &both).replacen(" HTTP/1.1", "", 1),
        request(&lengths, &both).replacen("POST ", "POST\t", 1),
        request(&lengths, &both).replacen("POST ", "POST\r", 1),
    ];
    for request in requests {
        let statuses = statuses(&relay, &request).await;
        assert_eq!(statuses, [400], "{request:?}");
    }
    assert_eq!(upstream.connections(), 0);
}
