//! HTTP/2 upstreams: clients that do not read, limits of streams, and connections that wind up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{
    Call, CertificateAuthority, Client, End, Http2Client, Http2Exchange, Http2Upstream, Relay, Response,
    Upstream, provider, sse,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// A relay with the provider `first` at `upstream`, and the further providers.
async fn relay(upstream: &Http2Upstream, authority: &CertificateAuthority, further: &[Value]) -> Relay {
    let mut first = provider("first", "anthropic", &upstream.url());
    first["ca_file"] = json!(authority.ca_file());
    first["first_byte_timeout_ms"] = json!(2000);
    let mut providers = vec![first];
    providers.extend_from_slice(further);
    Relay::start(&json!({"providers": providers})).await
}

fn opening() -> Bytes {
    sse::recorded("anthropic/hello.sse")[..4].concat().into()
}

/// An event of about `size` bytes.
fn event(size: usize) -> Bytes {
    let text = "x".repeat(size);
    let delta =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    sse::event("content_block_delta", &delta)
}

fn answer(exchange: &mut Http2Exchange, text: &str) {
    let reply = Reply::new("claude-opus-5-5").text(text);
    if exchange.request().body() == STREAMED {
        exchange.send_head("text/event-stream");
        exchange.data(reply.events().concat());
    } else {
        exchange.send_head("application/json");
        exchange.data(reply.json().to_string());
    }
    exchange.finish();
}

async fn expect_opening(client: &mut Client) {
    assert_eq!(client.head().await.status, 200);
    client.expect(&opening()).await;
}

async fn stream_to(client: &mut Client) {
    client.call(&Call::messages(STREAMED)).await;
}

#[track_caller]
fn assert_text(response: &Response, expected: &str) {
    assert_eq!((response.status, response.end), (200, End::Complete), "{:?}", response.body());
    assert_eq!(response.text(), expected);
}

async fn assert_circuit_is_closed(relay: &Relay) {
    let providers = Call::get("/v1/providers").send(relay.address()).await.json();
    let first = &providers["data"][0];
    assert_eq!((&first["state"], &first["circuit"]), (&json!("ready"), &json!("closed")), "{first}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_streams_do_not_delay_another_stream_of_their_connection() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let relay = relay(&upstream, &authority, &[]).await;
    let filling = event(64 * 1024);
    let mut unread = Vec::new();

    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(relay.address()).await;
        stream_to(&mut client).await;
        slow.push(client);
    }
    let without_window = Arc::new(Http2Client::connect_with_window(relay.address(), 0).await);
    let mut posts = JoinSet::new();
    for _ in 0..94 {
        let client = Arc::clone(&without_window);
        posts.spawn(async move { client.post("/v1/messages", STREAMED).await });
    }
    for number in 0..98 {
        let mut exchange = upstream.exchange().await;
        assert_eq!(exchange.connection(), 0, "{number}");
        exchange.send_head("text/event-stream");
        exchange.data(opening());
        // More than the window of the stream. The sockets of the HTTP/1.1 clients hold some megabytes.
        for _ in 0..10 {
            exchange.data(filling.clone());
        }
        unread.push(exchange);
    }
    let answers = posts.join_all().await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.head().status() == 200)));

    let mut healthy = Client::connect(relay.address()).await;
    stream_to(&mut healthy).await;
    let mut exchange = upstream.exchange().await;
    assert_eq!(exchange.connection(), 0, "the unread streams are on the same connection");
    exchange.send_head("text/event-stream");
    exchange.data(opening());
    expect_opening(&mut healthy).await;
    for _ in 0..32 {
        exchange.data(filling.clone());
        healthy.expect(&filling).await;
    }
}

/// Sends `count` streamed requests at once, and answers none before all have arrived.
async fn check_limit(limit: u32, count: usize) {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::with_max_streams(&authority, limit).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&upstream, &authority, &[provider("second", "anthropic", &second.url())]).await;
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect(relay.address()).await;
        stream_to(&mut client).await;
        clients.push(client);
    }
    let mut exchanges = Vec::new();
    for _ in 0..count {
        exchanges.push(upstream.exchange().await);
    }
    for exchange in &mut exchanges {
        exchange.send_head("text/event-stream");
        exchange.data(opening());
    }
    for client in &mut clients {
        expect_opening(client).await;
    }
    let connections = upstream.connections();
    let (least, most) = (count.div_ceil(limit as usize), count.div_ceil((limit - limit / 10) as usize) + 1);
    assert!((least..=most).contains(&connections), "limit {limit}: {connections} connections");
    assert!(second.requests().is_empty());
    assert_circuit_is_closed(&relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_connections_are_opened_before_the_limit_of_streams_is_reached() {
    check_limit(100, 250).await;
    check_limit(10, 60).await;
    check_limit(1, 12).await;
}

#[tokio::test]
async fn a_limit_that_is_lowered_later_is_respected() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::with_max_streams(&authority, 50).await;
    let relay = relay(&upstream, &authority, &[]).await;
    let (mut clients, mut exchanges) = (Vec::new(), Vec::new());
    for number in 0..6 {
        let mut client = Client::connect(relay.address()).await;
        stream_to(&mut client).await;
        let mut exchange = upstream.exchange().await;
        // The frame arrives with the answer, so before the next request.
        if number == 1 {
            upstream.set_max_streams(3);
        }
        tokio::task::yield_now().await;
        exchange.send_head("text/event-stream");
        exchange.data(opening());
        expect_opening(&mut client).await;
        exchanges.push(exchange);
        clients.push(client);
    }
    let connections: Vec<_> = exchanges.iter().map(Http2Exchange::connection).collect();
    assert_eq!(connections, [0, 0, 0, 1, 1, 1]);
}

#[tokio::test]
async fn a_cancelled_stream_frees_its_place_at_once() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::with_max_streams(&authority, 1).await;
    let relay = relay(&upstream, &authority, &[]).await;
    // Before the head, and after the first content.
    for has_head in [false, true, false] {
        let mut client = Client::connect(relay.address()).await;
        stream_to(&mut client).await;
        let mut exchange = upstream.exchange().await;
        assert_eq!(exchange.connection(), 0);
        if has_head {
            exchange.send_head("text/event-stream");
            exchange.data(opening());
            expect_opening(&mut client).await;
            client.disconnect();
            assert_eq!(exchange.peer_reset().await, Reason::CANCEL);
        } else {
            client.disconnect();
            assert_eq!(exchange.peer_reset_before_head().await, Reason::CANCEL);
        }
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn many_cancelled_streams_with_unread_data_do_not_use_up_the_connection() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let relay = relay(&upstream, &authority, &[]).await;
    for _ in 0..120 {
        let mut client = Client::connect(relay.address()).await;
        stream_to(&mut client).await;
        let mut exchange = upstream.exchange().await;
        exchange.send_head("text/event-stream");
        exchange.data(opening());
        expect_opening(&mut client).await;
        exchange.data(event(64 * 1024));
        client.disconnect();
        assert_eq!(exchange.peer_reset().await, Reason::CANCEL);
    }
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    let mut exchange = upstream.exchange().await;
    answer(&mut exchange, "hello");
    assert_text(&client.response().await, "hello");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_refused_stream_is_sent_once_more_on_a_new_connection() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    for further in [vec![], vec![provider("second", "anthropic", &second.url())]] {
        let relay = relay(&upstream, &authority, &further).await;
        for body in [BODY, STREAMED] {
            let before = upstream.connections();
            let mut client = Client::connect(relay.address()).await;
            client.call(&Call::messages(body)).await;
            let refused = upstream.exchange().await;
            let (number, request) = (refused.connection(), refused.request().clone());
            refused.reset(Reason::REFUSED_STREAM);
            let mut repeated = upstream.exchange().await;
            assert!(repeated.connection() > number && repeated.connection() >= before);
            assert_eq!(repeated.request().body(), request.body());
            assert_eq!(repeated.request().headers(), request.headers());
            answer(&mut repeated, "hello");
            assert_eq!(client.response().await.status, 200);
            assert_circuit_is_closed(&relay).await;
        }
    }
    assert!(second.requests().is_empty());
}

#[tokio::test]
async fn a_second_refusal_is_a_failure_of_the_provider() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let relay = relay(&upstream, &authority, &[provider("second", "anthropic", &second.url())]).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    for number in 0..2 {
        let exchange = upstream.exchange().await;
        assert_eq!(exchange.connection(), number);
        exchange.reset(Reason::REFUSED_STREAM);
    }
    assert_text(&client.response().await, "second");
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_reset_that_does_not_promise_that_nothing_was_processed_is_not_repeated() {
    let authority = CertificateAuthority::new();
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let upstream = Http2Upstream::start(&authority).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let relay = relay(&upstream, &authority, &[provider("second", "anthropic", &second.url())]).await;
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(BODY)).await;
        upstream.exchange().await.reset(reason);
        assert_text(&client.response().await, "second");
        assert_eq!(upstream.connections(), 1, "{reason:?}");
    }
}

#[tokio::test]
async fn requests_above_the_last_stream_of_a_goaway_are_sent_once_more() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let relay = relay(&upstream, &authority, &[]).await;
    let (mut clients, mut exchanges) = (Vec::new(), Vec::new());
    for body in [BODY, STREAMED, BODY] {
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(body)).await;
        exchanges.push(upstream.exchange().await);
        clients.push(client);
    }
    assert_eq!(upstream.connections(), 1);
    upstream.go_away_from_the_first();
    for _ in 0..3 {
        let mut repeated = upstream.exchange().await;
        assert_eq!(repeated.connection(), 1, "they share the new connection");
        answer(&mut repeated, "hello");
    }
    for client in &mut clients {
        assert_eq!(client.response().await.status, 200);
    }
    assert_circuit_is_closed(&relay).await;
}

#[tokio::test]
async fn a_goaway_with_an_error_breaks_off_a_request_that_may_have_been_processed() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let relay = relay(&upstream, &authority, &[]).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    // Its last stream identifier is that of the request.
    upstream.exchange().await.go_away(Reason::INTERNAL_ERROR);
    assert_eq!(client.response().await.status, 502);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn requests_that_arrive_together_share_the_first_connection() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let relay = relay(&upstream, &authority, &[]).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(BODY)).await;
        clients.push(client);
    }
    for _ in 0..20 {
        answer(&mut upstream.exchange().await, "hello");
    }
    for client in &mut clients {
        assert_text(&client.response().await, "hello");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn waiting_for_a_free_stream_is_not_a_failure_of_the_upstream() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::with_limits(&authority, 1, 1).await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    let mut first = provider("first", "anthropic", &upstream.url());
    first["ca_file"] = json!(authority.ca_file());
    first["first_byte_timeout_ms"] = json!(1000);
    let relay = Relay::start(&json!({
        "providers": [first, provider("second", "anthropic", &second.url())],
        "health": {"circuit_breaker": {"failure_threshold": 1}},
    }))
    .await;
    let mut busy = Client::connect(relay.address()).await;
    stream_to(&mut busy).await;
    let mut exchange = upstream.exchange().await;
    exchange.send_head("text/event-stream");
    exchange.data(opening());
    expect_opening(&mut busy).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(relay.address()).await;
        stream_to(&mut client).await;
        waiting.push(client);
    }
    // Twice the limit for the first byte.
    tokio::time::sleep(Duration::from_millis(2000)).await;
    assert!(upstream.connections() > 1, "a further connection was tried");
    for client in &mut waiting {
        exchange.data(sse::recorded("anthropic/hello.sse")[4..].concat());
        exchange.finish();
        exchange = upstream.exchange().await;
        assert_eq!(exchange.connection(), 0);
        exchange.send_head("text/event-stream");
        exchange.data(opening());
        expect_opening(client).await;
    }
    assert!(second.requests().is_empty());
    assert_circuit_is_closed(&relay).await;
}
