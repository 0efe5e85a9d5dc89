//! Upstreams that answer before they have read the whole request, as with a 413 about its size.

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Connection, End, Relay, Upstream, provider};
use serde_json::json;

/// More than the buffers of all sockets on the way hold.
const SIZE: usize = 8 * 1024 * 1024;

/// Answers the head of each request with a 413, and reads nothing of its body.
async fn refuse(mut connection: Connection, closes: bool) {
    if connection.receive_head().await.is_none() {
        return;
    }
    let answer = anthropic::error(413);
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
        let upstream = builder.scripted(move |connection| refuse(connection, closes)).await;
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
