//! The watches as an adapter of a body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::progress::{Progress, ProgressSink};
use super::{JsonWatch, SseWatch, StreamReport};
use crate::StreamError;
use crate::events::{DamagedEvent, EventNormalizer, UnknownEvents};
use crate::on_break::{OnBreak, write_break};
use crate::thinking::Thinking;

pin_project! {
    /// Forwards a body frame by frame, reads it, and reports its end.
    ///
    /// `on_end` is called exactly once with the report and a [`StreamEnd`]: once the end is known, at the
    /// latest when the body is dropped. It runs inside `poll_frame` or `drop` and must not block.
    ///
    /// With [`check_end`](Self::check_end) a body that ends without `message_stop` and without an `error`
    /// event is treated as broken. The size hint then never announces an exact length, and the sender of the
    /// response must not copy a `content-length` to it: a client that has received all announced bytes does
    /// not notice a failure.
    /// ```
    /// use http_body_util::{BodyExt, Full};
    /// use relay_stream::OnBreak;
    /// use relay_stream::watch::{StreamEnd, WatchBody};
    ///
    /// # tokio_test::block_on(async {
    /// let cut = Full::new(bytes::Bytes::from("event: ping\ndata: {\"type\": \"ping\"}\n\n"));
    /// let body = WatchBody::new(cut, |report, end| {
    ///     assert_eq!((end, report.is_complete()), (StreamEnd::Ended, false));
    /// });
    /// let error = body.check_end(OnBreak::Abort).collect().await.unwrap_err();
    /// assert!(error.is_incomplete());
    /// # });
    /// ```
    pub struct WatchBody<B, F: FnOnce(StreamReport, StreamEnd)> {
        #[pin]
        inner: B,
        watched: Watched<F>,
        on_break: Option<OnBreak>,
        // The end or the failure has been forwarded.
        done: bool,
    }
}

impl<B, F: FnOnce(StreamReport, StreamEnd)> WatchBody<B, F> {
    /// Watches `inner`, an SSE body at its start.
    pub fn new(inner: B, on_end: F) -> Self {
        Self::watched(inner, Watch::Sse(SseWatch::new()), on_end)
    }

    /// Watches `inner`, at its start, a body with a message that is not streamed: one JSON object.
    pub fn json(inner: B, on_end: F) -> Self {
        Self::watched(inner, Watch::Json(JsonWatch::new()), on_end)
    }

    /// Watches `inner`, an SSE body at its start, and forwards whole events of the Messages API only: the events are checked
    /// and repaired by an [`EventNormalizer`]. A damaged event ends the body with [`StreamError::Damaged`].
    pub fn normalized(inner: B, unknown: UnknownEvents, on_end: F) -> Self {
        Self::watched(inner, Watch::Events(EventNormalizer::new(unknown)), on_end)
    }

    fn watched(inner: B, watch: Watch, on_end: F) -> Self {
        let watched = Watched { watch, on_end: Some(on_end), progress: None };
        WatchBody { inner, watched, on_break: None, done: false }
    }

    /// Treats an end that the answer has not announced as a break. An answer announces its end by
    /// `message_stop`, by an `error` event, or by the end of its JSON object.
    ///
    /// A stream that fails after its announced end has ended regularly.
    ///
    /// With [`OnBreak::Abort`] the body fails with [`StreamError::Incomplete`], and a failure of the inner body
    /// is forwarded. With [`OnBreak::ErrorEvent`] an `error` event and a regular end replace both. A break
    /// inside an event is an exception: no event can be inserted there, so the body fails.
    pub fn check_end(mut self, on_break: OnBreak) -> Self {
        self.set_check_end(on_break);
        self
    }

    /// Does the same as [`check_end`](Self::check_end), also to a body of which frames have been read.
    pub fn set_check_end(&mut self, on_break: OnBreak) {
        self.on_break = Some(on_break);
    }

    /// Sets a sink for the thinking in the body, before its first frame. The sink runs inside `poll_frame`,
    /// before the frame that completes a signature is returned, and must not block.
    pub fn with_on_thinking(mut self, on_thinking: impl FnMut(Thinking) + Send + 'static) -> Self {
        self.watched.watch.set_on_thinking(on_thinking);
        self
    }

    /// Sets a function to which the progress of each frame of a [normalized](Self::normalized) stream is reported, before
    /// its first frame. Other bodies report none. It runs inside `poll_frame` and must not block.
    ///
    /// The inner body can use it to fail if too much time passes without an event.
    pub fn with_on_progress(mut self, on_progress: impl FnMut(Progress) + Send + 'static) -> Self {
        self.watched.progress = Some(ProgressSink::new(on_progress));
        self
    }

    /// Returns the facts found up to now.
    pub fn report(&self) -> &StreamReport {
        self.watched.watch.report()
    }

    /// Ends the body now, as at a regular end of the inner body.
    pub fn end(self: Pin<&mut Self>) {
        let this = self.project();
        this.watched.end(StreamEnd::Ended);
        *this.done = true;
    }

    /// Returns the result that replaces a break.
    fn broken<E>(&self, error: StreamError<E>) -> Option<Result<Frame<Bytes>, StreamError<E>>> {
        if self.on_break != Some(OnBreak::ErrorEvent) || !self.watched.watch.takes_event() {
            return Some(Err(error));
        }
        let mut event = BytesMut::new();
        write_break(&mut event);
        (!self.report().is_complete()).then(|| Ok(Frame::data(event.freeze())))
    }

    /// Returns `true` if an end of the inner body at this point is forwarded unchanged.
    fn may_end(&self) -> bool {
        self.on_break.is_none() || self.report().is_complete()
    }
}

impl<B, F> WatchBody<B, F>
where
    B: Body<Data = Bytes>,
    F: FnOnce(StreamReport, StreamEnd),
{
    /// Ends the body with `last`: trailers, an error or the end of the inner body. Returns the result to forward.
    fn end_with(
        mut self: Pin<&mut Self>,
        last: Option<Result<Frame<Bytes>, B::Error>>,
    ) -> Option<Result<Frame<Bytes>, StreamError<B::Error>>> {
        let this = self.as_mut().project();
        // A later failure changes nothing for the client: it has the whole message.
        let is_whole = this.on_break.is_some() && this.watched.watch.is_complete_stream();
        // For the client, trailers are a regular end of the stream.
        let is_failure = matches!(last, Some(Err(_))) && !is_whole;
        this.watched.end(if is_failure { StreamEnd::Failed } else { StreamEnd::Ended });
        let broken = match last {
            Some(Ok(trailers)) if self.may_end() => return Some(Ok(trailers)),
            Some(Err(_)) if is_whole => None,
            Some(Err(error)) => Some(StreamError::Inner(error)),
            _ => (!self.may_end()).then_some(StreamError::Incomplete),
        };
        *self.as_mut().project().done = true;
        broken.and_then(|error| self.broken(error))
    }
}

impl<B, F> Body for WatchBody<B, F>
where
    B: Body<Data = Bytes>,
    F: FnOnce(StreamReport, StreamEnd),
{
    type Data = Bytes;
    type Error = StreamError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            if self.done {
                return Poll::Ready(None);
            }
            let mut this = self.as_mut().project();
            if let Some(damaged) = this.watched.watch.damaged().cloned() {
                this.watched.end(StreamEnd::Failed);
                *this.done = true;
                return Poll::Ready(self.broken(StreamError::Damaged(damaged)));
            }
            let last = match ready!(this.inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let data = this.watched.observe(data);
                        // The next poll reports a damage.
                        if this.watched.watch.damaged().is_none() && this.inner.is_end_stream() {
                            this.watched.end(StreamEnd::Ended);
                        }
                        if data.is_empty() {
                            // All bytes of the frame are buffered, or dropped.
                            continue;
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Err(trailers) => Some(Ok(trailers)),
                },
                last => last,
            };
            return Poll::Ready(self.end_with(last));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done || (self.may_end() && self.watched.watch.damaged().is_none() && self.inner.is_end_stream())
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

/// The end of a watched body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// The upstream has ended its body. [`StreamReport::is_complete`] returns `true` if the message is
    /// complete as well.
    Ended,
    /// The upstream's body has failed.
    Failed,
    /// The body was dropped before its end: the client has disconnected, or the server shuts down.
    Dropped,
}

/// The watch for the form of the answer.
enum Watch {
    Sse(SseWatch),
    Events(EventNormalizer),
    Json(JsonWatch),
}

impl Watch {
    /// Reads the next bytes and returns the bytes to forward.
    fn observe(&mut self, chunk: Bytes) -> Bytes {
        match self {
            Self::Sse(watch) => watch.observe(&chunk),
            Self::Events(events) => return events.push(chunk),
            Self::Json(watch) => watch.observe(&chunk),
        }
        chunk
    }

    /// Returns `true` for a stream that has announced its end.
    fn is_complete_stream(&self) -> bool {
        !matches!(self, Self::Json(_)) && self.report().is_complete()
    }

    fn damaged(&self) -> Option<&DamagedEvent> {
        match self {
            Self::Events(events) => events.damaged(),
            Self::Sse(_) | Self::Json(_) => None,
        }
    }

    fn set_on_thinking(&mut self, on_thinking: impl FnMut(Thinking) + Send + 'static) {
        match self {
            Self::Sse(watch) => *watch = std::mem::take(watch).with_on_thinking(on_thinking),
            Self::Events(events) => events.set_on_thinking(on_thinking),
            Self::Json(watch) => *watch = std::mem::take(watch).with_on_thinking(on_thinking),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Sse(watch) => watch.finish(),
            Self::Events(events) => events.finish(),
            Self::Json(watch) => watch.finish(),
        }
    }

    fn report(&self) -> &StreamReport {
        match self {
            Self::Sse(watch) => watch.report(),
            Self::Events(events) => events.report(),
            Self::Json(watch) => watch.report(),
        }
    }

    /// Returns `true` if an event can be inserted at this point.
    fn takes_event(&self) -> bool {
        match self {
            Self::Sse(watch) => watch.between_events(),
            Self::Events(events) => events.between_events(),
            Self::Json(_) => false,
        }
    }
}

/// A watch with the function that is called once at the end, at the latest on drop.
struct Watched<F: FnOnce(StreamReport, StreamEnd)> {
    watch: Watch,
    on_end: Option<F>,
    progress: Option<ProgressSink>,
}

impl<F: FnOnce(StreamReport, StreamEnd)> Watched<F> {
    /// Reads the next bytes and returns the bytes to forward.
    fn observe(&mut self, chunk: Bytes) -> Bytes {
        match (&mut self.watch, &mut self.progress) {
            (Watch::Events(events), Some(progress)) => progress.push(events, chunk),
            (watch, _) => watch.observe(chunk),
        }
    }

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

    /// Compares the bytes that the client receives, its error, and the reported end.
    #[track_caller]
    fn check(script: ScriptedBody, expected: &str, incomplete: bool, end: StreamEnd) {
        let (body, seen) = watch(script);
        let (bytes, error) = collect(body.check_end(OnBreak::Abort));
        assert_eq!(bytes, expected);
        assert_eq!(error.is_some_and(|error| error.is_incomplete()), incomplete);
        assert_eq!(seen.borrow().iter().map(|(_, end)| *end).collect::<Vec<_>>(), [end]);
    }

    #[test]
    fn only_an_announced_end_is_a_regular_end() {
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
    fn a_failure_after_the_announced_end_is_a_regular_end() {
        for text in [format!("{START}{STOP}"), ERROR.to_owned()] {
            let (body, seen) = watch(ScriptedBody::new().data(&text).error("reset"));
            let (bytes, error) = collect(body.check_end(OnBreak::Abort));
            assert_eq!((bytes, error.is_some()), (text, false));
            assert_eq!(seen.borrow().iter().map(|(_, end)| *end).collect::<Vec<_>>(), [StreamEnd::Ended]);
        }
    }

    #[test]
    fn an_error_event_replaces_a_break_between_two_events() {
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
    fn without_check_end_every_end_is_forwarded_unchanged() {
        let (body, seen) = watch(ScriptedBody::new().data(START));
        let (bytes, error) = collect(body);
        assert_eq!((&*bytes, error.is_some()), (START, false));
        assert!(!seen.borrow()[0].0.is_complete());
    }

    #[test]
    fn a_body_dropped_early_reports_its_facts() {
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
    fn trailers_are_forwarded_only_after_a_complete_message() {
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
    fn unsigned_thinking_is_reported_only_at_a_regular_end() {
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
