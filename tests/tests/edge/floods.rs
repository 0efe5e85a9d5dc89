//! Clients and upstreams that send more frames, headers or requests than any exchange needs. `/health` answers meanwhile.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use relay_tests::fakes::anthropic;
use relay_tests::{
    Call, CertificateAuthority, Client, End, FloodingUpstream, HTTP2_PREFACE, Relay, Upstream, http2_frame,
    provider, within_limit,
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PRIORITY: u8 = 0x2;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PUSH_PROMISE: u8 = 0x5;
const PING: u8 = 0x6;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const UNKNOWN: u8 = 0xfa;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const ONE: [u8; 4] = 1u32.to_be_bytes();
const CANCEL: [u8; 4] = 8u32.to_be_bytes();
/// HPACK: a field with an empty name and an empty value (CVE-2019-9516).
const EMPTY_FIELD: [u8; 3] = [0, 0, 0];
/// HPACK: `:status: 200`.
const OK: [u8; 1] = [0x88];

/// The number of calls of `/health` during each flood.
const CHECKS: usize = 5;

/// Encodes the fields of a `POST` for `path` by HPACK, without compression.
fn post(path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(0x04, path), (0x01, "localhost")] {
        block.extend([name, u8::try_from(value.len()).expect("a short value")]);
        block.extend(value.as_bytes());
    }
    block
}

/// Returns `frames` for each of the stream identifiers of a client from `first` on, `count` times.
fn streams(first: u32, count: u32, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|index| frames(first + 2 * index)).collect()
}

/// Calls `/health` several times. A thread that is held by a flood would delay every call.
async fn assert_is_healthy(relay: SocketAddr, flood: &str) {
    let mut times = Vec::new();
    for _ in 0..CHECKS {
        let started = Instant::now();
        assert_eq!(Call::get("/health").send(relay).await.status, 200, "{flood}");
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let fastest = times.iter().min().expect("some calls");
    assert!(*fastest < Duration::from_millis(100), "{flood}: {times:?}");
}

/// Writes `start`, and then `repeated` until the peer closes the connection. Reads nothing.
async fn flood(to: SocketAddr, start: Vec<u8>, repeated: Vec<u8>) {
    let mut stream = TcpStream::connect(to).await.expect("the relay listens");
    let mut is_open = stream.write_all(&[HTTP2_PREFACE, &start].concat()).await.is_ok();
    while is_open {
        is_open = stream.write_all(&repeated).await.is_ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_http2_frames_from_a_client_delay_no_other_request() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let opened = http2_frame(HEADERS, END_HEADERS, 1, &post("/v1/messages"));
    let unfinished = http2_frame(HEADERS, 0, 1, &post("/v1/messages"));
    let none: &[u8] = &[];
    for (name, start, repeated) in [
        ("SETTINGS", none, http2_frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("PING", none, http2_frame(PING, 0, 0, &[7; 8])),
        ("WINDOW_UPDATE", none, http2_frame(WINDOW_UPDATE, 0, 0, &ONE)),
        ("PRIORITY", none, http2_frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 0])),
        ("unknown frames", none, http2_frame(UNKNOWN, 0, 0, &[0; 16])),
        ("WINDOW_UPDATE of a stream", &opened, http2_frame(WINDOW_UPDATE, 0, 1, &ONE)),
        ("empty DATA", &opened, http2_frame(DATA, 0, 1, &[])),
        ("DATA of one byte", &opened, http2_frame(DATA, 0, 1, b" ")),
        ("empty CONTINUATION", &unfinished, http2_frame(CONTINUATION, 0, 1, &[])),
        ("empty fields", &unfinished, http2_frame(CONTINUATION, 0, 1, &EMPTY_FIELD.repeat(1000))),
    ] {
        let start = [&http2_frame(SETTINGS, 0, 0, &[]), start].concat();
        let flooding = tokio::spawn(flood(relay.address(), start, repeated.repeat(2000)));
        assert_is_healthy(relay.address(), name).await;
        flooding.abort();
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_a_client_opens_and_resets_end_the_connection() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    for (name, with_data) in [("reset after the head", false), ("reset after a part of the body", true)] {
        let frames = streams(1, 20_000, |stream| {
            let data = if with_data { http2_frame(DATA, 0, stream, b"{") } else { Vec::new() };
            let head = http2_frame(HEADERS, END_HEADERS, stream, &post("/v1/messages"));
            [head, data, http2_frame(RST_STREAM, 0, stream, &CANCEL)].concat()
        });
        let mut client = TcpStream::connect(relay.address()).await.expect("the relay listens");
        let start = [HTTP2_PREFACE, &http2_frame(SETTINGS, 0, 0, &[])].concat();
        client.write_all(&start).await.expect("the relay listens");
        let (mut reader, mut writer) = client.into_split();
        let flooding = tokio::spawn(async move { writer.write_all(&frames).await });
        assert_is_healthy(relay.address(), name).await;
        let mut received = Vec::new();
        // An error is a reset, which also ends the connection.
        let _ = within_limit("end of the connection", reader.read_to_end(&mut received)).await;
        flooding.abort();
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_http2_frames_from_an_upstream_delay_no_other_request() {
    let authority = CertificateAuthority::new();
    let head = http2_frame(HEADERS, END_HEADERS, 1, &OK);
    let unfinished = http2_frame(HEADERS, 0, 1, &OK);
    let none: &[u8] = &[];
    for (name, start, repeated) in [
        ("SETTINGS", none, http2_frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("PING", none, http2_frame(PING, 0, 0, &[7; 8])),
        ("WINDOW_UPDATE", none, http2_frame(WINDOW_UPDATE, 0, 0, &ONE)),
        ("unknown frames", none, http2_frame(UNKNOWN, 0, 0, &[0; 16])),
        ("RST_STREAM", none, http2_frame(RST_STREAM, 0, 1, &CANCEL)),
        (
            "PUSH_PROMISE",
            none,
            http2_frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &*post("/x")].concat()),
        ),
        ("empty DATA", &head, http2_frame(DATA, 0, 1, &[])),
        ("DATA of one byte", &head, http2_frame(DATA, 0, 1, b" ")),
        ("trailers", &head, http2_frame(HEADERS, END_HEADERS | END_STREAM, 1, &EMPTY_FIELD)),
        ("empty CONTINUATION", &unfinished, http2_frame(CONTINUATION, 0, 1, &[])),
        ("empty fields", &unfinished, http2_frame(CONTINUATION, 0, 1, &EMPTY_FIELD.repeat(1000))),
    ] {
        let upstream = FloodingUpstream::start(&authority, start.to_vec(), repeated.repeat(2000)).await;
        let mut first = provider("first", "anthropic", &upstream.url());
        first["ca_file"] = json!(authority.ca_file());
        let relay = Relay::start(&json!({"providers": [first]})).await;
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(BODY)).await;
        assert_is_healthy(relay.address(), name).await;
        drop(client);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let host = relay.address().to_string();
    let mut client = Client::connect(relay.address()).await;
    let calls: Vec<u8> = (0..1000)
        .flat_map(|index| {
            let target = if index % 3 == 0 { "/nowhere" } else { "/health" };
            Call::get(target).bytes(&host)
        })
        .collect();
    client.send(calls).await;
    assert_is_healthy(relay.address(), "pipelined requests").await;
    for index in 0..1000 {
        let response = client.response().await;
        let expected = if index % 3 == 0 { 404 } else { 200 };
        assert_eq!((response.status, response.end), (expected, End::Complete), "request {index}");
    }
}

#[tokio::test]
async fn trailers_upgrades_and_unknown_expectations_of_a_client_have_no_effect() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n", BODY.len());
    for (name, lines, body) in [
        (
            "trailers",
            vec![("transfer-encoding", "chunked"), ("trailer", "x-api-key")],
            format!("{chunked}x-api-key: other\r\nhost: other\r\n\r\n"),
        ),
        (
            "an upgrade to h2c",
            vec![("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "")],
            BODY.to_owned(),
        ),
        (
            "an upgrade to WebSocket",
            vec![("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")],
            BODY.to_owned(),
        ),
    ] {
        let call =
            lines.into_iter().fold(Call::messages(body), |call, (name, value)| call.header(name, value));
        let mut client = Client::connect(relay.address()).await;
        // The connection continues as HTTP/1.1.
        for _ in 0..2 {
            client.call(&call).await;
            let response = client.response().await;
            assert_eq!(
                (response.status, response.end),
                (200, End::Complete),
                "{name}: {:?}",
                response.body()
            );
        }
    }
    for request in upstream.requests() {
        assert_eq!(request.body, BODY.as_bytes());
        for name in ["upgrade", "http2-settings", "trailer", "te"] {
            assert!(!request.headers.contains(name), "{name}: {:?}", request.headers);
        }
    }
}

#[tokio::test]
async fn trailers_above_the_limit_are_refused() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let chunk = format!("{:x}\r\n{BODY}\r\n0\r\n", BODY.len());
    for lines in ["x-a: b\r\n".repeat(10_000), format!("x-a: {}", "b".repeat(100_000))] {
        let mut client = Client::connect(relay.address()).await;
        let call = Call::messages("").header("transfer-encoding", "chunked");
        client.send(call.head(&relay.address().to_string())).await;
        client.send(format!("{chunk}{lines}")).await;
        let response = client.response().await;
        assert_eq!((response.status, response.end), (400, End::Complete), "{:?}", response.body());
        client.close_write_side().await;
        client.closed().await;
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_client_that_closes_its_side_is_gone() {
    let upstream = Upstream::manual().await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    // In the middle of a body, and after a whole request.
    let mut client = Client::connect(relay.address()).await;
    let call = Call::messages("").header("content-length", "1000");
    client.send(call.head(&relay.address().to_string())).await;
    client.close_write_side().await;
    client.closed().await;
    assert_eq!(upstream.connections(), 0);
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    let (mut connection, _) = upstream.exchange().await;
    client.close_write_side().await;
    connection.peer_closed().await;
    client.closed().await;
}
