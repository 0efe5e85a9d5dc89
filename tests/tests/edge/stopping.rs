//! A stop, and the connections that bring no request: half-read requests, idle connections, too many of them.

use std::future::ready;
use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_config::{Format, Loader};
use relay_server::Stop;
use relay_tests::fakes::anthropic;
use relay_tests::{
    Answer, Call, Client, Connection, Http2Answer, Http2Client, Relay, Upstream, provider, sse, within,
    within_limit,
};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
/// Far less than the drain timeout of these tests.
const AT_ONCE: Duration = Duration::from_secs(2);

fn config(upstream: &Upstream, server: Value) -> Value {
    json!({"server": server, "providers": [provider("a", "anthropic", &upstream.url())]})
}

#[tokio::test]
async fn a_stop_closes_at_once_what_has_not_brought_a_whole_request() {
    let upstream = Upstream::manual().await;
    let mut relay = Relay::start(&config(&upstream, json!({"drain_timeout_ms": 60_000}))).await;
    let mut clients = Vec::new();
    for bytes in [
        "",
        "POST /v1/mess",
        "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\n",
        "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{\"model\":",
        "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"m\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        // The second connection of each kind has served a request before.
        for is_used in [false, true] {
            if is_used && bytes.starts_with("PRI") {
                continue;
            }
            let mut client = Client::connect(relay.address()).await;
            if is_used {
                client.call(&Call::get("/health")).await;
                client.response().await;
            }
            client.send(bytes).await;
            clients.push(client);
        }
    }
    // The relay has read all of it once it has answered on a later connection.
    Call::get("/health").send(relay.address()).await;
    relay.stop();
    within(AT_ONCE, "end of the relay", relay.stopped()).await;
    for client in &mut clients {
        client.closed().await;
    }
}

#[tokio::test]
async fn connections_that_wait_in_the_queue_at_a_stop_are_served() {
    let upstream = Upstream::manual().await;
    let mut relay = Relay::start(&config(&upstream, json!({}))).await;
    // The relay runs in this thread, which does not yield: the system alone accepts these connections.
    relay.stop();
    let queued: Vec<_> = (0..100)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(relay.address()).unwrap();
            client.write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
            client.set_nonblocking(true).unwrap();
            TcpStream::from_std(client).unwrap()
        })
        .collect();
    for mut client in queued {
        let mut answer = String::new();
        within_limit("an answer", client.read_to_string(&mut answer)).await.expect("no reset");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    relay.stopped().await;
}

#[tokio::test]
async fn a_request_that_is_on_its_way_at_a_stop_is_served() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let mut relay = Relay::start(&config(&upstream, json!({}))).await;
    let unused = Client::connect(relay.address()).await;
    let mut used = Client::connect(relay.address()).await;
    used.call(&Call::get("/health")).await;
    used.response().await;
    relay.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for mut client in [unused, used] {
        client.call(&Call::messages(BODY)).await;
        let answer = client.response().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers.get("connection"), Some("close"));
        client.closed().await;
    }
    within(AT_ONCE, "end of the relay", relay.stopped()).await;
}

#[tokio::test]
async fn a_hand_over_completes_requests_that_have_arrived_in_part() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let mut relay = Relay::start(&config(&upstream, json!({}))).await;
    let mut slow = Client::connect(relay.address()).await;
    let length = BODY.len();
    slow.send(&format!("POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n\r\n"))
        .await;
    let slow_stream = Http2Client::connect(relay.address()).await;
    let half = slow_stream.post_part("/v1/messages", &BODY[..10]).await;
    // The relay has read all of it once it has answered on a later connection.
    Call::get("/health").send(relay.address()).await;

    relay.hand_over();
    // Longer than a stop waits.
    assert!(tokio::time::timeout(Duration::from_millis(700), half).await.is_err());
    slow.send(BODY).await;
    let answer = slow.response().await;
    assert_eq!((answer.status, answer.headers.get("connection")), (200, Some("close")));
}

#[tokio::test]
async fn a_hand_over_leaves_connections_in_the_queue_to_the_other_process() {
    let text = "providers: [{ name: a, type: mock }]";
    let config = Loader::new().with_text("c.yaml", Format::Yaml, text).load().unwrap().config;
    let relay = relay_server::Relay::builder(config).without_proxy().build().unwrap();
    // The stop and the connection are there at the same time. One of them coming first would be by chance.
    for _ in 0..30 {
        let other_process = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        other_process.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(other_process.try_clone().unwrap()).unwrap();
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        relay_server::serve_until(listener, relay.clone(), ready(Stop::HandOver)).await;
        other_process.accept().expect("the connection is still in the queue");
    }
}

/// Starts a stream over HTTP/2 whose upstream has sent its first `events`.
async fn stream_under_way(
    upstream: &Upstream,
    client: &Http2Client,
    events: &[Bytes],
) -> (Connection, Http2Answer) {
    let answering = async {
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream()).await;
        connection.send_chunk(&events.concat()).await;
        connection
    };
    let (connection, open) = tokio::join!(answering, client.post("/v1/messages", STREAMED));
    (connection, open.expect("an answer"))
}

#[tokio::test]
async fn a_stop_resets_http2_streams_without_a_whole_request_and_completes_the_others() {
    let upstream = Upstream::manual().await;
    let mut relay = Relay::start(&config(&upstream, json!({"drain_timeout_ms": 60_000}))).await;
    let client = Http2Client::connect(relay.address()).await;
    let events = sse::recorded("anthropic/hello.sse");
    let (mut connection, mut open) = stream_under_way(&upstream, &client, &events[..4]).await;
    open.expect(&events[..4].concat()).await;
    let half = client.post_part("/v1/messages", &BODY[..10]).await;

    relay.stop();
    let error = within(AT_ONCE, "end of the half-read request", half).await.expect_err("no answer");
    assert!(error.is_reset(), "{error:?}");
    connection.send_chunk(&events[4..].concat()).await;
    connection.send_last_chunk().await;
    assert_eq!(open.rest().await.expect("a whole stream"), events[4..].concat());
    within(AT_ONCE, "end of the relay", relay.stopped()).await;
}

#[tokio::test]
async fn requests_are_served_for_the_drain_delay_while_readyz_reports_the_drain() {
    const DELAY: Duration = Duration::from_millis(400);
    let upstream = Upstream::answering(anthropic::answer).await;
    let server = json!({"drain_delay_ms": DELAY.as_millis() as u64});
    let mut relay = Relay::start(&config(&upstream, server)).await;
    let mut kept = Client::connect(relay.address()).await;
    kept.call(&Call::get("/readyz")).await;
    assert_eq!(kept.response().await.status, 200);

    let started = Instant::now();
    relay.stop();
    let draining = async { while Call::get("/readyz").send(relay.address()).await.status == 200 {} };
    within(DELAY, "503 of readyz", draining).await;
    // On a new connection and on one that was open before.
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    kept.call(&Call::messages(BODY)).await;
    assert_eq!(kept.response().await.status, 200);
    kept.call(&Call::get("/readyz")).await;
    let ready = kept.response().await;
    assert_eq!((ready.status, ready.json()["status"].clone()), (503, json!("draining")));

    relay.stopped().await;
    assert!(started.elapsed() >= DELAY, "stopped after {:?}", started.elapsed());
    kept.closed().await;
    assert!(TcpStream::connect(relay.address()).await.is_err());
}

#[tokio::test]
async fn an_idle_http2_connection_ends_and_one_with_a_stream_does_not() {
    const NEXT: Duration = Duration::from_millis(150);
    let upstream = Upstream::manual().await;
    let relay = Relay::start_with(&config(&upstream, json!({})), |relay| {
        relay.with_head_timeouts(Duration::from_secs(60), NEXT)
    })
    .await;
    let client = Http2Client::connect(relay.address()).await;
    let events = sse::recorded("anthropic/hello.sse");
    let (mut connection, mut open) = stream_under_way(&upstream, &client, &events[..4]).await;
    tokio::time::sleep(3 * NEXT).await;
    connection.send_chunk(&events[4..].concat()).await;
    connection.send_last_chunk().await;
    assert_eq!(open.rest().await.expect("a whole stream"), events.concat());
    within_limit("end of the idle connection", client.ended()).await;
    client.request("GET", "/health").await.expect_err("the connection has ended");

    // One that has never brought a request has the time of a first head.
    let relay = Relay::start_with(&config(&upstream, json!({})), |relay| {
        relay.with_head_timeouts(NEXT, Duration::from_secs(60))
    })
    .await;
    let unused = Http2Client::connect(relay.address()).await;
    within_limit("end of the unused connection", unused.ended()).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_one_without_a_request() {
    let upstream = Upstream::manual().await;
    let relay =
        Relay::start_with(&config(&upstream, json!({})), |relay| relay.with_connection_limit(2)).await;
    let mut first = Client::connect(relay.address()).await;
    first.call(&Call::messages(BODY)).await;
    let (mut answering, request) = upstream.exchange().await;
    let mut second = Client::connect(relay.address()).await;
    second.call(&Call::messages(BODY)).await;
    let (mut silent, _) = upstream.exchange().await;

    let mut third = Client::connect(relay.address()).await;
    third.call(&Call::get("/health")).await;
    assert!(tokio::time::timeout(Duration::from_millis(100), third.head()).await.is_err());
    answering.answer(&anthropic::answer(&request)).await.expect("an open connection");
    assert_eq!(first.response().await.status, 200, "requests in progress are served");
    // The connection of the first client is now idle, and makes room.
    assert_eq!(third.response().await.status, 200);
    first.closed().await;
    second.disconnect();
    silent.peer_closed().await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_after_the_request_is_taken_to_have_left() {
    let upstream = Upstream::manual().await;
    let relay = Relay::start(&config(&upstream, json!({}))).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    client.close_write_side().await;
    connection.peer_closed().await;
    client.closed().await;
}
