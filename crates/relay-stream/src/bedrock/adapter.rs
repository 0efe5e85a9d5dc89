//! The translator as an adapter of a body or of a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Translator;
use super::engine::Engine;
use crate::StreamError;

pin_project! {
    /// A response body of Bedrock as Anthropic's server-sent events.
    ///
    /// A frame of the inner body becomes one frame with all events that it completes, without delay. A frame
    /// that completes no event becomes no frame. A broken stream ends with an error, or with an `error` event
    /// by [`Translator::with_on_break`], in both cases after the events before the fault. Trailers are
    /// forwarded if the stream is complete. The size hint never announces a length.
    /// ```
    /// use http_body_util::{BodyExt, Full};
    /// use relay_stream::bedrock::{SseBody, Translator};
    ///
    /// # tokio_test::block_on(async {
    /// let upstream = Full::new(bytes::Bytes::from_static(b"a frame cut o"));
    /// let error = SseBody::new(upstream, Translator::new()).collect().await.unwrap_err();
    /// assert_eq!(error.to_string(), "the event stream cannot be translated");
    /// # });
    /// ```
    #[derive(Debug)]
    pub struct SseBody<B: Body> {
        #[pin]
        inner: B,
        engine: Engine<Translator, B::Error>,
    }
}

impl<B: Body> SseBody<B> {
    /// Wraps `inner`, a body at its start. `translator` carries the settings.
    pub fn new(inner: B, translator: Translator) -> Self {
        SseBody { inner, engine: Engine::new(translator) }
    }
}

impl<B: Body<Data = Bytes>> Body for SseBody<B> {
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

pin_project! {
    /// A stream of chunks of Bedrock as Anthropic's server-sent events: [`SseBody`] for a `Stream`, without
    /// trailers.
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use bytes::Bytes;
    /// use futures_util::{StreamExt, stream};
    /// use relay_stream::bedrock::{SseStream, Translator};
    ///
    /// # const CAPTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.eventstream"));
    /// # tokio_test::block_on(async {
    /// let chunks = CAPTURE.chunks(1400).map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk)));
    /// let mut events = SseStream::new(stream::iter(chunks), Translator::new());
    /// assert!(events.next().await.expect("output")?.starts_with(b"event: message_start\n"));
    /// # Ok::<(), relay_stream::StreamError<Infallible>>(())
    /// # }).unwrap();
    /// ```
    #[derive(Debug)]
    pub struct SseStream<S, E> {
        #[pin]
        inner: S,
        engine: Engine<Translator, E>,
    }
}

impl<S: Stream<Item = Result<Bytes, E>>, E> SseStream<S, E> {
    /// Wraps `inner`, a stream at its start. `translator` carries the settings.
    pub fn new(inner: S, translator: Translator) -> Self {
        SseStream { inner, engine: Engine::new(translator) }
    }
}

impl<S: Stream<Item = Result<Bytes, E>>, E> Stream for SseStream<S, E> {
    type Item = Result<Bytes, StreamError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        this.engine.poll_chunk(this.inner, cx)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::bedrock::TranslateError;
    use crate::body::scripted::{ScriptedBody, collect};
    use crate::frame::FrameError;
    use crate::on_break::OnBreak;

    const CAPTURE: &[u8] = include_bytes!("../../testdata/message.eventstream");
    const EVENTS: &str = include_str!("../../testdata/message.sse");

    fn abort(script: ScriptedBody) -> SseBody<ScriptedBody> {
        SseBody::new(script, Translator::new())
    }

    fn error_event(script: ScriptedBody) -> SseBody<ScriptedBody> {
        SseBody::new(script, Translator::new().with_on_break(OnBreak::ErrorEvent))
    }

    /// Returns the complete events of the first `len` bytes of the capture, without and with the `error`
    /// event after them.
    fn broken_at(len: usize) -> (String, String) {
        let mut out = BytesMut::new();
        Translator::new().push(&CAPTURE[..len], &mut out).unwrap();
        let events = String::from_utf8(out.to_vec()).unwrap();
        crate::on_break::write_break(&mut out);
        (events, String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn a_whole_stream_is_translated_and_ends_cleanly() {
        for script in [
            ScriptedBody::new().bytes(CAPTURE),
            ScriptedBody::new().bytes(CAPTURE).exact_length(),
            ScriptedBody::new().bytes(&CAPTURE[..500]).pending().bytes(&CAPTURE[500..]).trailers(),
        ] {
            let (bytes, error) = collect(abort(script));
            assert_eq!(bytes, EVENTS);
            assert!(error.is_none());
        }
    }

    #[test]
    fn a_broken_stream_ends_with_an_error_after_its_events() {
        let (events, _) = broken_at(1000);
        let (bytes, error) = collect(abort(ScriptedBody::new().bytes(&CAPTURE[..1000])));
        assert_eq!(bytes, events);
        let truncated = |error: &_| {
            matches!(error, StreamError::Translate(TranslateError::Frame(FrameError::Truncated { .. })))
        };
        assert!(error.as_ref().is_some_and(truncated));
        let mut corrupt = CAPTURE.to_vec();
        corrupt[999] ^= 1;
        let (bytes, error) = collect(abort(ScriptedBody::new().bytes(&corrupt)));
        assert!(events.starts_with(&bytes) && !bytes.is_empty());
        assert!(matches!(error, Some(StreamError::Translate(TranslateError::Frame(_)))));
        let (bytes, error) = collect(abort(ScriptedBody::new().bytes(&CAPTURE[..1000]).error("reset")));
        assert_eq!(bytes, events);
        assert!(matches!(error, Some(StreamError::Inner("reset"))));
        let (bytes, error) = collect(abort(ScriptedBody::new()));
        assert_eq!(bytes, "");
        assert!(matches!(error, Some(StreamError::Incomplete)));
        let (_, error) = collect(abort(ScriptedBody::new().trailers()));
        assert!(matches!(error, Some(StreamError::Incomplete)));
    }

    #[test]
    fn a_broken_stream_ends_with_an_error_event_if_configured() {
        let (_, expected) = broken_at(1000);
        let cut = || ScriptedBody::new().bytes(&CAPTURE[..1000]);
        let mut corrupt = CAPTURE[1000..].to_vec();
        corrupt.iter_mut().for_each(|byte| *byte ^= 1);
        for script in [cut(), cut().error("reset"), cut().bytes(&corrupt).bytes(CAPTURE), cut().trailers()] {
            let (bytes, error) = collect(error_event(script));
            assert_eq!(bytes, expected);
            assert!(error.is_none());
        }
        let (bytes, error) = collect(error_event(ScriptedBody::new().bytes(CAPTURE).error("reset")));
        assert_eq!(bytes, EVENTS, "the message was complete");
        assert!(error.is_none());
    }

    #[test]
    fn a_frame_is_sent_once_one_event_is_complete() {
        let mut body = abort(ScriptedBody::new().bytes(&CAPTURE[..700]).pending());
        let mut task = tokio_test::task::spawn(());
        let mut poll = || task.enter(|cx, _| Pin::new(&mut body).poll_frame(cx));
        let Poll::Ready(Some(Ok(frame))) = poll() else { panic!("the first event is complete") };
        assert!(frame.data_ref().unwrap().starts_with(b"event: message_start\n"));
        assert!(poll().is_pending());
    }

    #[test]
    fn a_stream_of_chunks_is_translated_like_a_body() {
        struct Chunks(Vec<Result<Bytes, &'static str>>);
        impl Stream for Chunks {
            type Item = Result<Bytes, &'static str>;
            fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                Poll::Ready(self.0.pop())
            }
        }
        let (a, b) = CAPTURE.split_at(4321);
        let chunks = Chunks(vec![Err("reset"), Ok(Bytes::from_static(b)), Ok(Bytes::from_static(a))]);
        let mut stream = SseStream::new(chunks, Translator::new());
        let mut task = tokio_test::task::spawn(());
        let mut out = Vec::new();
        loop {
            match task.enter(|cx, _| Pin::new(&mut stream).poll_next(cx)) {
                Poll::Ready(Some(Ok(bytes))) => out.extend_from_slice(&bytes),
                Poll::Ready(Some(Err(StreamError::Inner("reset")))) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(String::from_utf8(out).unwrap(), EVENTS);
        assert!(matches!(task.enter(|cx, _| Pin::new(&mut stream).poll_next(cx)), Poll::Ready(None)));
    }
}
