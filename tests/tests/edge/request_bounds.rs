//! The bounds on headers, names and bodies of requests.

use std::time::Duration;

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Client, Relay, Response, Upstream, provider};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const MIB: usize = 1024 * 1024;

async fn relay(upstream: &Upstream, server: Value) -> Relay {
    let config = json!({"server": server, "providers": [provider("a", "anthropic", &upstream.url())]});
    Relay::start(&config).await
}

#[track_caller]
fn assert_error(response: &Response, status: u16, kind: &str, message: &str) {
    assert_eq!(response.status, status, "{:?}", response.body());
    let error = &response.json()["error"];
    assert_eq!(error["type"], kind, "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(message)), "{error}");
}

fn names(count: usize) -> String {
    (0..count).map(|index| format!("b{index}")).collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn betas_are_limited_on_every_route_that_sends_them_on() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream, json!({})).await;
    for target in ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"] {
        let call = |lines: &[String]| {
            let call = Call::post(target).header("anthropic-version", "2023-06-01").json(BODY);
            lines.iter().fold(call, |call, line| call.header("anthropic-beta", line.as_str()))
        };
        let over = call(&[names(200), names(57)]).send(relay.address()).await;
        assert_error(&over, 400, "invalid_request_error", "256 betas");
        let long = call(&["x,".repeat(30_000)]).send(relay.address()).await;
        assert_error(&long, 400, "invalid_request_error", "16384 bytes");
    }
    assert_eq!(upstream.connections(), 0);
    let most = Call::messages(BODY).header("anthropic-beta", names(200)).header("anthropic-beta", names(56));
    assert_eq!(most.send(relay.address()).await.status, 200);
    let sent: Vec<String> =
        upstream.only_request().headers.all("anthropic-beta").map(str::to_owned).collect();
    assert_eq!(sent, [names(200), names(56)]);
}

#[tokio::test]
async fn the_name_of_a_model_has_at_most_256_bytes() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream, json!({})).await;
    let body = |model: &str| json!({"model": model, "max_tokens": 8, "messages": []}).to_string();
    for target in ["/v1/messages", "/v1/messages/count_tokens"] {
        for model in ["m".repeat(257), "ü".repeat(129), "m".repeat(1_000_000)] {
            let response = Call::post(target).json(body(&model)).send(relay.address()).await;
            assert_error(&response, 400, "invalid_request_error", "at most 256 bytes");
        }
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(Call::messages(body(&"m".repeat(256))).send(relay.address()).await.status, 200);
}

/// Sends the head of a request with a body of `length` bytes, and the first `sent` of them.
async fn unfinished(relay: &Relay, length: usize, sent: usize) -> Client {
    let mut client = Client::connect(relay.address()).await;
    let call = Call::messages("").header("content-length", length.to_string());
    client.send(call.head(&relay.address().to_string())).await;
    client.send(vec![b' '; sent]).await;
    client
}

/// Waits until a further body of `length` bytes is refused before it is sent. The head alone holds no bytes of the budget, so
/// that the bodies that arrive meanwhile are not disturbed.
async fn until_refused(relay: &Relay, length: usize) {
    let call =
        Call::messages("").header("content-length", length.to_string()).header("expect", "100-continue");
    loop {
        let mut client = Client::connect(relay.address()).await;
        client.send(call.head(&relay.address().to_string())).await;
        match client.head().await.status {
            503 => return,
            status => assert_eq!(status, 100),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends `call` until it is answered with `status`.
async fn until(status: u16, relay: &Relay, call: &Call) -> Response {
    loop {
        let response = call.send(relay.address()).await;
        if response.status == status {
            return response;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn bodies_beyond_the_budget_are_refused_and_small_ones_are_served() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream, json!({"max_buffered_bytes": 8 * MIB})).await;
    // Two unfinished bodies hold 6 MiB of 8. A third body would exceed the 7 MiB for large ones.
    let mut slow = Vec::new();
    for refused in [4 * MIB + 1, MIB + 1] {
        slow.push(unfinished(&relay, 3 * MIB + 1, 3 * MIB).await);
        until_refused(&relay, refused).await;
    }
    let large = Call::messages(format!("{}{BODY}", " ".repeat(3 * MIB)));
    let refused = large.send(relay.address()).await;
    assert_error(&refused, 503, "overloaded_error", "server.max_buffered_bytes");
    assert_eq!(refused.headers.get("retry-after"), Some("1"));
    for target in ["/v1/messages", "/v1/messages/count_tokens"] {
        let small = Call::post(target).header("anthropic-version", "2023-06-01").json(BODY);
        assert_eq!(small.send(relay.address()).await.status, 200, "{target}");
    }
    // A client that leaves gives its bytes back, and so does a request that has ended.
    drop(slow);
    for _ in 0..5 {
        assert_eq!(until(200, &relay, &large).await.status, 200);
    }
}

#[tokio::test]
async fn an_announced_length_reserves_nothing() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream, json!({"max_buffered_bytes": MIB})).await;
    let mut announced = Vec::new();
    for _ in 0..20 {
        announced.push(unfinished(&relay, MIB - 1, 1).await);
    }
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
}

#[tokio::test]
async fn a_body_that_cannot_fit_is_refused_before_it_is_sent() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream, json!({"max_buffered_bytes": MIB})).await;
    let mut client = Client::connect(relay.address()).await;
    let call =
        Call::messages("").header("content-length", (2 * MIB).to_string()).header("expect", "100-continue");
    client.send(call.head(&relay.address().to_string())).await;
    assert_eq!(client.head().await.status, 503);
}

#[tokio::test]
async fn decoded_bytes_count_against_the_budget() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream, json!({"max_buffered_bytes": 2 * MIB})).await;
    let packed = |length: usize| async move {
        let text = format!("{}{BODY}", " ".repeat(length));
        let packed = relay_tests::compress(relay_tests::Coding::Gzip, text.as_bytes()).await;
        Call::messages(packed).header("content-encoding", "gzip")
    };
    let refused = packed(3 * MIB).await.send(relay.address()).await;
    assert_error(&refused, 503, "overloaded_error", "server.max_buffered_bytes");
    assert_eq!(packed(MIB / 2).await.send(relay.address()).await.status, 200);
}
