//! The inverse translator as an adapter of a body.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::FrameTranslator;
use super::engine::Engine;
use crate::StreamError;

pin_project! {
    /// A body of Anthropic's server-sent events as a response body of Bedrock's operation
    /// `InvokeModelWithResponseStream`, for a program that serves clients of Bedrock. The rules are those of
    /// [`FrameTranslator`].
    ///
    /// A frame of the inner body becomes one frame with the messages for all events that it completes, without
    /// delay. A broken stream ends with an error, or with an exception by
    /// [`FrameTranslator::with_on_break`], in both cases after the messages before the fault. Trailers are
    /// forwarded if the stream is complete. The size hint never announces a length.
    ///
    /// Headers are left to the caller: `content-type: application/vnd.amazon.eventstream`,
    /// `x-amzn-bedrock-content-type: application/json`, and no `content-length`.
    /// ```
    /// use http_body_util::{BodyExt, Full};
    /// use relay_stream::bedrock::{FrameBody, FrameTranslator, SseBody, Translator};
    ///
    /// # const EVENTS: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.sse"));
    /// # tokio_test::block_on(async {
    /// let events = Full::new(bytes::Bytes::from_static(EVENTS));
    /// let frames = FrameBody::new(events, FrameTranslator::new());
    /// let again = SseBody::new(frames, Translator::new());
    /// assert_eq!(again.collect().await?.to_bytes(), EVENTS);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[derive(Debug)]
    pub struct FrameBody<B: Body> {
        #[pin]
        inner: B,
        engine: Engine<FrameTranslator, B::Error>,
    }
}

impl<B: Body> FrameBody<B> {
    /// Wraps `inner`, a body at its start. `translator` carries the settings.
    pub fn new(inner: B, translator: FrameTranslator) -> Self {
        FrameBody { inner, engine: Engine::new(translator) }
    }
}

impl<B: Body<Data = Bytes>> Body for FrameBody<B> {
    type Data = Bytes;
    type Error = StreamError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        this.engine.poll_frame(this.inner, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.engine.is_end_stream(self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    use super::*;
    use crate::bedrock::{SseBody, Translator};
    use crate::body::scripted::ScriptedBody;
    use crate::on_break::OnBreak;

    const EVENTS: &str = include_str!("../../testdata/message.sse");
    /// The frames of the same events, from the encoder of aws-smithy-eventstream.
    const FRAMES: &[u8] = include_bytes!("../../testdata/message.frames");

    fn chunks(stream: &[u8], sizes: &[usize]) -> impl Body<Data = Bytes, Error = Infallible> + use<> {
        let (mut rest, mut chunks) = (stream, Vec::new());
        for size in sizes.iter().cycle() {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            chunks.push(Bytes::copy_from_slice(chunk));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        StreamBody::new(stream::iter(chunks).map(|chunk| Ok(Frame::data(chunk))))
    }

    fn collect<B: Body<Data = Bytes>>(body: B) -> Result<Bytes, B::Error> {
        tokio_test::block_on(body.collect()).map(http_body_util::Collected::to_bytes)
    }

    #[test]
    fn the_frames_equal_those_of_an_independent_encoder() {
        for sizes in [[1], [33], [1400], [9000]] {
            let body = FrameBody::new(chunks(EVENTS.as_bytes(), &sizes), FrameTranslator::new());
            assert_eq!(collect(body).unwrap(), FRAMES);
        }
    }

    /// Polls until the end and returns the frames and the error.
    fn frames(script: ScriptedBody, on_break: OnBreak) -> (Vec<u8>, Option<StreamError<&'static str>>) {
        let translator = FrameTranslator::new().with_on_break(on_break);
        let mut body = std::pin::pin!(FrameBody::new(script, translator));
        let (mut task, mut bytes) = (tokio_test::task::spawn(()), Vec::new());
        while !body.is_end_stream() {
            match task.enter(|cx, _| body.as_mut().poll_frame(cx)) {
                Poll::Pending => {}
                Poll::Ready(None) => break,
                Poll::Ready(Some(Ok(frame))) => bytes.extend(frame.into_data().unwrap_or_default()),
                Poll::Ready(Some(Err(error))) => return (bytes, Some(error)),
            }
        }
        (bytes, None)
    }

    #[test]
    fn a_whole_stream_ends_cleanly_with_and_without_trailers() {
        for script in [
            ScriptedBody::new().data(EVENTS),
            ScriptedBody::new().data(EVENTS).exact_length(),
            ScriptedBody::new().data(&EVENTS[..500]).pending().data(&EVENTS[500..]).trailers(),
        ] {
            assert_eq!(frames(script, OnBreak::Abort), (FRAMES.to_vec(), None));
        }
    }

    #[test]
    fn a_broken_stream_ends_with_an_error_after_its_frames_or_with_an_exception() {
        let cut = || ScriptedBody::new().data(&EVENTS[..1000]);
        for (script, expected) in [
            (cut(), StreamError::Incomplete),
            (cut().trailers(), StreamError::Incomplete),
            (cut().error("reset"), StreamError::Inner("reset")),
        ] {
            let (bytes, error) = frames(script, OnBreak::Abort);
            assert!(FRAMES.starts_with(&bytes) && !bytes.is_empty());
            assert_eq!(error, Some(expected));
        }
        for script in [cut(), cut().trailers(), cut().error("reset")] {
            let (bytes, error) = frames(script, OnBreak::ErrorEvent);
            assert_eq!(error, None);
            let events = collect(SseBody::new(chunks(&bytes, &[7]), Translator::new())).unwrap();
            assert!(events.ends_with(b"before the message was complete.\"}}\n\n"));
        }
    }

    /// Generates events as a translator writes them: with the name of their type, and without pings.
    fn events() -> impl Strategy<Value = String> {
        let text = "[a-z\u{e9}\u{1f600} {}:,]{0,40}";
        let delta = text.prop_map(|text| {
            format!("event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"text\":\"{text}\"}}\n\n")
        });
        let foreign =
            "[a-z]{1,9}".prop_map(|name| format!("event: x{name}\ndata: {{\"type\":\"x{name}\"}}\n\n"));
        let end = prop_oneof![
            Just("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned()),
            Just("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}\n\n".to_owned()),
        ];
        let middle = proptest::collection::vec(prop_oneof![delta, foreign], 0..20);
        (middle, end).prop_map(|(middle, end)| middle.concat() + &end)
    }

    proptest! {
        #[test]
        fn events_are_the_same_after_a_round_trip_for_every_way_of_chunking(
            events in events(),
            sizes in proptest::collection::vec(1_usize..60, 1..10),
            frame_sizes in proptest::collection::vec(1_usize..300, 1..10),
        ) {
            let frames = collect(FrameBody::new(chunks(events.as_bytes(), &sizes), FrameTranslator::new())).unwrap();
            let again = collect(SseBody::new(chunks(&frames, &frame_sizes), Translator::new())).unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&again), events);
        }
    }
}
