//! The decoder as an adapter of a `Stream` of chunks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use pin_project_lite::pin_project;

use super::{Decoder, Message};
use crate::StreamError;

pin_project! {
    /// A stream of the messages in a stream of chunks.
    ///
    /// It ends after the first error, either of the inner stream or of the decoder.
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use bytes::Bytes;
    /// use futures_util::{StreamExt, stream};
    /// use relay_stream::frame::{Decoder, MessageStream};
    ///
    /// # const CAPTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.eventstream"));
    /// # tokio_test::block_on(async {
    /// let chunks = CAPTURE.chunks(1400).map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk)));
    /// let messages = MessageStream::new(stream::iter(chunks), Decoder::new());
    /// assert_eq!(messages.count().await, 16);
    /// # });
    /// ```
    #[derive(Debug)]
    pub struct MessageStream<S> {
        #[pin]
        inner: S,
        decoder: Decoder,
        chunk: Bytes,
        done: bool,
    }
}

impl<S> MessageStream<S> {
    /// Wraps `inner`, a stream at its start. `decoder` carries the limits.
    pub fn new(inner: S, decoder: Decoder) -> Self {
        MessageStream { inner, decoder, chunk: Bytes::new(), done: false }
    }
}

impl<S: Stream<Item = Result<Bytes, E>>, E> Stream for MessageStream<S> {
    type Item = Result<Message, StreamError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if *this.done {
            return Poll::Ready(None);
        }
        let end = loop {
            match this.decoder.decode(this.chunk) {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(error) => break Some(StreamError::Frame(error)),
            }
            match ready!(this.inner.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => *this.chunk = chunk,
                Some(Err(error)) => break Some(StreamError::Inner(error)),
                None => break this.decoder.finish().err().map(StreamError::Frame),
            }
        };
        *this.done = true;
        Poll::Ready(end.map(Err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameError;

    const CAPTURE: &[u8] = include_bytes!("../../testdata/message.eventstream");

    struct Chunks(Vec<Result<Bytes, &'static str>>);

    impl Stream for Chunks {
        type Item = Result<Bytes, &'static str>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready((!self.0.is_empty()).then(|| self.0.remove(0)))
        }
    }

    /// Returns the number of messages and the error that ended the stream.
    fn messages(chunks: Vec<Result<Bytes, &'static str>>) -> (usize, Option<StreamError<&'static str>>) {
        let mut stream = MessageStream::new(Chunks(chunks), Decoder::new());
        let mut task = tokio_test::task::spawn(());
        let mut count = 0;
        loop {
            match task.enter(|cx, _| Pin::new(&mut stream).poll_next(cx)) {
                Poll::Ready(Some(Ok(_))) => count += 1,
                Poll::Ready(Some(Err(error))) => return (count, Some(error)),
                _ => return (count, None),
            }
        }
    }

    #[test]
    fn messages_are_returned_until_the_end_or_the_first_error() {
        let all = || CAPTURE.chunks(1000).map(|chunk| Ok(Bytes::from_static(chunk))).collect::<Vec<_>>();
        assert!(matches!(messages(all()), (16, None)));
        let cut = messages(all()[..3].to_vec());
        assert!(matches!(cut, (1.., Some(StreamError::Frame(FrameError::Truncated { .. })))));
        let failed = messages([&all()[..3], &[Err("reset")]].concat());
        assert!(matches!(failed, (1.., Some(StreamError::Inner("reset")))));
    }
}
