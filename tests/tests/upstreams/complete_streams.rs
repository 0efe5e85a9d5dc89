//! Streams whose message is complete end regularly, whatever the upstream does after `message_stop`.

use relay_tests::{Answer, Call, Client, End, Http2Client, Relay, Upstream, provider, sse};
use serde_json::json;

const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// The acts of an upstream after `message_stop`.
#[derive(Debug, Clone, Copy)]
enum After {
    /// It neither sends more nor ends the body.
    Silence,
    Reset,
    /// FIN without the last chunk.
    Fin,
}

#[tokio::test]
async fn a_complete_stream_never_breaks() {
    for kind in ["anthropic", "zai"] {
        let upstream = Upstream::manual().await;
        let mut first = provider("first", kind, &upstream.url());
        // Shorter than the time that the upstream has for the end of its body.
        first["idle_timeout_ms"] = json!(150);
        let relay = Relay::start(&json!({"providers": [first]})).await;
        let events = sse::recorded("anthropic/hello.sse").concat();
        for after in [After::Silence, After::Reset, After::Fin] {
            let mut client = Client::connect(relay.address()).await;
            client.call(&Call::messages(STREAMED)).await;
            let (mut connection, _) = upstream.exchange().await;
            connection.send_head(&Answer::event_stream()).await;
            connection.send_chunk(&events).await;
            client.head().await;
            client.expect(&events).await;
            match after {
                After::Silence => {}
                After::Reset => connection.reset(),
                After::Fin => connection.finish().await,
            }
            assert_eq!(client.chunk().await, None, "{kind}, {after:?}");
            assert_eq!(client.end(), Some(End::Complete), "{kind}, {after:?}");
        }
        let client = Http2Client::connect(relay.address()).await;
        let answering = async {
            let (mut connection, _) = upstream.exchange().await;
            connection.send_head(&Answer::event_stream()).await;
            connection.send_chunk(&events).await;
            connection.peer_closed().await;
        };
        let calling = async {
            let mut answer = client.post("/v1/messages", STREAMED).await.expect("an answer");
            assert_eq!(answer.rest().await.expect("a whole answer"), events);
        };
        tokio::join!(answering, calling);
    }
}
