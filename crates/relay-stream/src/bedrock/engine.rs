//! The part of the adapters that is the same for each direction.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body, Frame};

use super::progress::Translate;
use crate::StreamError;

/// The part that all adapters share: one translator, and the state of the end.
#[derive(Debug)]
pub(super) struct Engine<T, E> {
    translator: T,
    tail: Tail<E>,
}

/// The state of the output after the bytes that have been returned.
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
        Engine { translator, tail: Tail::Open }
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
            let input = match ready!(inner.as_mut().poll_frame(cx)) {
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
            if let Some(out) = self.step(ready!(inner.as_mut().poll_next(cx))) {
                return Poll::Ready(Some(Ok(out)));
            }
        }
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

    /// Reads a chunk, a failure or the end, and returns the output if there is any. Most chunks have one event, which reserves
    /// the bytes that it needs.
    fn step(&mut self, input: Option<Result<Bytes, E>>) -> Option<Bytes> {
        let mut out = BytesMut::new();
        let ended = !matches!(input, Some(Ok(_)));
        let result = match input {
            Some(Ok(chunk)) => self.translator.push(chunk, &mut out).map_err(StreamError::from),
            None => self.translator.finish(&mut out).map_err(StreamError::from),
            Some(Err(error)) if !self.translator.interrupt(&mut out) => Err(StreamError::Inner(error)),
            Some(Err(_)) => Ok(()),
        };
        match result {
            Err(error) => self.tail = Tail::Error(error),
            Ok(()) if ended || self.translator.is_done() => self.tail = Tail::Closed,
            Ok(()) => {}
        }
        (!out.is_empty()).then(|| out.freeze())
    }
}
