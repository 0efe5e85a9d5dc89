//! The parser as an adapter of a stream of chunks or of a body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{SseBlock, SseEvent, SseParser};
use crate::StreamError;

pin_project! {
    /// A stream of the events in a stream of chunks, or in a body.
    ///
    /// The chunks may be cut anywhere. An event is returned with the chunk that completes it. Comments and
    /// other blocks without data are no events. At the end of the inner stream an incomplete event is dropped,
    /// as the standard requires; [`watch`](crate::watch) finds out if a message is complete.
    ///
    /// The stream ends after the first error: a failure of the inner stream, or an event larger than the limit
    /// of the parser, which is 16 MiB by default. That limit and the last event ID are all that it keeps
    /// between two events, besides the chunk itself.
    ///
    /// Cancellation safe: all state is in the stream, so a dropped `next()` loses no event.
    /// ```
    /// use bytes::Bytes;
    /// use futures_util::{StreamExt, stream};
    /// use relay_stream::sse::{SseEventStream, SseParser};
    ///
    /// # tokio_test::block_on(async {
    /// // Any `Stream<Item = Result<Bytes, E>>`, for example `bytes_stream()` of a response of reqwest.
    /// let chunks = ["event: ping\ndata: {", "}\r\n\r\ndata: 2\n\n"];
    /// let chunks = stream::iter(chunks.map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk))));
    ///
    /// let mut events = SseEventStream::new(chunks, SseParser::new());
    /// while let Some(event) = events.next().await {
    ///     let event = event?;
    ///     println!("{}: {}", event.name, event.text());
    /// }
    /// # Ok::<(), relay_stream::StreamError<std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    /// # Source
    /// WHATWG HTML, "Interpreting an event stream".
    #[derive(Debug)]
    pub struct SseEventStream<S> {
        #[pin]
        inner: S,
        parser: SseParser,
        chunk: Bytes,
        last_event_id: Option<String>,
        retry: Option<Duration>,
        done: bool,
    }
}

impl<S> SseEventStream<S> {
    /// Wraps `inner`, a stream of chunks at its start. `parser` carries the limit for an event.
    pub fn new(inner: S, parser: SseParser) -> Self {
        SseEventStream { inner, parser, chunk: Bytes::new(), last_event_id: None, retry: None, done: false }
    }

    /// Sets the last event ID of an earlier connection, which stays valid until an event has another one.
    pub fn with_last_event_id(self, id: impl Into<String>) -> Self {
        SseEventStream { last_event_id: Some(id.into()), ..self }
    }

    /// Returns the last event ID: the value of the header `Last-Event-ID` after a reconnect. It is that of the
    /// last complete block with an `id` field, also of a block without data.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// Returns the reconnection time, if the server has set one.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }
}

impl<B> SseEventStream<BodyChunks<B>> {
    /// Wraps `body`, a body at its start. `parser` carries the limit for an event. Trailers are dropped.
    /// ```
    /// use futures_util::StreamExt;
    /// use http_body_util::Full;
    /// use relay_stream::sse::{SseEventStream, SseParser};
    ///
    /// # tokio_test::block_on(async {
    /// let body = Full::new(bytes::Bytes::from("event: ping\ndata: {}\n\n"));
    /// let mut events = SseEventStream::from_body(body, SseParser::new());
    /// assert_eq!(events.next().await.transpose()?.expect("one event").name, "ping");
    /// # Ok::<(), relay_stream::StreamError<std::convert::Infallible>>(())
    /// # }).unwrap();
    /// ```
    pub fn from_body(body: B, parser: SseParser) -> Self {
        Self::new(BodyChunks { body }, parser)
    }
}

/// Records the fields of `block` that outlive it, and returns its event.
fn interpret(
    block: &SseBlock,
    last_event_id: &mut Option<String>,
    retry: &mut Option<Duration>,
) -> Option<SseEvent<'static>> {
    let fields = block.fields();
    if let Some(id) = &fields.id {
        *last_event_id = Some(id.clone().into_owned());
    }
    *retry = fields.retry.or(*retry);
    fields.into_event().map(SseEvent::into_owned)
}

impl<S: Stream<Item = Result<Bytes, E>>, E> Stream for SseEventStream<S> {
    type Item = Result<SseEvent<'static>, StreamError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if *this.done {
            return Poll::Ready(None);
        }
        let end = loop {
            match this.parser.parse(this.chunk) {
                Ok(Some(block)) => match interpret(&block, this.last_event_id, this.retry) {
                    Some(event) => return Poll::Ready(Some(Ok(event))),
                    None => continue,
                },
                Ok(None) => {}
                Err(error) => break Some(StreamError::Sse(error)),
            }
            match ready!(this.inner.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => *this.chunk = chunk,
                Some(Err(error)) => break Some(StreamError::Inner(error)),
                None => break None,
            }
        };
        *this.done = true;
        *this.chunk = Bytes::new();
        Poll::Ready(end.map(Err))
    }
}

pin_project! {
    /// The data of a body as a stream of chunks, without trailers. See [`SseEventStream::from_body`].
    #[derive(Debug)]
    pub struct BodyChunks<B> {
        #[pin]
        body: B,
    }
}

impl<B: Body> Stream for BodyChunks<B> {
    type Item = Result<Bytes, B::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.project().body;
        loop {
            return Poll::Ready(match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    // Without a copy if the data is `Bytes`.
                    Ok(mut data) => Some(Ok(data.copy_to_bytes(data.remaining()))),
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => Some(Err(error)),
                None => None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::scripted::ScriptedBody;
    use crate::sse::SseError;

    type Item = Result<SseEvent<'static>, StreamError<&'static str>>;

    /// Polls once. A result of `Pending` is `None`.
    fn poll(stream: &mut SseEventStream<BodyChunks<ScriptedBody>>) -> Option<Option<Item>> {
        match tokio_test::task::spawn(()).enter(|cx, _| Pin::new(stream).poll_next(cx)) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        }
    }

    #[track_caller]
    fn check_text(next: Option<Option<Item>>, expected: &str) {
        let Some(Some(Ok(event))) = next else { panic!("expected {expected}, found {next:?}") };
        assert_eq!(event.text(), expected);
    }

    #[test]
    fn an_event_is_returned_with_the_chunk_that_completes_it() {
        let script =
            ScriptedBody::new().data("data: 1\n\ndata: 2\n\nda").pending().data("ta: 3\r\r").trailers();
        let mut stream = SseEventStream::from_body(script, SseParser::new());
        check_text(poll(&mut stream), "1");
        check_text(poll(&mut stream), "2");
        assert_eq!(poll(&mut stream), None);
        check_text(poll(&mut stream), "3");
        assert_eq!(poll(&mut stream), Some(None));
        assert_eq!(poll(&mut stream), Some(None));
    }

    #[test]
    fn an_incomplete_event_at_the_end_is_dropped() {
        let script = ScriptedBody::new().data("id: 1\ndata: 1\n\nid: 2\ndata: 2\n");
        let mut stream = SseEventStream::from_body(script, SseParser::new());
        check_text(poll(&mut stream), "1");
        assert_eq!(poll(&mut stream), Some(None));
        assert_eq!(stream.last_event_id(), Some("1"));
    }

    #[test]
    fn the_stream_ends_after_the_first_error() {
        let script = ScriptedBody::new().data("data: 1\n\ndata").error("reset").data("data: 2\n\n");
        let mut stream = SseEventStream::from_body(script, SseParser::new());
        check_text(poll(&mut stream), "1");
        assert_eq!(poll(&mut stream), Some(Some(Err(StreamError::Inner("reset")))));
        assert_eq!(poll(&mut stream), Some(None));
        let script = ScriptedBody::new().data("data: 1\n\ndata: 2345\n\n");
        let mut stream = SseEventStream::from_body(script, SseParser::new().with_limit(9));
        check_text(poll(&mut stream), "1");
        assert_eq!(poll(&mut stream), Some(Some(Err(StreamError::Sse(SseError::TooLarge { limit: 9 })))));
        assert_eq!(poll(&mut stream), Some(None));
    }

    #[test]
    fn the_last_event_id_and_the_retry_are_also_read_from_blocks_without_data() {
        let script = ScriptedBody::new().data("data: 1\n\nid: 7\nretry: 20\n\ndata: 2\n\nid\ndata: 3\n\n");
        let mut stream = SseEventStream::from_body(script, SseParser::new()).with_last_event_id("6");
        check_text(poll(&mut stream), "1");
        assert_eq!((stream.last_event_id(), stream.retry()), (Some("6"), None));
        check_text(poll(&mut stream), "2");
        assert_eq!((stream.last_event_id(), stream.retry()), (Some("7"), Some(Duration::from_millis(20))));
        check_text(poll(&mut stream), "3");
        assert_eq!(stream.last_event_id(), Some(""));
    }
}
