//! The limits of single clients: `server.auth.api_keys[].{rpm_limit,tpm_limit,max_concurrent}`.

use std::time::{Duration, Instant};

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Client, Relay, Response, Upstream, provider, sse};
use serde_json::{Value, json};

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;

fn config(limits: &Value, upstream: &Upstream) -> Value {
    let mut limited = json!({"name": "limited", "key": "key-of-limited"});
    limited.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    let keys = json!([limited, {"name": "free", "key": "key-of-free"}]);
    json!({
        "server": {"auth": {"api_keys": keys, "bearer_secret": "shared"}},
        "providers": [provider("a", "anthropic", &upstream.url())],
    })
}

fn of(key: &str, call: Call) -> Call {
    call.header("x-api-key", key)
}

async fn send(relay: &Relay, key: &str) -> Response {
    of(key, Call::messages(BODY)).send(relay.address()).await
}

fn number(response: &Response, name: &str) -> u64 {
    response.headers.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", response.headers)).parse().unwrap()
}

#[track_caller]
fn assert_limited(response: &Response, message: &str, retry_after: std::ops::RangeInclusive<u64>) {
    assert_eq!(response.status, 429, "{:?}", response.body());
    let body = response.json();
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&json!("error"), &json!("rate_limit_error")),
        "{body}"
    );
    assert!(body["error"]["message"].as_str().is_some_and(|text| text.contains(message)), "{body}");
    assert_eq!(body["request_id"], response.headers.get("request-id").unwrap());
    let wait = number(response, "retry-after");
    assert!(retry_after.contains(&wait), "{wait}");
}

#[tokio::test]
async fn requests_per_minute_are_limited_for_one_client_and_shown_in_headers() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&config(&json!({"rpm_limit": 2}), &upstream)).await;
    for remaining in [1, 0] {
        let response = send(&relay, "key-of-limited").await;
        assert_eq!(response.status, 200);
        assert_eq!(number(&response, "anthropic-ratelimit-requests-limit"), 2);
        assert_eq!(number(&response, "anthropic-ratelimit-requests-remaining"), remaining);
        let reset = response.headers.get("anthropic-ratelimit-requests-reset").unwrap();
        assert!(reset.len() == 20 && reset.ends_with('Z'), "{reset}");
    }
    let refused = send(&relay, "key-of-limited").await;
    assert_limited(&refused, "requests per minute: 2", 29..=30);
    assert_eq!(number(&refused, "anthropic-ratelimit-requests-remaining"), 0);
    assert_eq!(refused.headers.get("x-should-retry"), None);
    for key in ["key-of-free", "shared"] {
        assert_eq!(send(&relay, key).await.status, 200, "{key}");
    }
    // Counts and lists have no part in the limit.
    for call in [Call::post("/v1/messages/count_tokens").json(BODY), Call::get("/v1/models")] {
        assert_eq!(of("key-of-limited", call).send(relay.address()).await.status, 200);
    }
    assert_limited(
        &of("key-of-limited", Call::get("/v1/files")).send(relay.address()).await,
        "requests",
        1..=30,
    );
    assert_eq!(upstream.requests().iter().filter(|request| request.path() == "/v1/messages").count(), 4);
}

#[tokio::test]
async fn refused_and_failed_requests_count_as_requests() {
    let upstream = Upstream::answering(|_| Answer::json(400, &json!({"type": "error"}))).await;
    let relay = Relay::start(&config(&json!({"rpm_limit": 3}), &upstream)).await;
    let broken = of("key-of-limited", Call::messages("{"));
    let response = broken.send(relay.address()).await;
    assert_eq!((response.status, number(&response, "anthropic-ratelimit-requests-remaining")), (400, 2));
    assert_eq!(send(&relay, "key-of-limited").await.status, 400);
    assert_eq!(send(&relay, "key-of-limited").await.status, 400);
    assert_limited(&send(&relay, "key-of-limited").await, "requests", 1..=20);
}

#[tokio::test]
async fn tokens_per_minute_are_counted_from_streams_and_messages() {
    let usage = json!({"input_tokens": 600, "cache_read_input_tokens": 90_000, "output_tokens": 500});
    let events = [
        sse::event(
            "message_start",
            &json!({"type": "message_start", "message": {"id": "m", "type": "message",
            "role": "assistant", "model": "claude-opus-5-5", "content": [], "usage": usage}}),
        ),
        sse::event(
            "message_delta",
            &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 500}}),
        ),
        sse::event("message_stop", &json!({"type": "message_stop"})),
    ];
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
        "content": [], "stop_reason": "end_turn", "usage": usage});
    let streamed = BODY.replace("\"max_tokens\"", "\"stream\":true,\"max_tokens\"");
    for (answer, body) in [(Answer::sse(events), &*streamed), (Answer::json(200, &message), BODY)] {
        let upstream = Upstream::answering(move |_| answer.clone()).await;
        let relay = Relay::start(&config(&json!({"tpm_limit": 1000}), &upstream)).await;
        let call = Call::messages(body.to_owned());
        let first = of("key-of-limited", call.clone()).send(relay.address()).await;
        assert_eq!((first.status, number(&first, "anthropic-ratelimit-tokens-limit")), (200, 1000));
        assert_limited(&send(&relay, "key-of-limited").await, "tokens per minute: 1000", 6..=60);
        assert_eq!(of("key-of-free", call).send(relay.address()).await.status, 200);
    }
}

#[tokio::test]
async fn a_stream_holds_the_place_of_its_client_until_it_ends() {
    let upstream = Upstream::manual().await;
    let relay = Relay::start(&config(&json!({"max_concurrent": 1}), &upstream)).await;
    let mut client = Client::connect(relay.address()).await;
    client
        .call(&of(
            "key-of-limited",
            Call::messages(BODY.replace("\"max_tokens\"", "\"stream\":true,\"max_tokens\"")),
        ))
        .await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&Answer::event_stream()).await;
    connection.send_chunk(&anthropic_start()).await;
    assert_eq!(client.head().await.status, 200);
    assert_limited(&send(&relay, "key-of-limited").await, "requests at one time: 1", 1..=1);
    client.disconnect();
    let mut response = send_until_admitted(&relay);
    let (mut connection, _) = tokio::select! {
        exchange = upstream.exchange() => exchange,
        response = &mut response => panic!("answered {}", response.status),
    };
    let _ = connection.answer(&Answer::json(400, &json!({"type": "error"}))).await;
    assert_eq!(response.await.status, 400);
}

/// The first event of a stream with content.
fn anthropic_start() -> Vec<u8> {
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": [],
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    let start = sse::event("message_start", &json!({"type": "message_start", "message": message}));
    let block = sse::event(
        "content_block_start",
        &json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "text", "text": ""}}),
    );
    let delta = sse::event(
        "content_block_delta",
        &json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": "Hello"}}),
    );
    [start, block, delta].concat()
}

/// Sends requests of the limited client until one is not refused with 429.
fn send_until_admitted(relay: &Relay) -> std::pin::Pin<Box<dyn Future<Output = Response> + '_>> {
    Box::pin(async move {
        loop {
            let response = send(relay, "key-of-limited").await;
            if response.status != 429 {
                return response;
            }
        }
    })
}

#[tokio::test]
async fn a_client_over_its_limit_is_refused_before_its_body_has_arrived() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&config(&json!({"rpm_limit": 1}), &upstream)).await;
    assert_eq!(send(&relay, "key-of-limited").await.status, 200);
    let started = Instant::now();
    let mut client = Client::connect(relay.address()).await;
    let call = of("key-of-limited", Call::messages(""))
        .header("content-length", "20000000")
        .header("expect", "100-continue");
    client.send(call.head(&relay.address().to_string())).await;
    assert_eq!(client.head().await.status, 429);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_new_configuration_keeps_what_a_client_has_used() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let config = config(&json!({"rpm_limit": 1}), &upstream);
    let relay = Relay::start(&config).await;
    assert_eq!(send(&relay, "key-of-limited").await.status, 200);
    let reloaded = relay.with_inherited_state(&config).await;
    assert_limited(&send(&reloaded, "key-of-limited").await, "requests per minute: 1", 1..=60);
}
