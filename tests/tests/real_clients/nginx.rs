//! nginx in front of the relay, with its default settings (HTTP/1.0, buffered) and with HTTP/1.1.

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Client, End, Nginx, Relay, Upstream, provider, sse};
use serde_json::{Value, json};

const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// The versions that nginx speaks to the relay, each with the lines of its `location`.
const VERSIONS: [(&str, &str); 3] = [
    ("1.0", ""),
    ("1.1", "proxy_http_version 1.1; proxy_set_header Connection \"\";"),
    ("1.1, unbuffered", "proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;"),
];

async fn relay(upstream: &Upstream, server: Value) -> Relay {
    // The circuit stays closed, however many streams break off.
    let health = json!({"circuit_breaker": {"failure_threshold": 1000}});
    let providers = json!([provider("a", "anthropic", &upstream.url())]);
    Relay::start(&json!({"server": server, "providers": providers, "health": health})).await
}

#[tokio::test]
async fn each_event_of_a_stream_leaves_at_once_and_its_end_is_clean() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream, json!({})).await;
    let events = sse::recorded("anthropic/hello.sse");
    for (version, options) in VERSIONS {
        let Some(nginx) = Nginx::start(relay.address(), options).await else { return };
        let mut client = Client::connect(nginx.address()).await;
        client.call(&Call::messages(STREAMED)).await;
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream()).await;
        for (index, event) in events.iter().enumerate() {
            connection.send_chunk(event).await;
            if index == 3 {
                assert_eq!(client.head().await.status, 200, "{version}");
                client.expect(&events[..4].concat()).await;
            } else if index > 3 {
                client.expect(event).await;
            }
        }
        connection.send_last_chunk().await;
        assert_eq!(client.chunk().await, None, "{version}");
        assert_eq!(client.end(), Some(End::Complete), "{version}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_does_not_look_complete() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream, json!({})).await;
    let events = sse::recorded("anthropic/hello.sse");
    for (version, options) in VERSIONS {
        let Some(nginx) = Nginx::start(relay.address(), options).await else { return };
        let mut client = Client::connect(nginx.address()).await;
        client.call(&Call::messages(STREAMED)).await;
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream()).await;
        connection.send_chunk(&events[..4].concat()).await;
        assert_eq!(client.head().await.status, 200, "{version}");
        client.expect(&events[..4].concat()).await;
        connection.reset();
        let mut rest = Vec::new();
        while let Some(chunk) = client.chunk().await {
            rest.extend_from_slice(&chunk);
        }
        let has_error = sse::parse(&rest).iter().any(|event| event.name == "error");
        let is_broken = client.end().is_some_and(End::is_broken);
        assert!(is_broken || has_error, "{version}: {:?}", client.end());
        assert_eq!(has_error, version == "1.0", "{version}");
    }
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    let filler = "x".repeat(3 * 1024 * 1024);
    let answer = Answer::json(200, &json!({"type": "message", "content": [], "filler": filler}));
    let upstream = Upstream::answering(move |_| answer.clone()).await;
    let relay = relay(&upstream, json!({})).await;
    let message = json!([{"role": "user", "content": filler}]);
    let body = json!({"model": "claude-opus-5-5", "max_tokens": 8, "messages": message}).to_string();
    for (index, (version, options)) in VERSIONS.into_iter().enumerate() {
        let Some(nginx) = Nginx::start(relay.address(), options).await else { return };
        let response = Call::messages(body.clone()).send(nginx.address()).await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{version}");
        assert_eq!(response.json()["filler"], filler, "{version}");
        assert!(upstream.requests()[index].body == body, "{version}");
    }
}

#[tokio::test]
async fn refusals_of_large_bodies_reach_the_client() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream, json!({"max_body_bytes": 1024, "auth": {"api_key": "k-0123456789"}})).await;
    for (version, options) in VERSIONS {
        let Some(nginx) = Nginx::start(relay.address(), options).await else { return };
        for (credential, status) in [("k-0123456789", 413), ("wrong", 401)] {
            let call = Call::messages("x".repeat(5_000_000)).header("x-api-key", credential);
            let response = call.send(nginx.address()).await;
            assert_eq!(response.status, status, "{version}");
            assert_eq!(response.json()["type"], "error", "{version}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_upstream_request() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream, json!({})).await;
    for (_, options) in VERSIONS {
        let Some(nginx) = Nginx::start(relay.address(), options).await else { return };
        let mut client = Client::connect(nginx.address()).await;
        client.call(&Call::messages(STREAMED)).await;
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream()).await;
        connection.send_chunk(&sse::recorded("anthropic/hello.sse")[..4].concat()).await;
        client.head().await;
        client.disconnect();
        connection.peer_closed().await;
    }
}
