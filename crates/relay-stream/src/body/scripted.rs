//! A body for tests that returns the results of a script.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body that returns its steps in order. A `pending` step registers no waker, so the test has to poll
/// again.
pub(crate) struct ScriptedBody {
    steps: VecDeque<Poll<Result<Frame<Bytes>, &'static str>>>,
    exact_length: bool,
}

impl ScriptedBody {
    pub(crate) fn new() -> Self {
        ScriptedBody { steps: VecDeque::new(), exact_length: false }
    }

    pub(crate) fn data(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.steps.push_back(Poll::Ready(Ok(Frame::data(Bytes::copy_from_slice(bytes)))));
        self
    }

    pub(crate) fn trailers(mut self) -> Self {
        self.steps.push_back(Poll::Ready(Ok(Frame::trailers(Default::default()))));
        self
    }

    pub(crate) fn error(mut self, error: &'static str) -> Self {
        self.steps.push_back(Poll::Ready(Err(error)));
        self
    }

    pub(crate) fn pending(mut self) -> Self {
        self.steps.push_back(Poll::Pending);
        self
    }

    /// Makes the body announce its length and its end, like a body with `content-length`.
    pub(crate) fn exact_length(mut self) -> Self {
        self.exact_length = true;
        self
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.steps.pop_front() {
            Some(step) => step.map(Some),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.exact_length && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.exact_length {
            return SizeHint::default();
        }
        let length = |step: &Poll<Result<Frame<Bytes>, _>>| match step {
            Poll::Ready(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        SizeHint::with_exact(self.steps.iter().map(length).sum())
    }
}

/// Reads a body like a server, until `is_end_stream` returns `true`, and returns its data as text and its
/// error. After a `pending` step it polls again at once.
pub(crate) fn collect<B: Body<Data = Bytes>>(body: B) -> (String, Option<B::Error>) {
    let mut body = std::pin::pin!(body);
    let mut task = tokio_test::task::spawn(());
    let mut bytes = Vec::new();
    while !body.is_end_stream() {
        match task.enter(|cx, _| body.as_mut().poll_frame(cx)) {
            Poll::Pending => {}
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(frame))) => bytes.extend(frame.into_data().unwrap_or_default()),
            Poll::Ready(Some(Err(error))) => return (String::from_utf8(bytes).unwrap(), Some(error)),
        }
    }
    (String::from_utf8(bytes).unwrap(), None)
}
