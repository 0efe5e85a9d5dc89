//! Upstreams that answer before they have read the whole request, as with a 413 about its size.

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Connection, End, Relay, Upstream, provider};
use serde_json::json;

/// More than the buffers of all sockets on the way hold.
const SIZE: usize = 8 * 1024 * 1024;

/// Answers the head of each request with this error, and reads nothing of its body.
async fn refuse(mut connection: Connection, status: u16, closes: bool) {
    if connection.receive_head().await.is_none() {
        return;
    }
    let answer = anthropic::error(status);
    let answer = if closes { answer.with_header("connection", "close") } else { answer };
    // The relay may have closed the connection.
    let _ = connection.answer(&answer).await;
    if closes {
        connection.finish().await;
    } else {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_reaches_the_client() {
    for closes in [true, false] {
        let builder = Upstream::builder().allow_chunked().allow_incomplete_requests();
        let upstream = builder.scripted(move |connection| refuse(connection, 413, closes)).await;
        let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
        let text = "x".repeat(SIZE);
        let message =
            format!(r#"{{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"text":"{text}"}}"#);
        for call in [Call::messages(message), Call::post("/v1/files").body(text)] {
            let response = call.send(relay.address()).await;
            assert_eq!((response.status, response.end), (413, End::Complete), "closes: {closes}");
            assert_eq!(response.json()["error"]["type"], "request_too_large");
        }
        let providers = Call::get("/v1/providers").send(relay.address()).await.json();
        assert_eq!(providers["data"][0]["circuit"], "closed", "closes: {closes}");
    }
}

#[tokio::test]
async fn an_early_answer_about_the_provider_fails_over_with_the_whole_request() {
    let text = "x".repeat(SIZE / 4);
    let message = format!(r#"{{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"text":"{text}"}}"#);
    for status in [401, 429, 529] {
        let builder = Upstream::builder().allow_incomplete_requests();
        let first = builder.scripted(move |connection| refuse(connection, status, true)).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let providers = [provider("a", "anthropic", &first.url()), provider("b", "anthropic", &second.url())];
        let relay = Relay::start(&json!({"providers": providers})).await;
        let response = Call::messages(message.clone()).send(relay.address()).await;
        assert_eq!(response.text(), "second", "{status}");
        assert_eq!(second.only_request().body, message.as_bytes(), "{status}");
    }
}
