//! An upstream whose connections are in memory.

use std::convert::Infallible;
use std::sync::Arc;

use http::Uri;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::Semaphore;
use tower::Service;
use tower::util::service_fn;

use crate::message::read_message;

const MESSAGE: &str = r#"{"id":"msg_01","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"The error means that the value is used after it was moved. Borrow it instead, or clone it before the call, so that the first use keeps it. The compiler names both places."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":212,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":48,"service_tier":"standard"}}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-opus-5-5\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":212,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"The error means that the value is used after it was moved, so borrow it instead.\"}}\n\n";
const END: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":48}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// The pieces of each answer, in the order in which they are written. The relay reads each of them on its own.
#[derive(Clone)]
pub(crate) struct Reply {
    pieces: Arc<[String]>,
    /// Has a permit for each piece after the first.
    turns: Option<Arc<Semaphore>>,
}

impl Reply {
    /// Returns an answer in one piece.
    pub(crate) fn message() -> Self {
        Self { pieces: [response("application/json", MESSAGE.len(), MESSAGE)].into(), turns: None }
    }

    /// Returns a stream with this number of events with text.
    pub(crate) fn stream(deltas: usize) -> Self {
        let length = START.len() + deltas * DELTA.len() + END.len();
        let start = response("text/event-stream", length, START);
        let deltas = std::iter::repeat_n(DELTA.to_owned(), deltas);
        let pieces = [start].into_iter().chain(deltas).chain([END.to_owned()]).collect();
        Self { pieces, turns: None }
    }

    /// Takes a permit before each piece after the first one.
    pub(crate) fn in_turns(self, turns: &Arc<Semaphore>) -> Self {
        Self { turns: Some(Arc::clone(turns)), ..self }
    }
}

fn response(content_type: &str, length: usize, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nrequest-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n\
         anthropic-ratelimit-requests-limit: 4000\r\nanthropic-ratelimit-requests-remaining: 3999\r\n\
         anthropic-ratelimit-requests-reset: 2099-01-01T00:00:00Z\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Returns the connector to an upstream that answers each request with `reply`.
pub(crate) fn connector(
    reply: Reply,
) -> impl Service<Uri, Response = DuplexStream, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
    service_fn(move |_: Uri| {
        let (relay, upstream) = tokio::io::duplex(64 * 1024);
        tokio::spawn(answer(upstream, reply.clone()));
        std::future::ready(Ok(relay))
    })
}

/// Answers the requests of a connection until the relay closes it.
async fn answer(mut stream: DuplexStream, reply: Reply) {
    let mut received = Vec::new();
    while let Ok(length) = read_message(&mut stream, &mut received).await {
        received.drain(..length);
        for (index, piece) in reply.pieces.iter().enumerate() {
            if let Some(turns) = reply.turns.as_ref().filter(|_| index > 0) {
                let Ok(turn) = turns.acquire().await else { return };
                turn.forget();
            }
            if stream.write_all(piece.as_bytes()).await.is_err() {
                return;
            }
            // The relay reads each piece before the next one is written.
            tokio::task::yield_now().await;
        }
    }
}
