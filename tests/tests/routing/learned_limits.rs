//! Limits that are learned from the headers of an upstream, which serves what the relay lets through.

use std::time::{Duration, Instant};

use relay_tests::fakes::Reply;
use relay_tests::{Answer, Call, Relay, Response, Upstream, provider, sse};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":64000,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":64000,"messages":[],"stream":true}"#;

/// A limit of 8000 output tokens a minute that is full again in a second, and an answer of 30,000 tokens.
fn long_answer(is_stream: bool) -> Answer {
    let answer = match is_stream {
        false => {
            let mut message = Reply::new("claude-opus-5-5").text("long").json();
            message["usage"]["output_tokens"] = json!(30_000);
            Answer::json(200, &message)
        }
        true => {
            let mut events = Reply::new("claude-opus-5-5").text("long").events();
            let usage = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 30_000}});
            let last = events.len() - 2;
            events[last] = sse::event("message_delta", &usage);
            Answer::sse(events)
        }
    };
    answer
        .with_header("date", "Sun, 22 Nov 2026 18:00:00 GMT")
        .with_header("anthropic-ratelimit-output-tokens-limit", "8000")
        .with_header("anthropic-ratelimit-output-tokens-remaining", "8000")
        .with_header("anthropic-ratelimit-output-tokens-reset", "2026-11-22T18:00:01Z")
}

async fn relay(key: Value, is_stream: bool) -> (Upstream, Relay) {
    let upstream = Upstream::answering(move |_| long_answer(is_stream)).await;
    let mut pool = provider("pool", "anthropic", &upstream.url());
    pool["keys"] = json!([key]);
    let relay = Relay::start(&json!({"providers": [pool]})).await;
    (upstream, relay)
}

async fn send(relay: &Relay, is_stream: bool) -> Response {
    Call::messages(if is_stream { STREAMED } else { BODY }).send(relay.address()).await
}

#[tokio::test]
async fn an_answer_far_above_a_learned_limit_does_not_lock_the_key() {
    for is_stream in [true, false] {
        let (_upstream, relay) = relay(json!({"key": "k"}), is_stream).await;
        assert_eq!(send(&relay, is_stream).await.status, 200);
        let ended = Instant::now();
        loop {
            let response = send(&relay, is_stream).await;
            if response.status == 200 {
                break;
            }
            let after = response.headers.get("retry-after");
            assert_eq!((response.status, after), (429, Some("1")));
            assert!(ended.elapsed() < Duration::from_millis(1200), "the upstream's limit is full again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn the_debt_of_a_configured_limit_is_one_for_which_clients_wait() {
    for is_stream in [true, false] {
        let (upstream, relay) = relay(json!({"key": "k", "otpm_limit": 4000}), is_stream).await;
        assert_eq!(send(&relay, is_stream).await.status, 200);
        let response = send(&relay, is_stream).await;
        let after: u64 = response.headers.get("retry-after").expect("a time").parse().expect("seconds");
        assert_eq!(response.status, 429);
        assert!((30..=60).contains(&after), "{after}");
        assert_eq!(upstream.requests().len(), 1);
    }
}
