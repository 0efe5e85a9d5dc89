//! Streams in which only events arrive that are not part of an answer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_tests::fakes::{anthropic, bedrock};
use relay_tests::{Answer, Call, Client, Relay, Upstream, provider, sse};
use serde_json::json;

const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// Starts a stream, sends `part` every 40 ms, and checks that the answer breaks off after twice the idle timeout of 200 ms.
async fn check(kind: &str, start: Bytes, part: Bytes) {
    let upstream = Upstream::manual().await;
    let (mut first, head) = match kind {
        "bedrock" => {
            (bedrock::provider(&upstream.url(), "anthropic.claude-sonnet-4-6"), bedrock::event_stream())
        }
        _ => (provider("a", kind, &upstream.url()), anthropic::success(Answer::event_stream())),
    };
    first["idle_timeout_ms"] = json!(200);
    let relay = Relay::start(&json!({"providers": [first]})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&head).await;
    connection.send_chunk(&start).await;
    let started = Instant::now();
    let dripping = async {
        loop {
            connection.send_chunk(&part).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    let response = tokio::select! {
        () = dripping => unreachable!("it sends for ever"),
        response = client.response() => response,
    };
    assert!(response.end.is_broken(), "{kind} {part:?}: {:?}", response.end);
    assert!(started.elapsed() >= Duration::from_millis(390), "{:?}", started.elapsed());
    connection.peer_closed().await;
}

#[tokio::test]
async fn dropped_events_do_not_keep_a_stream_open() {
    let start = Bytes::from(sse::recorded("anthropic/hello.sse")[..4].concat());
    for kind in ["anthropic", "zai"] {
        for part in ["event: metrics\ndata: {}\n\n", "data: [DONE]\n\n"] {
            check(kind, start.clone(), Bytes::from(part)).await;
        }
    }
}

#[tokio::test]
async fn frames_of_an_unknown_event_type_do_not_keep_a_stream_of_bedrock_open() {
    let start: Vec<u8> =
        sse::recorded("anthropic/hello.sse")[..4].iter().flat_map(|event| bedrock::chunk(event)).collect();
    check("bedrock", start.into(), bedrock::unknown_event()).await;
}
