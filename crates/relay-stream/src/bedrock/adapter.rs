//! [`Translator`] around a body or a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{TranslateError, Translator};

/// Room for the events of a few chunks, so that small events share an allocation.
const OUT_CAPACITY: usize = 4 << 10;
/// An output buffer larger than this is given back after its event.
const KEPT_CAPACITY: usize = 64 << 10;

pin_project! {
    /// The body of a response of Bedrock's, as Anthropic's server-sent events.
    ///
    /// One frame of the inner body becomes at most one frame with all events that it completes, at once; a frame that
    /// completes none becomes none. A broken stream ends with an error, or as the translator was told to; the events
    /// before it go out first. Trailers pass if the stream is complete. The length is never announced.
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
        engine: Engine<B::Error>,
    }
}

impl<B: Body> SseBody<B> {
    /// Translates `inner`, a body at its start, by `translator`, which carries the settings.
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
        let mut this = self.project();
        loop {
            if let Some(end) = this.engine.end() {
                return Poll::Ready(end.map(Err));
            }
            let input = match ready!(this.inner.as_mut().poll_frame(cx)) {
                None => None,
                Some(Err(error)) => Some(Err(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    Err(trailers) if this.engine.translator.may_end() => {
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                    Err(_) => None,
                },
            };
            if let Some(out) = this.engine.step(input) {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.engine.tail {
            Tail::Open => self.engine.translator.may_end() && self.inner.is_end_stream(),
            Tail::Error(_) => false,
            Tail::Closed => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

pin_project! {
    /// [`SseBody`] for a stream of chunks: the same, without trailers.
    #[derive(Debug)]
    pub struct SseStream<S, E> {
        #[pin]
        inner: S,
        engine: Engine<E>,
    }
}

impl<S: Stream<Item = Result<Bytes, E>>, E> SseStream<S, E> {
    /// Translates `inner`, a stream at its start, by `translator`, which carries the settings.
    pub fn new(inner: S, translator: Translator) -> Self {
        SseStream { inner, engine: Engine::new(translator) }
    }
}

impl<S: Stream<Item = Result<Bytes, E>>, E> Stream for SseStream<S, E> {
    type Item = Result<Bytes, StreamError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let Some(end) = this.engine.end() {
                return Poll::Ready(end.map(Err));
            }
            let input = ready!(this.inner.as_mut().poll_next(cx));
            if let Some(out) = this.engine.step(input) {
                return Poll::Ready(Some(Ok(out)));
            }
        }
    }
}

/// Why a translated body or stream failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The inner body or stream failed.
    #[error(transparent)]
    Upstream(E),
    /// Its bytes are no complete event stream.
    #[error("the event stream cannot be translated")]
    Translate(#[source] TranslateError),
}

/// What both adapters do with what they are given.
#[derive(Debug)]
struct Engine<E> {
    translator: Translator,
    out: BytesMut,
    tail: Tail<E>,
}

/// What follows the bytes that are in `out`.
#[derive(Debug)]
enum Tail<E> {
    Open,
    Error(StreamError<E>),
    Closed,
}

impl<E> Engine<E> {
    fn new(translator: Translator) -> Self {
        Engine { translator, out: BytesMut::new(), tail: Tail::Open }
    }

    /// `Some` once nothing comes any more: the error to end with, at most once, or none.
    fn end(&mut self) -> Option<Option<StreamError<E>>> {
        match &mut self.tail {
            Tail::Open => None,
            tail => match std::mem::replace(tail, Tail::Closed) {
                Tail::Error(error) => Some(Some(error)),
                _ => Some(None),
            },
        }
    }

    /// Takes in a chunk, a failure or the end, and gives out what may go on.
    fn step(&mut self, input: Option<Result<Bytes, E>>) -> Option<Bytes> {
        if self.out.capacity() == 0 {
            self.out.reserve(OUT_CAPACITY);
        }
        let ended = !matches!(input, Some(Ok(_)));
        let result = match input {
            Some(Ok(chunk)) => self.translator.push(&chunk, &mut self.out).map_err(StreamError::Translate),
            None => self.translator.finish(&mut self.out).map_err(StreamError::Translate),
            Some(Err(error)) if !self.translator.interrupt(&mut self.out) => {
                Err(StreamError::Upstream(error))
            }
            Some(Err(_)) => Ok(()),
        };
        match result {
            Err(error) => self.tail = Tail::Error(error),
            Ok(()) if ended || self.translator.is_done() => self.tail = Tail::Closed,
            Ok(()) => {}
        }
        if self.out.is_empty() {
            return None;
        }
        let out = self.out.split().freeze();
        if out.len() > KEPT_CAPACITY {
            self.out = BytesMut::new();
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    /// The complete events of the capture's first `len` bytes, and the one that reports the break.
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
    fn a_broken_stream_gives_its_events_and_then_an_error() {
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
        assert!(matches!(error, Some(StreamError::Upstream("reset"))));
        let (bytes, error) = collect(abort(ScriptedBody::new()));
        assert_eq!(bytes, "");
        assert!(matches!(error, Some(StreamError::Translate(TranslateError::Incomplete))));
        let (_, error) = collect(abort(ScriptedBody::new().trailers()));
        assert!(matches!(error, Some(StreamError::Translate(TranslateError::Incomplete))));
    }

    #[test]
    fn a_break_becomes_an_error_event_where_that_is_wanted() {
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
    fn a_frame_goes_out_as_soon_as_one_event_is_complete() {
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
                Poll::Ready(Some(Err(StreamError::Upstream("reset")))) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(String::from_utf8(out).unwrap(), EVENTS);
        assert!(matches!(task.enter(|cx, _| Pin::new(&mut stream).poll_next(cx)), Poll::Ready(None)));
    }
}
