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
