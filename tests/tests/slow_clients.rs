//! Clients that stop reading: `server.write_timeout_ms` ends their exchanges and releases what they hold. Clients that read
//! slowly, and upstreams that pause, are not affected.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relay_server::{RequestEnd, RequestRecord};
use relay_tests::{
    Answer, Call, Client, Http2Client, Relay, Upstream, UpstreamBuilder, provider, sse, within,
};
use serde_json::{Value, json};

/// The write timeout of these tests.
const LIMIT: Duration = Duration::from_millis(200);
/// More than the sockets and the windows of a connection hold.
const LARGE: usize = 2 * 1024 * 1024;
const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// The ends of the requests that a relay has served.
type Ends = Arc<Mutex<Vec<Option<RequestEnd>>>>;

/// Starts a relay that serves at most this many requests at a time (0 is no limit), with one key.
async fn relay_for(upstream: &Upstream, max_concurrent: u32) -> (Relay, Ends) {
    let config = json!({
        "server": {"write_timeout_ms": LIMIT.as_millis() as u64, "max_concurrent": max_concurrent},
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

async fn relay(upstream: &Upstream) -> Relay {
    relay_for(upstream, 1).await.0
}

/// Starts an upstream whose answers are large: JSON, streams, and downloads.
async fn large_upstream(builder: UpstreamBuilder) -> Upstream {
    builder
        .answering(|request| {
            let filler = "x".repeat(LARGE);
            match request.body.windows(13).any(|part| part == b"\"stream\":true") {
                true => {
                    let start = sse::event("message_start", &json!({"type": "message_start", "message": {}}));
                    let delta = json!({"type": "content_block_delta", "delta": {"text": "x".repeat(4000)}});
                    let delta = sse::event("content_block_delta", &delta);
                    let stop = sse::event("message_stop", &json!({"type": "message_stop"}));
                    let deltas = std::iter::repeat_n(delta, LARGE / 4000);
                    Answer::sse([start].into_iter().chain(deltas).chain([stop]))
                }
                false => Answer::json(200, &json!({"type": "message", "content": [], "filler": filler})),
            }
        })
        .await
}

async fn in_flight(relay: &Relay) -> Value {
    Call::get("/v1/providers").send(relay.address()).await.json()["data"][0]["in_flight"].clone()
}

/// Waits until the relay has given up the upstream's connection. A message in one piece has been read to its end before the
/// client gets its first byte, so that its connection is idle in the pool.
async fn released(upstream: &Upstream, label: &str) {
    if label != "message" {
        upstream.wait_for_open_connections(0).await;
    }
}

/// The calls whose answers may be too large for the buffers of a connection.
fn calls() -> [(&'static str, Call); 3] {
    [
        ("stream", Call::messages(STREAMED)),
        ("message", Call::messages(BODY)),
        ("download", Call::get("/v1/files/f/content")),
    ]
}

#[tokio::test]
async fn an_http1_client_that_stops_reading_releases_all_that_it_holds() {
    let upstream = large_upstream(Upstream::builder()).await;
    let (relay, ends) = relay_for(&upstream, 1).await;
    for (label, call) in calls() {
        let mut unread = Client::connect_with_buffer(relay.address(), 16 * 1024).await;
        unread.call(&call).await;
        unread.head().await;
        let busy = Call::messages(BODY).send(relay.address()).await;
        assert_eq!(busy.status, 503, "{label}: the unread answer holds the only place");
        let freed = async {
            released(&upstream, label).await;
            while in_flight(&relay).await != 0 {}
            while Call::post("/v1/messages/count_tokens").send(relay.address()).await.status == 503 {}
        };
        within(Duration::from_secs(5), "release of the place", freed).await;
        while unread.chunk().await.is_some() {}
        assert!(unread.end().unwrap().is_broken(), "{label}: {:?}", unread.end());
        assert_eq!(ends.lock().unwrap().first(), Some(&Some(RequestEnd::Stalled)), "{label}");
        ends.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn an_http2_stream_that_is_not_read_is_reset_and_its_neighbours_go_on() {
    let upstream = large_upstream(Upstream::builder()).await;
    let (relay, ends) = relay_for(&upstream, 0).await;
    for (label, body) in [("stream", STREAMED), ("message", BODY)] {
        let client = Http2Client::connect_with_window(relay.address(), 10_000).await;
        let mut unread = client.post("/v1/messages", body).await.expect("an answer");
        let started = Instant::now();
        // A neighbour on the same connection that lasts longer than the limit.
        while started.elapsed() < 2 * LIMIT {
            let mut answer = client.request("GET", "/health").await.expect("an answer");
            answer.rest().await.expect("a whole answer");
            tokio::time::sleep(LIMIT / 10).await;
        }
        released(&upstream, label).await;
        while in_flight(&relay).await != 0 {}
        let error = unread.rest().await.expect_err("the stream is incomplete");
        assert!(error.is_reset() && error.is_remote(), "{label}: {error:?}");
        let mut answer = client.request("GET", "/health").await.expect("the connection still serves");
        answer.rest().await.expect("a whole answer");
    }
    assert_eq!(*ends.lock().unwrap(), [Some(RequestEnd::Stalled); 2]);
}

#[tokio::test]
async fn an_http2_answer_smaller_than_any_buffer_is_reset_if_its_window_stays_closed() {
    let upstream =
        Upstream::answering(|_| Answer::json(200, &json!({"type": "message", "content": []}))).await;
    let relay = relay(&upstream).await;
    let client = Http2Client::connect_with_window(relay.address(), 0).await;
    for (label, body) in [("stream", STREAMED), ("message", BODY)] {
        let mut unread = client.post("/v1/messages", body).await.expect("an answer");
        let error = unread.rest().await.expect_err("nothing could be sent");
        assert!(error.is_reset() && error.is_remote(), "{label}: {error:?}");
        assert_eq!(in_flight(&relay).await, 0, "{label}");
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_whole_answer() {
    let upstream = Upstream::answering(|_| {
        Answer::json(200, &json!({"type": "message", "content": [], "filler": "x".repeat(20_000)}))
    })
    .await;
    let relay = relay(&upstream).await;
    // Over HTTP/2, 2000 bytes in each half of the limit: ten times the limit in total.
    let client = Http2Client::connect_with_window(relay.address(), 1000).await;
    let mut answer = client.post("/v1/messages", BODY).await.expect("an answer");
    let mut received = 0;
    let started = Instant::now();
    while let Some(data) = answer.data().await.expect("an open stream") {
        received += data.len();
        tokio::time::sleep(LIMIT / 4 * data.len() as u32 / 1000).await;
    }
    assert!(
        received > 20_000 && started.elapsed() > 4 * LIMIT,
        "{received} bytes in {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn an_http1_client_that_reads_slowly_gets_the_whole_answer() {
    const SIZE: usize = 2 * 1024 * 1024;
    let upstream = Upstream::answering(|_| {
        Answer::json(200, &json!({"type": "message", "content": [], "filler": "x".repeat(SIZE)}))
    })
    .await;
    let relay = relay(&upstream).await;
    let mut client = Client::connect_with_buffer(relay.address(), 16 * 1024).await;
    client.call(&Call::messages(BODY)).await;
    client.head().await;
    let (mut received, mut paused) = (0, Duration::ZERO);
    while let Some(chunk) = client.chunk().await {
        received += chunk.len();
        // Until the limit has passed several times over.
        if paused < 6 * LIMIT {
            paused += LIMIT / 8;
            tokio::time::sleep(LIMIT / 8).await;
        }
    }
    assert!(received > SIZE, "{received} bytes, {:?}", client.end());
}

#[tokio::test]
async fn an_upstream_that_pauses_is_not_a_slow_client() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream).await;
    let events = sse::recorded("anthropic/hello.sse");
    let http2 = Http2Client::connect(relay.address()).await;
    for is_http2 in [false, true] {
        let answering = async {
            let (mut connection, _) = upstream.exchange().await;
            connection.send_head(&Answer::event_stream()).await;
            connection.send_chunk(&events[..4].concat()).await;
            tokio::time::sleep(2 * LIMIT).await;
            connection.send_chunk(&events[4..].concat()).await;
            connection.send_last_chunk().await;
        };
        let asking = async {
            match is_http2 {
                true => {
                    let mut answer = http2.post("/v1/messages", STREAMED).await.expect("an answer");
                    answer.rest().await.expect("a whole answer")
                }
                false => Call::messages(STREAMED).send(relay.address()).await.body(),
            }
        };
        let ((), received) = tokio::join!(answering, asking);
        assert_eq!(received, events.concat(), "HTTP/2: {is_http2}");
    }
}
