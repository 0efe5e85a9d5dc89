//! HTTP/1.1 upstreams that close a connection: which requests are sent once more to the same upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relay_tests::fakes::anthropic;
use relay_tests::{
    Answer, Call, CertificateAuthority, Client, Connection, End, PROVIDER_KEY, Relay, Request, Response,
    Upstream, provider, sse,
};
use serde_json::json;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

#[track_caller]
fn assert_text(response: &Response, expected: &str) {
    assert_eq!((response.status, response.end), (200, End::Complete), "{:?}", response.body());
    assert_eq!(response.text(), expected);
}

/// The way in which an upstream ends a connection after it has read a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Close {
    /// FIN without any byte.
    Fin,
    /// RST without any byte.
    Rst,
    /// FIN before the body of the request is read.
    WithinRequest,
    /// RST before the body of the request is read.
    ResetWithinRequest,
    /// FIN after this part of a response.
    After(&'static str),
}

impl Close {
    async fn apply(self, mut connection: Connection) {
        match self {
            Self::Fin | Self::WithinRequest => connection.finish().await,
            Self::Rst | Self::ResetWithinRequest => connection.reset(),
            Self::After(part) => {
                connection.send(part.as_bytes()).await;
                connection.finish().await;
            }
        }
    }
}

/// An upstream that answers the first `answered` requests, closes the connection at the next `closed` ones as `close`, and
/// answers the others.
async fn upstream(
    authority: Option<&CertificateAuthority>,
    answered: usize,
    closed: usize,
    close: Close,
) -> Upstream {
    let seen = Arc::new(AtomicUsize::new(0));
    let builder = Upstream::builder().allow_chunked().allow_incomplete_requests();
    let builder = match authority {
        Some(authority) => builder.tls(authority).name("localhost"),
        None => builder,
    };
    let script = move |mut connection: Connection| {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let is_next_closed = (answered..answered + closed).contains(&seen.load(Ordering::SeqCst));
                if is_next_closed && matches!(close, Close::WithinRequest | Close::ResetWithinRequest) {
                    connection.receive_head().await;
                    seen.fetch_add(1, Ordering::SeqCst);
                    return close.apply(connection).await;
                }
                let Some(request) = connection.receive().await else { return };
                let number = seen.fetch_add(1, Ordering::SeqCst);
                if (answered..answered + closed).contains(&number) {
                    return close.apply(connection).await;
                }
                if connection.answer(&answer(&request)).await.is_err() {
                    return;
                }
            }
        }
    };
    builder.scripted(script).await
}

fn answer(request: &Request) -> Answer {
    match request.path() {
        "/v1/messages" => anthropic::answer_with("hello")(request),
        _ => Answer::json(200, &json!({"data": []})),
    }
}

async fn relay(upstream: &Upstream, authority: Option<&CertificateAuthority>) -> Relay {
    let mut provider = provider("first", "anthropic", &upstream.url());
    if let Some(authority) = authority {
        provider["ca_file"] = json!(authority.ca_file());
    }
    Relay::start(&json!({"providers": [provider]})).await
}

async fn assert_circuit_is_closed(relay: &Relay) {
    let providers = Call::get("/v1/providers").send(relay.address()).await.json();
    let first = &providers["data"][0];
    assert_eq!((&first["state"], &first["circuit"]), (&json!("ready"), &json!("closed")), "{first}");
}

#[tokio::test]
async fn a_request_on_a_reused_connection_that_closes_is_sent_once_more() {
    let authority = CertificateAuthority::new();
    for authority in [None, Some(&authority)] {
        for close in [Close::Fin, Close::Rst, Close::WithinRequest] {
            for body in [BODY, STREAMED] {
                let upstream = upstream(authority, 1, 1, close).await;
                let relay = relay(&upstream, authority).await;
                assert_text(&Call::messages(BODY).send(relay.address()).await, "hello");
                let response = Call::messages(body).send(relay.address()).await;
                assert_eq!((response.status, response.end), (200, End::Complete), "{close:?}");
                let requests = upstream.requests();
                assert_eq!(requests.len(), 3, "{close:?}");
                assert!(requests.iter().all(|request| request.header("x-api-key") == PROVIDER_KEY));
                assert_eq!(requests.last().map(|request| request.body.clone()), Some(body.into()));
                assert_eq!(upstream.connections(), 2, "{close:?}");
                assert_circuit_is_closed(&relay).await;
            }
        }
    }
}

/// Returns a body that the upstream's receive buffer does not take as a whole.
fn large() -> String {
    let text = "x".repeat(7 * 1024 * 1024);
    json!({"model": "claude-opus-5-5", "max_tokens": 8, "messages": [{"role": "user", "content": text}]})
        .to_string()
}

#[tokio::test]
async fn a_large_upload_on_a_reused_connection_that_closes_is_sent_once_more() {
    let (authority, large) = (CertificateAuthority::new(), large());
    for (authority, close) in [
        (None, Close::WithinRequest),
        (None, Close::ResetWithinRequest),
        (Some(&authority), Close::ResetWithinRequest),
    ] {
        let upstream = upstream(authority, 1, 1, close).await;
        let relay = relay(&upstream, authority).await;
        assert_text(&Call::messages(BODY).send(relay.address()).await, "hello");
        assert_text(&Call::messages(large.clone()).send(relay.address()).await, "hello");
        let requests = upstream.requests();
        assert_eq!(requests.len(), 3, "{close:?}");
        assert!(requests[2].body == large.as_bytes(), "{close:?}: the body has changed");
        assert_eq!(upstream.connections(), 2, "{close:?}");
        assert_circuit_is_closed(&relay).await;
    }
}

#[tokio::test]
async fn a_large_upload_on_a_new_connection_is_not_sent_again() {
    for (answered, closed, close) in [(0, 1, Close::ResetWithinRequest), (1, 2, Close::WithinRequest)] {
        let upstream = upstream(None, answered, closed, close).await;
        let relay = relay(&upstream, None).await;
        for _ in 0..answered {
            assert_text(&Call::messages(BODY).send(relay.address()).await, "hello");
        }
        assert_eq!(Call::messages(large()).send(relay.address()).await.status, 502, "{close:?}");
        assert_eq!(upstream.requests().len(), answered + closed, "{close:?}");
    }
}

#[tokio::test]
async fn a_large_upload_of_which_the_relay_keeps_no_copy_is_not_sent_again() {
    let upstream = upstream(None, 1, 1, Close::ResetWithinRequest).await;
    let relay = relay(&upstream, None).await;
    assert_eq!(Call::get("/v1/files").send(relay.address()).await.status, 200);
    let call = Call::post("/v1/messages/batches").json(large());
    assert_eq!(call.send(relay.address()).await.status, 502);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_under_a_large_upload_is_forwarded_and_the_upload_is_not_doubled() {
    const REFUSED: &str = concat!(
        "HTTP/1.1 413 Payload Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n",
        "content-length: 75\r\n\r\n",
        r#"{"type":"error","error":{"type":"request_too_large","message":"too large"}}"#
    );
    for reads_body in [true, false] {
        let upstream = Upstream::builder().allow_incomplete_requests();
        let upstream = upstream
            .scripted(move |mut connection| async move {
                let Some(first) = connection.receive().await else { return };
                connection.answer(&answer(&first)).await.expect("the relay listens");
                if reads_body {
                    connection.receive().await;
                } else {
                    connection.receive_head().await;
                }
                connection.send(REFUSED.as_bytes()).await;
                connection.finish().await;
            })
            .await;
        let relay = relay(&upstream, None).await;
        assert_text(&Call::messages(BODY).send(relay.address()).await, "hello");
        let response = Call::messages(large()).send(relay.address()).await;
        assert_eq!(response.status, 413, "{reads_body}: {:?}", response.body());
        assert_eq!(upstream.requests().len(), 2, "{reads_body}");
    }
}

#[tokio::test]
async fn a_request_on_a_new_connection_that_closes_is_not_sent_again() {
    for close in [Close::Fin, Close::Rst] {
        let upstream = upstream(None, 0, 1, close).await;
        let relay = relay(&upstream, None).await;
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 502, "{close:?}");
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_request_is_sent_once_more_only_once() {
    for close in [Close::Fin, Close::Rst] {
        let upstream = upstream(None, 1, 2, close).await;
        let relay = relay(&upstream, None).await;
        assert_text(&Call::messages(BODY).send(relay.address()).await, "hello");
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 502, "{close:?}");
        assert_eq!(upstream.requests().len(), 3);
        assert_eq!(upstream.connections(), 2);
    }
}

#[tokio::test]
async fn a_request_is_not_sent_again_after_the_first_byte_of_a_response() {
    const BROKEN: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"type\":";
    for part in ["H", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", BROKEN] {
        for body in [BODY, STREAMED] {
            let upstream = upstream(None, 1, 1, Close::After(part)).await;
            let relay = relay(&upstream, None).await;
            assert_text(&Call::messages(BODY).send(relay.address()).await, "hello");
            let response = Call::messages(body).send(relay.address()).await;
            assert!(response.status == 502 || response.end.is_broken(), "{part:?}: {}", response.status);
            assert_eq!(upstream.requests().len(), 2, "{part:?}");
        }
    }
}

#[tokio::test]
async fn the_rest_of_the_api_is_sent_once_more_unless_its_body_has_been_read() {
    for (call, status) in [
        (Call::get("/v1/files"), 200),
        (Call::new("DELETE", "/v1/files/file_1"), 200),
        // The body passes unread through the relay, which keeps no copy of it.
        (Call::post("/v1/messages/batches").json(r#"{"requests":[]}"#), 502),
    ] {
        let upstream = upstream(None, 1, 1, Close::Fin).await;
        let relay = relay(&upstream, None).await;
        assert_eq!(Call::get("/v1/files").send(relay.address()).await.status, 200);
        assert_eq!(call.send(relay.address()).await.status, status, "{call:?}");
        assert_eq!(upstream.requests().len(), if status == 200 { 3 } else { 2 }, "{call:?}");
    }
}

#[tokio::test]
async fn stale_idle_connections_are_passed_over() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream, None).await;
    // Three connections at the same time, all of which become idle.
    let (mut clients, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(BODY)).await;
        idle.push(upstream.exchange().await);
        clients.push(client);
    }
    for ((connection, request), client) in idle.iter_mut().zip(&mut clients) {
        connection.answer(&answer(request)).await.expect("the relay listens");
        assert_text(&client.response().await, "hello");
    }
    // The upstream closes the one that the next request uses, and it receives the request once more on a new connection.
    clients[0].call(&Call::messages(BODY)).await;
    let (mut last, _) = idle.pop().expect("three connections");
    assert!(last.receive().await.is_some(), "the connection that was used last is used first");
    last.finish().await;
    let (mut fresh, request) = upstream.exchange().await;
    assert_eq!(fresh.number(), 3);
    fresh.answer(&answer(&request)).await.expect("the relay listens");
    assert_text(&clients[0].response().await, "hello");
}

#[tokio::test]
async fn a_connection_is_reused_only_after_the_end_of_its_body() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream, None).await;
    let mut first = Client::connect(relay.address()).await;
    first.call(&Call::messages(STREAMED)).await;
    let (mut streaming, _) = upstream.exchange().await;
    let events = sse::recorded("anthropic/hello.sse");
    streaming.send_head(&Answer::event_stream()).await;
    streaming.send_chunk(&events[..4].concat()).await;
    first.head().await;

    let mut second = Client::connect(relay.address()).await;
    second.call(&Call::messages(BODY)).await;
    let (mut other, request) = upstream.exchange().await;
    assert_eq!(other.number(), 1);
    other.answer(&answer(&request)).await.expect("the relay listens");
    assert_text(&second.response().await, "hello");

    // A client that leaves closes the connection, which is therefore not reused.
    first.disconnect();
    streaming.peer_closed().await;
    second.call(&Call::messages(BODY)).await;
    assert!(other.receive().await.is_some());
}
