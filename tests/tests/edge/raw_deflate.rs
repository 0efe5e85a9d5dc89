//! Bodies in both formats that servers and clients call `deflate`, and bodies of many members.

use bytes::Bytes;
use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Coding, Relay, Upstream, compress, in_turn, minimal_provider, sse};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// One stored block of raw deflate (RFC 1951, section 3.2.4).
fn stored(text: &[u8], is_last: bool) -> Bytes {
    let length = u16::try_from(text.len()).expect("a short text");
    let head = [[u8::from(is_last)].as_slice(), &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    [&head, text].concat().into()
}

async fn relay(kind: &str, upstream: &Upstream) -> Relay {
    Relay::start(&json!({"providers": [minimal_provider("a", kind, &upstream.url())]})).await
}

fn message() -> Value {
    relay_tests::fakes::Reply::new("claude-opus-5-5").text("hello").json()
}

#[tokio::test]
async fn an_answer_in_raw_deflate_is_decoded() {
    for kind in ["anthropic", "zai", "ollama", "anthropic_compatible"] {
        let answer = Answer::new(200).with_header("content-type", "application/json");
        let answer = answer.with_header("content-encoding", "deflate");
        let text = message().to_string();
        let whole = stored(text.as_bytes(), true);
        let pieces: Vec<Bytes> = whole.chunks(1).map(Bytes::copy_from_slice).collect();
        let cut = Answer::pieces(200, pieces)
            .with_header("content-type", "application/json")
            .with_header("content-encoding", "deflate");
        let upstream = Upstream::answering(in_turn([answer.with_body(whole), cut])).await;
        let relay = relay(kind, &upstream).await;
        for _ in 0..2 {
            let response = Call::messages(BODY).send(relay.address()).await;
            assert_eq!(
                (response.status, response.json()["content"][0]["text"].clone()),
                (200, json!("hello"))
            );
            assert!(!response.headers.contains("content-encoding"), "{kind}");
        }
    }
}

#[tokio::test]
async fn a_stream_in_raw_deflate_is_decoded_event_by_event() {
    let events = sse::recorded("anthropic/hello.sse");
    let upstream = Upstream::manual().await;
    let relay = relay("anthropic_compatible", &upstream).await;
    let answering = async {
        let (mut connection, _) = upstream.exchange().await;
        let head = Answer::event_stream().with_header("content-encoding", "deflate");
        connection.send_head(&head).await;
        for event in &events {
            connection.send_chunk(&stored(event, false)).await;
        }
        connection.send_chunk(&stored(b"", true)).await;
        connection.send_last_chunk().await;
    };
    let call = Call::messages(STREAMED);
    let ((), response) = tokio::join!(answering, call.send(relay.address()));
    assert_eq!(response.status, 200);
    assert_eq!(response.body(), events.concat());
}

#[tokio::test]
async fn a_request_in_raw_deflate_is_decoded() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay("anthropic", &upstream).await;
    let raw = stored(BODY.as_bytes(), true);
    let zlib = compress(Coding::Deflate, BODY.as_bytes()).await;
    for body in [raw.clone(), zlib.into()] {
        let call = Call::messages(body).header("content-encoding", "deflate");
        assert_eq!(call.send(relay.address()).await.status, 200);
    }
    assert!(upstream.requests().iter().all(|request| request.body == BODY));
    let truncated = Call::messages(raw.slice(..raw.len() - 1)).header("content-encoding", "deflate");
    assert_eq!(truncated.send(relay.address()).await.status, 400);
}

#[tokio::test]
async fn a_body_of_many_tiny_members_is_refused_before_it_is_decoded() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay("anthropic", &upstream).await;
    for (coding, member) in [
        ("gzip", compress(Coding::Gzip, b"").await),
        ("gzip", compress(Coding::Gzip, b" ").await),
        ("zstd", compress(Coding::Zstd, b"").await),
        ("zstd", b"\x50\x2a\x4d\x18\x00\x00\x00\x00".to_vec()),
    ] {
        let bomb = member.repeat(30_000_000 / member.len());
        let response = Call::messages(bomb).header("content-encoding", coding).send(relay.address()).await;
        assert_eq!(response.status, 400, "{coding}");
        assert_eq!(response.json()["error"]["type"], "invalid_request_error");
    }
    assert_eq!(upstream.connections(), 0);
}
