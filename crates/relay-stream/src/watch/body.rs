//! A body that is watched while it goes by.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{JsonWatch, SseWatch, StreamReport};
use crate::on_break::{OnBreak, write_break};
use crate::thinking::Thinking;

pin_project! {
    /// Passes a body on frame by frame, reads it on the way, and says once how it ended.
    ///
    /// `on_end` is called exactly once, with the report and a [`StreamEnd`]: as soon as the end is known, at the
    /// latest when the body is dropped. It runs within `poll_frame` or `drop` and must not block.
    ///
    /// With [`check_end`](Self::check_end) a body that ends without `message_stop` and without an `error` event is
    /// treated as broken. The length of the body is then never announced as exact, and whoever sends the response must
    /// not copy a `content-length` to it: a client that has received all announced bytes sees no failure.
    pub struct WatchBody<B, F: FnOnce(StreamReport, StreamEnd)> {
        #[pin]
        inner: B,
        watched: Watched<F>,
        on_break: Option<OnBreak>,
        // The end has been passed on, clean or not.
        done: bool,
    }
}

impl<B, F: FnOnce(StreamReport, StreamEnd)> WatchBody<B, F> {
    /// Watches `inner`, an SSE body at its start.
    pub fn new(inner: B, on_end: F) -> Self {
        Self::watched(inner, Watch::Sse(SseWatch::new()), on_end)
    }

    /// Watches `inner`, at its start, whose body is a message that is not streamed: one JSON object.
    pub fn json(inner: B, on_end: F) -> Self {
        Self::watched(inner, Watch::Json(JsonWatch::new()), on_end)
    }

    fn watched(inner: B, watch: Watch, on_end: F) -> Self {
        WatchBody { inner, watched: Watched { watch, on_end: Some(on_end) }, on_break: None, done: false }
    }

    /// Treats an end that the answer did not announce (`message_stop`, an `error` event, the end of its object) as a break: by [`OnBreak::Abort`] the body
    /// fails with [`EndError::Incomplete`], and a failure of the inner body passes. By [`OnBreak::ErrorEvent`] an
    /// `error` event and a clean end take the place of both, unless the break is inside an event: nothing can be
    /// inserted there, so the body fails.
    pub fn check_end(mut self, on_break: OnBreak) -> Self {
        self.on_break = Some(on_break);
        self
    }

    /// Calls `on_thinking` for the thinking in the body; see [`Thinking`]. It runs within `poll_frame`, for a signature
    /// before the frame that completes it leaves, and must not block.
    pub fn with_on_thinking(mut self, on_thinking: impl FnMut(Thinking) + Send + 'static) -> Self {
        self.watched.watch.set_on_thinking(on_thinking);
        self
    }

    /// What is known so far.
    pub fn report(&self) -> &StreamReport {
        self.watched.watch.report()
    }

    /// What takes the place of a break.
    fn broken<E>(&self, error: EndError<E>) -> Option<Result<Frame<Bytes>, EndError<E>>> {
        if self.on_break != Some(OnBreak::ErrorEvent) || !self.watched.watch.takes_event() {
            return Some(Err(error));
        }
        let mut event = BytesMut::new();
        write_break(&mut event);
        (!self.report().is_complete()).then(|| Ok(Frame::data(event.freeze())))
    }

    /// An end of the inner body here and now would be passed on as it is.
    fn may_end(&self) -> bool {
        self.on_break.is_none() || self.report().is_complete()
    }
}

impl<B, F> Body for WatchBody<B, F>
where
    B: Body<Data = Bytes>,
    F: FnOnce(StreamReport, StreamEnd),
{
    type Data = Bytes;
    type Error = EndError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let mut this = self.as_mut().project();
        let next = ready!(this.inner.as_mut().poll_frame(cx));
        let end = match &next {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.watched.watch.observe(data);
                }
                // Trailers end the stream for the client, cleanly and whatever comes after them.
                (frame.is_trailers() || this.inner.is_end_stream()).then_some(StreamEnd::Ended)
            }
            Some(Err(_)) => Some(StreamEnd::Failed),
            None => Some(StreamEnd::Ended),
        };
        if let Some(end) = end {
            this.watched.end(end);
        }
        let broken = match next {
            Some(Ok(frame)) if frame.is_data() || self.may_end() => return Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => Some(EndError::Body(error)),
            _ => (!self.may_end()).then_some(EndError::Incomplete),
        };
        *self.as_mut().project().done = true;
        Poll::Ready(broken.and_then(|error| self.broken(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.done || (self.may_end() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.size_hint();
        if self.on_break.is_some() && !self.done {
            let mut hint = SizeHint::new();
            hint.set_lower(inner.lower());
            return hint;
        }
        inner
    }
}

/// How a watched body came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// The upstream ended its body. Whether the message is complete is for [`StreamReport::is_complete`] to say.
    Ended,
    /// The upstream's body failed.
    Failed,
    /// The body was dropped before its end: the client went away, or the server shut down.
    Dropped,
}

/// Why a watched body failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndError<E> {
    /// The inner body failed.
    #[error(transparent)]
    Body(E),
    /// The inner body ended without `message_stop` and without an `error` event, or within its object.
    #[error("the answer ended before it was complete")]
    Incomplete,
}

impl<E> EndError<E> {
    /// True if the stream ended cleanly but too early.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, EndError::Incomplete)
    }
}

/// By the form of the answer.
enum Watch {
    Sse(SseWatch),
    Json(JsonWatch),
}

impl Watch {
    fn observe(&mut self, chunk: &[u8]) {
        match self {
            Self::Sse(watch) => watch.observe(chunk),
            Self::Json(watch) => watch.observe(chunk),
        }
    }

    fn set_on_thinking(&mut self, on_thinking: impl FnMut(Thinking) + Send + 'static) {
        match self {
            Self::Sse(watch) => *watch = std::mem::take(watch).with_on_thinking(on_thinking),
            Self::Json(watch) => *watch = std::mem::take(watch).with_on_thinking(on_thinking),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Sse(watch) => watch.finish(),
            Self::Json(watch) => watch.finish(),
        }
    }

    fn report(&self) -> &StreamReport {
        match self {
            Self::Sse(watch) => watch.report(),
            Self::Json(watch) => watch.report(),
        }
    }

    /// Whether an event can be inserted here.
    fn takes_event(&self) -> bool {
        matches!(self, Self::Sse(watch) if watch.between_events())
    }
}

/// Calls its function when it is dropped, if not before.
struct Watched<F: FnOnce(StreamReport, StreamEnd)> {
    watch: Watch,
    on_end: Option<F>,
}

impl<F: FnOnce(StreamReport, StreamEnd)> Watched<F> {
    fn end(&mut self, end: StreamEnd) {
        if let Some(on_end) = self.on_end.take() {
            if end == StreamEnd::Ended {
                self.watch.finish();
            }
            on_end(self.watch.report().clone(), end);
        }
    }
}

impl<F: FnOnce(StreamReport, StreamEnd)> Drop for Watched<F> {
    fn drop(&mut self) {
        self.end(StreamEnd::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio_test::{assert_pending, assert_ready};

    use super::*;
    use crate::body::scripted::{ScriptedBody, collect};
    use crate::thinking::ThinkingId;

    const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    const ERROR: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}\n\n";
    const START: &str = "event: content_block_delta\ndata: {}\n\n";

    type Seen = Rc<RefCell<Vec<(StreamReport, StreamEnd)>>>;

    fn watch(script: ScriptedBody) -> (WatchBody<ScriptedBody, impl FnOnce(StreamReport, StreamEnd)>, Seen) {
        let seen = Seen::default();
        let sink = Rc::clone(&seen);
        (WatchBody::new(script, move |report, end| sink.borrow_mut().push((report, end))), seen)
    }

    /// What the client gets, whether it sees an incomplete end, and how the end is reported.
    #[track_caller]
    fn check(script: ScriptedBody, expected: &str, incomplete: bool, end: StreamEnd) {
        let (body, seen) = watch(script);
        let (bytes, error) = collect(body.check_end(OnBreak::Abort));
        assert_eq!(bytes, expected);
        assert_eq!(error.is_some_and(|error| error.is_incomplete()), incomplete);
        assert_eq!(seen.borrow().iter().map(|(_, end)| *end).collect::<Vec<_>>(), [end]);
    }

    #[test]
    fn only_an_end_that_the_stream_announced_stays_clean() {
        let both = format!("{START}{STOP}");
        check(ScriptedBody::new().data(START).data(STOP), &both, false, StreamEnd::Ended);
        check(ScriptedBody::new().data(&both).exact_length(), &both, false, StreamEnd::Ended);
        check(ScriptedBody::new().data(ERROR), ERROR, false, StreamEnd::Ended);
        check(ScriptedBody::new().data(START), START, true, StreamEnd::Ended);
        check(ScriptedBody::new().data(START).exact_length(), START, true, StreamEnd::Ended);
        check(ScriptedBody::new(), "", true, StreamEnd::Ended);
        check(ScriptedBody::new().data(START).trailers(), START, true, StreamEnd::Ended);
        check(ScriptedBody::new().data(STOP).trailers(), STOP, false, StreamEnd::Ended);
        check(ScriptedBody::new().data(START).error("reset"), START, false, StreamEnd::Failed);
    }

    #[test]
    fn an_error_event_takes_the_place_of_a_break_where_one_can_stand() {
        let mut event = BytesMut::new();
        write_break(&mut event);
        let with_event = format!("{START}{}", String::from_utf8_lossy(&event));
        for (script, expected, failed) in [
            (ScriptedBody::new().data(START), &*with_event, false),
            (ScriptedBody::new().data(START).error("reset"), &*with_event, false),
            (ScriptedBody::new().data(STOP).error("reset"), STOP, false),
            (ScriptedBody::new().data("data: cut"), "data: cut", true),
            (ScriptedBody::new().data("data: cut").error("reset"), "data: cut", true),
        ] {
            let (bytes, error) = collect(watch(script).0.check_end(OnBreak::ErrorEvent));
            assert_eq!((&*bytes, error.is_some()), (expected, failed));
        }
    }

    #[test]
    fn without_the_check_every_end_passes_as_it_is() {
        let (body, seen) = watch(ScriptedBody::new().data(START));
        let (bytes, error) = collect(body);
        assert_eq!((&*bytes, error.is_some()), (START, false));
        assert!(!seen.borrow()[0].0.is_complete());
    }

    #[test]
    fn a_body_dropped_early_reports_what_it_saw() {
        let (mut body, seen) = watch(ScriptedBody::new().data(START).pending());
        {
            let mut task =
                tokio_test::task::spawn(std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
            assert!(assert_ready!(task.poll()).is_some());
            assert_pending!(task.poll());
        }
        assert!(seen.borrow().is_empty() && body.report().content);
        drop(body);
        assert!(seen.borrow()[0].0.content);
        assert_eq!(seen.borrow()[0].1, StreamEnd::Dropped);
    }

    #[test]
    fn a_body_that_may_still_fail_announces_neither_its_end_nor_its_length() {
        let (body, _) = watch(ScriptedBody::new().exact_length());
        assert!(body.is_end_stream());
        let body = body.check_end(OnBreak::Abort);
        assert!(!body.is_end_stream());
        assert_eq!(body.size_hint().exact(), None);
    }

    #[test]
    fn trailers_pass_unless_they_would_make_an_incomplete_stream_look_finished() {
        for (text, pass) in [(STOP, true), (START, false)] {
            let (body, _) = watch(ScriptedBody::new().data(text).trailers());
            let mut body = std::pin::pin!(body.check_end(OnBreak::Abort));
            let mut task = tokio_test::task::spawn(());
            let mut next = || assert_ready!(task.enter(|cx, _| body.as_mut().poll_frame(cx))).unwrap();
            assert!(next().unwrap().is_data());
            match next() {
                Ok(frame) => assert!(pass && frame.is_trailers()),
                Err(error) => assert!(!pass && error.is_incomplete()),
            }
        }
    }

    #[test]
    fn thinking_is_reported_before_the_end_and_unsigned_thinking_only_at_a_regular_one() {
        #[track_caller]
        fn check(script: ScriptedBody, expected: &[Thinking]) {
            let (sender, receiver) = std::sync::mpsc::channel();
            let body = WatchBody::json(script, |_, _| {}).with_on_thinking(move |thinking| {
                sender.send(thinking).unwrap();
            });
            collect(body);
            assert_eq!(receiver.iter().collect::<Vec<_>>(), expected);
        }
        let unsigned = r#"{"type":"thinking","thinking":"t"}"#;
        let signed = Thinking::Signed(ThinkingId::of(b"s"));
        check(ScriptedBody::new().data(unsigned), &[Thinking::Unsigned]);
        check(ScriptedBody::new().data(unsigned).exact_length(), &[Thinking::Unsigned]);
        check(ScriptedBody::new().data(unsigned).trailers(), &[Thinking::Unsigned]);
        check(ScriptedBody::new().data(unsigned).error("reset"), &[]);
        check(ScriptedBody::new().data(r#"{"type":"thinking","signature":"s"}"#).error("reset"), &[signed]);
    }
}
