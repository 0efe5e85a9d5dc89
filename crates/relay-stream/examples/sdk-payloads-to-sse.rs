//! Writes the events that the SDK of AWS has decoded as Anthropic's server-sent events, and finds a stream that ends
//! before its message is complete.
//!
//! The types below stand for those of `aws-sdk-bedrockruntime`, so that the example runs without the SDK and without
//! an account:
//!
//! ```text
//! cargo run -p relay-stream --example sdk-payloads-to-sse
//! ```

use std::io::Write;

use bytes::BytesMut;
use relay_stream::bedrock::{write_error_event, write_payload};
use relay_stream::sse;
use relay_stream::watch::SseWatch;

/// `types::ResponseStream`, with the bytes of its `PayloadPart`.
enum ResponseStream {
    Chunk(Vec<u8>),
}

/// `error::SdkError`: an exception in the stream, with its `code()` and `message()`, or a failed connection.
enum SdkError {
    ServiceError { code: String, message: String },
    DispatchFailure,
}

/// `EventReceiver`: its `recv` returns the next event, or `None` at the end.
struct EventReceiver(std::vec::IntoIter<Result<ResponseStream, SdkError>>);

impl EventReceiver {
    fn recv(&mut self) -> Result<Option<ResponseStream>, SdkError> {
        self.0.next().transpose()
    }
}

/// Writes every event of `receiver` to `client`, and an `error` event if the message ends early.
fn forward(
    receiver: &mut EventReceiver,
    client: &mut impl Write,
) -> Result<SseWatch, Box<dyn std::error::Error>> {
    let (mut watch, mut out) = (SseWatch::new(), BytesMut::new());
    loop {
        let next = receiver.recv();
        let ended = !matches!(next, Ok(Some(_)));
        match next {
            Ok(Some(ResponseStream::Chunk(payload))) => write_payload(&payload, &mut out)?,
            Err(SdkError::ServiceError { code, message }) => write_error_event(&code, &message, &mut out),
            Err(SdkError::DispatchFailure) | Ok(None) if !watch.report().is_complete() => {
                sse::write_error_event("api_error", "The stream broke off.", &mut out);
            }
            Err(SdkError::DispatchFailure) | Ok(None) => {}
        }
        watch.observe(&out);
        client.write_all(&out)?;
        client.flush()?;
        out.clear();
        if ended {
            return Ok(watch);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chunk = |json: &str| Ok(ResponseStream::Chunk(json.into()));
    let start =
        r#"{"type":"message_start","message":{"id":"msg_1","model":"claude","usage":{"input_tokens":9}}}"#;
    let stop = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":9}}"#;
    let throttled = SdkError::ServiceError {
        code: "throttlingException".into(),
        message: "Too many tokens, please wait before trying again.".into(),
    };
    let streams = [
        vec![chunk(start), chunk(stop)],
        vec![chunk(start), Err(throttled)],
        vec![chunk(start), Err(SdkError::DispatchFailure)],
    ];
    for stream in streams {
        let watch = forward(&mut EventReceiver(stream.into_iter()), &mut std::io::stdout().lock())?;
        let error = watch.report().error.as_ref().map_or("none", |error| &error.kind);
        let tokens = watch.report().usage.input_tokens;
        writeln!(std::io::stderr(), "input tokens: {tokens:?}, error: {error}\n")?;
    }
    Ok(())
}
