//! The part of the adapters that is the same for each direction.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body, Frame};

use super::progress::Translate;
use crate::StreamError;

/// The initial capacity of the output buffer, in bytes. It fits the events of a few chunks, so that small
/// events that arrive together share one allocation.
const OUT_CAPACITY: usize = 4 << 10;
/// The largest capacity that the output buffer keeps after an event, in bytes. A larger buffer is freed.
const KEPT_CAPACITY: usize = 64 << 10;

/// The part that all adapters share: one translator, its output buffer, and the state of the end.
#[derive(Debug)]
pub(super) struct Engine<T, E> {
    translator: T,
    out: BytesMut,
    tail: Tail<E>,
}

/// The state of the output after the bytes in `out`.
#[derive(Debug)]
enum Tail<E> {
    Open,
    Error(StreamError<E>),
    Closed,
}

impl<T, E> Engine<T, E>
where
    T: Translate,
    StreamError<E>: From<T::Error>,
{
    pub(super) fn new(translator: T) -> Self {
        Engine { translator, out: BytesMut::new(), tail: Tail::Open }
    }

    /// Polls `inner`, and returns the output of the next frame that has some.
    pub(super) fn poll_frame<B: Body<Data = Bytes, Error = E>>(
        &mut self,
        mut inner: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError<E>>>> {
        loop {
            if let Some(end) = self.end() {
                return Poll::Ready(end.map(Err));
            }
            let Poll::Ready(frame) = inner.as_mut().poll_frame(cx) else { return self.pending() };
            let input = match frame {
                None => None,
                Some(Err(error)) => Some(Err(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    Err(trailers) if self.translator.may_end() => return Poll::Ready(Some(Ok(trailers))),
                    Err(_) => None,
                },
            };
            if let Some(out) = self.step(input) {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
    }

    /// Polls `inner`, and returns the output of the next chunk that has some.
    pub(super) fn poll_chunk<S: Stream<Item = Result<Bytes, E>>>(
        &mut self,
        mut inner: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, StreamError<E>>>> {
        loop {
            if let Some(end) = self.end() {
                return Poll::Ready(end.map(Err));
            }
            let Poll::Ready(input) = inner.as_mut().poll_next(cx) else { return self.pending() };
            if let Some(out) = self.step(input) {
                return Poll::Ready(Some(Ok(out)));
            }
        }
    }

    /// Frees the output buffer, whose content has been returned: a stream spends most of its time waiting.
    fn pending<R>(&mut self) -> Poll<R> {
        self.out = BytesMut::new();
        Poll::Pending
    }

    /// Returns `true` if the output has ended. `inner` is `true` if the inner body has ended.
    pub(super) fn is_end_stream(&self, inner: bool) -> bool {
        match self.tail {
            Tail::Open => self.translator.may_end() && inner,
            Tail::Error(_) => false,
            Tail::Closed => true,
        }
    }

    /// Returns `None` while the stream is open. Afterwards returns `Some` with the error to end with, which
    /// is returned once, or `Some(None)`.
    fn end(&mut self) -> Option<Option<StreamError<E>>> {
        match &mut self.tail {
            Tail::Open => None,
            tail => match std::mem::replace(tail, Tail::Closed) {
                Tail::Error(error) => Some(Some(error)),
                _ => Some(None),
            },
        }
    }

    /// Reads a chunk, a failure or the end, and returns the output if there is any.
    fn step(&mut self, input: Option<Result<Bytes, E>>) -> Option<Bytes> {
        if self.out.capacity() == 0 {
            self.out.reserve(OUT_CAPACITY);
        }
        let ended = !matches!(input, Some(Ok(_)));
        let result = match input {
            Some(Ok(chunk)) => self.translator.push(chunk, &mut self.out).map_err(StreamError::from),
            None => self.translator.finish(&mut self.out).map_err(StreamError::from),
            Some(Err(error)) if !self.translator.interrupt(&mut self.out) => Err(StreamError::Inner(error)),
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
    use crate::bedrock::Translator;
    use crate::body::scripted::ScriptedBody;

    const CAPTURE: &[u8] = include_bytes!("../../testdata/message.eventstream");

    #[test]
    fn a_stream_that_waits_for_its_next_event_has_no_buffer() {
        let mut body = ScriptedBody::new().bytes(&CAPTURE[..700]).pending();
        let mut engine = Engine::new(Translator::new());
        let mut task = tokio_test::task::spawn(());
        let mut poll =
            |engine: &mut Engine<_, _>| task.enter(|cx, _| engine.poll_frame(Pin::new(&mut body), cx));
        assert!(matches!(poll(&mut engine), Poll::Ready(Some(Ok(_)))));
        assert!(engine.out.capacity() > 0, "the next event of the same read shares the buffer");
        assert!(poll(&mut engine).is_pending());
        assert_eq!(engine.out.capacity(), 0);
    }
}
