//! Clients that do not read the last bytes of a response: `server.write_timeout_ms` ends their exchanges, too.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use relay_server::{RequestEnd, RequestRecord};
use relay_tests::{Answer, Call, Http2Client, Relay, Upstream, provider, sse, within, within_limit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// The write timeout of these tests.
const LIMIT: Duration = Duration::from_millis(100);
const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// The ends of the requests that a relay has served.
type Ends = Arc<Mutex<Vec<Option<RequestEnd>>>>;

async fn relay(upstream: &Upstream, write_timeout: Duration) -> (Relay, Ends) {
    let config = json!({
        "server": {"write_timeout_ms": write_timeout.as_millis() as u64, "max_concurrent": 1},
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    let ends = Ends::default();
    let kept = Arc::clone(&ends);
    let relay = Relay::start_with(&config, |relay| {
        relay.on_finished(move |record: &Arc<RequestRecord>| {
            if record.provider.is_some() {
                kept.lock().expect("no panic").push(record.end);
            }
        })
    });
    (relay.await, ends)
}

/// Starts an upstream whose answers have about `size` bytes, as JSON or as a stream.
async fn upstream(size: usize) -> Upstream {
    Upstream::answering(move |request| {
        let filler = "x".repeat(size);
        match request.body.windows(13).any(|part| part == b"\"stream\":true") {
            true => {
                let start = sse::event("message_start", &json!({"type": "message_start", "message": {}}));
                let delta = json!({"type": "content_block_delta", "delta": {"text": filler}});
                let delta = sse::event("content_block_delta", &delta);
                Answer::sse([start, delta, sse::event("message_stop", &json!({"type": "message_stop"}))])
            }
            false => Answer::json(200, &json!({"type": "message", "content": [], "filler": filler})),
        }
    })
    .await
}

async fn in_flight(relay: &Relay) -> Value {
    Call::get("/v1/providers").send(relay.address()).await.json()["data"][0]["in_flight"].clone()
}

#[tokio::test]
async fn an_http2_response_whose_last_bytes_do_not_fit_into_the_window_is_reset() {
    for (size, window) in [(1500, 100), (1500, 1), (40_000, 39_900), (100_000, 65_536)] {
        let upstream = upstream(size).await;
        let (relay, ends) = relay(&upstream, LIMIT).await;
        for body in [BODY, STREAMED] {
            let client = Http2Client::connect_with_window(relay.address(), window).await;
            let mut unread = client.post("/v1/messages", body).await.expect("an answer");
            let reset = async {
                // The client gives no further room.
                let error = unread.unread_rest().await.expect_err("the stream is incomplete");
                assert!(error.is_reset() && error.is_remote(), "{size}, {window}: {error:?}");
            };
            within(Duration::from_secs(3), "reset of the stream", reset).await;
            while in_flight(&relay).await != 0 {}
            let mut answer = client.request("GET", "/health").await.expect("the connection still serves");
            answer.rest().await.expect("a whole answer");
        }
        assert_eq!(*ends.lock().unwrap(), [Some(RequestEnd::Stalled); 2], "{size}, {window}");
    }
}

#[tokio::test]
async fn an_http2_response_ends_when_its_client_has_read_the_last_bytes() {
    let upstream = upstream(1500).await;
    let (relay, ends) = relay(&upstream, Duration::from_secs(60)).await;
    for (body, window) in [(BODY, 100), (STREAMED, 100), (BODY, 65_535), (STREAMED, 65_535)] {
        let client = Http2Client::connect_with_window(relay.address(), window).await;
        let mut answer = client.post("/v1/messages", body).await.expect("an answer");
        let received = answer.rest().await.expect("a whole answer");
        assert!(received.len() > 1500);
        while in_flight(&relay).await != 0 {}
    }
    assert_eq!(*ends.lock().unwrap(), [Some(RequestEnd::Complete); 4]);
}

#[tokio::test]
async fn an_unread_stream_is_reset_while_its_upstream_pauses() {
    let upstream = Upstream::manual().await;
    let (relay, _) = relay(&upstream, LIMIT).await;
    let client = Http2Client::connect_with_window(relay.address(), 10).await;
    let events = sse::recorded("anthropic/hello.sse");
    let answering = async {
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream()).await;
        connection.send_chunk(&events[..4].concat()).await;
        connection.peer_closed().await;
    };
    let calling = async {
        let mut unread = client.post("/v1/messages", STREAMED).await.expect("an answer");
        let error = unread.unread_rest().await.expect_err("the stream is incomplete");
        assert!(error.is_reset() && error.is_remote(), "{error:?}");
    };
    tokio::join!(answering, calling);
}

/// Requests of every version and connection option that an HTTP/1 client can send.
#[tokio::test]
async fn every_kind_of_http1_connection_is_reset_if_its_client_stops_reading() {
    let upstream = upstream(3 * 1024 * 1024).await;
    let (relay, ends) = relay(&upstream, LIMIT).await;
    for option in ["1.0\r\n", "1.0\r\nconnection: keep-alive\r\n", "1.1\r\n", "1.1\r\nconnection: close\r\n"]
    {
        for body in [BODY, STREAMED] {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_recv_buffer_size(16 * 1024).expect("a socket option");
            let mut unread = socket.connect(relay.address()).await.expect("the relay listens");
            let head = format!(
                "POST /v1/messages HTTP/{option}host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            unread.write_all((head + body).as_bytes()).await.expect("an open connection");
            unread.readable().await.expect("an open connection");
            let freed = async {
                while ends.lock().expect("no panic").is_empty() {
                    tokio::time::sleep(LIMIT / 20).await;
                }
                while in_flight(&relay).await != 0 {}
            };
            within(Duration::from_secs(3), "release of the place", freed).await;
            assert_eq!(ends.lock().unwrap().pop(), Some(Some(RequestEnd::Stalled)), "{option:?}");
            let mut rest = Vec::new();
            let read = within_limit("end of the connection", unread.read_to_end(&mut rest)).await;
            assert!(read.is_err(), "{option:?}: the connection ends like a complete response");
        }
    }
}
