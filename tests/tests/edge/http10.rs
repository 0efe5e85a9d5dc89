//! Clients of HTTP/1.0, such as nginx with its default settings: the end of the connection is the end of the response, so a
//! response that breaks off ends with an `error` event, if it is a stream, and with a reset.

use std::io::ErrorKind;

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Connection, Relay, Upstream, provider, sse, within_limit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// The response of one connection, and `true` if the connection was reset at its end.
#[derive(Debug)]
struct Received {
    head: String,
    body: String,
    is_reset: bool,
}

impl Received {
    fn events(&self) -> Vec<sse::Event> {
        sse::parse(self.body.as_bytes())
    }
}

async fn send(relay: &Relay, version: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(relay.address()).await.expect("the relay listens");
    let head = format!(
        "POST {path} {version}\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.expect("an open connection");
    stream
}

async fn receive(mut stream: TcpStream) -> Received {
    let mut bytes = Vec::new();
    let read = within_limit("end of the connection", stream.read_to_end(&mut bytes)).await;
    let is_reset = match read {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            true
        }
    };
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Received { head: head.to_owned(), body: body.to_owned(), is_reset }
}

async fn relay_of(upstream: &Upstream, server: Value) -> Relay {
    // The circuit stays closed, however many streams break off.
    let health = json!({"circuit_breaker": {"failure_threshold": 1000}});
    let providers = json!([provider("a", "anthropic", &upstream.url())]);
    Relay::start(&json!({"server": server, "providers": providers, "health": health})).await
}

/// Starts a stream, and returns after the relay has sent its first content.
async fn stream_under_way(upstream: &Upstream, relay: &Relay) -> (Connection, TcpStream, String) {
    let opening = sse::recorded("anthropic/hello.sse")[..4].concat();
    let mut client = send(relay, "HTTP/1.0", "/v1/messages", STREAMED).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&Answer::event_stream()).await;
    connection.send_chunk(&opening).await;
    let mut start = Vec::new();
    while !start.ends_with(&opening) {
        let read = within_limit("start of the stream", client.read_buf(&mut start)).await;
        assert_ne!(read.expect("an open connection"), 0, "{start:?}");
    }
    (connection, client, String::from_utf8(start).expect("text"))
}

#[tokio::test]
async fn a_broken_stream_ends_with_an_error_event_and_a_reset() {
    let upstream = Upstream::manual().await;
    let relay = relay_of(&upstream, json!({})).await;
    let within_an_event = "event: content_block_delta\ndata: {\"type\":\"content_blo";
    for more in ["", ": comment\n\n", within_an_event] {
        for is_reset in [true, false] {
            let (mut connection, mut client, start) = stream_under_way(&upstream, &relay).await;
            connection.send_chunk(more.as_bytes()).await;
            assert!(start.starts_with("HTTP/1.0 200 "), "{start}");
            assert!(!start.contains("transfer-encoding"), "{start}");
            if is_reset {
                connection.reset();
            } else {
                connection.finish().await;
            }
            let mut rest = Vec::new();
            let end = within_limit("end of the connection", client.read_to_end(&mut rest)).await;
            assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset, "{more:?}");
            let events = sse::parse(&rest);
            let last = events.last().expect("an event");
            assert_eq!(last.name, "error", "{more:?}: {rest:?}");
            assert_eq!(last.json()["error"]["type"], "api_error");
            assert!(last.json()["request_id"].is_string());
        }
    }
}

#[tokio::test]
async fn a_stream_is_recognised_by_its_media_type_in_any_case() {
    let upstream = Upstream::manual().await;
    let relay = relay_of(&upstream, json!({})).await;
    for media_type in ["Text/Event-Stream", "TEXT/EVENT-STREAM; Charset=UTF-8"] {
        let client = send(&relay, "HTTP/1.0", "/v1/messages", STREAMED).await;
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream().with_content_type(media_type)).await;
        connection.send_chunk(&sse::recorded("anthropic/hello.sse")[..4].concat()).await;
        connection.reset();
        let received = receive(client).await;
        assert!(received.head.starts_with("HTTP/1.0 200 "), "{media_type}: {}", received.head);
        assert!(
            received.head.contains("cache-control: no-cache, no-transform"),
            "{media_type}: {}",
            received.head
        );
        assert!(received.is_reset, "{media_type}");
        assert_eq!(received.events().last().map(|event| event.name.clone()), Some("error".to_owned()));
    }
}

#[tokio::test]
async fn a_client_of_http11_gets_no_event_for_a_break() {
    let upstream = Upstream::manual().await;
    let relay = relay_of(&upstream, json!({})).await;
    let client = send(&relay, "HTTP/1.1", "/v1/messages", STREAMED).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&Answer::event_stream()).await;
    connection.send_chunk(&sse::recorded("anthropic/hello.sse")[..4].concat()).await;
    connection.reset();
    let received = receive(client).await;
    assert!(received.head.contains("transfer-encoding: chunked"), "{}", received.head);
    assert!(
        !received.body.contains("event: error") && !received.body.ends_with("0\r\n\r\n"),
        "{}",
        received.body
    );
}

#[tokio::test]
async fn a_complete_response_ends_without_a_reset() {
    let reply = Reply::new("claude-opus-5-5").text("hello");
    let expected = reply.clone();
    let upstream = Upstream::answering(move |request| anthropic::message(request, &reply)).await;
    let relay = relay_of(&upstream, json!({})).await;
    let streamed = receive(send(&relay, "HTTP/1.0", "/v1/messages", STREAMED).await).await;
    assert!(!streamed.is_reset);
    assert_eq!(streamed.events().last().map(|event| event.name.clone()), Some("message_stop".to_owned()));
    let message = receive(send(&relay, "HTTP/1.0", "/v1/messages", BODY).await).await;
    assert!(!message.is_reset);
    assert_eq!(serde_json::from_str::<Value>(&message.body).expect("JSON"), expected.json());
    for path in ["/nowhere", "/v1/messages/count_tokens"] {
        let received = receive(send(&relay, "HTTP/1.0", path, BODY).await).await;
        assert!(!received.is_reset && received.body.ends_with('}'), "{path}: {received:?}");
    }
}

#[tokio::test]
async fn a_broken_response_in_one_piece_ends_with_a_reset() {
    let upstream = Upstream::manual().await;
    let relay = relay_of(&upstream, json!({})).await;
    let text = Reply::new("claude-opus-5-5").text("x".repeat(400_000)).json().to_string();
    let (start, _) = text.split_at(text.len() / 2);
    for (path, length) in
        [("/v1/messages", true), ("/v1/messages", false), ("/v1/files", true), ("/v1/files", false)]
    {
        let client = send(&relay, "HTTP/1.0", path, BODY).await;
        let (mut connection, _) = upstream.exchange().await;
        if length {
            connection.send_head(&Answer::json(200, &json!({})).with_content_length(text.len())).await;
            connection.send(start.as_bytes()).await;
        } else {
            let head = Answer::pieces(200, []).with_header("content-type", "application/json");
            connection.send_head(&head).await;
            connection.send_chunk(start.as_bytes()).await;
        }
        connection.reset();
        let received = receive(client).await;
        if path == "/v1/messages" {
            // Nothing of a message in one piece leaves before its end.
            assert!(received.head.contains(" 502 ") && !received.is_reset, "{}", received.head);
            continue;
        }
        assert!(received.is_reset, "{path}, length {length}: {}", received.head);
        assert!(received.body.len() < text.len(), "{path}, length {length}");
    }
}

#[tokio::test]
async fn a_stream_that_a_stop_cuts_ends_with_a_reset() {
    let upstream = Upstream::manual().await;
    let mut relay = relay_of(&upstream, json!({"drain_timeout_ms": 50})).await;
    let (_connection, client, start) = stream_under_way(&upstream, &relay).await;
    assert!(start.contains("content_block_delta"), "{start}");
    relay.stop();
    relay.stopped().await;
    let mut client = client;
    let end = within_limit("end of the connection", client.read_to_end(&mut Vec::new())).await;
    assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
}
