//! The bodies of a recorded request and of its response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_stream::body::forward;

use super::{OpenRecord, RecordHandle, RequestEnd};

pin_project! {
    /// A request's body whose bytes are counted in its record.
    #[derive(Debug)]
    pub struct CountedBody<B> {
        #[pin]
        inner: B,
        record: RecordHandle,
    }
}

impl<B> CountedBody<B> {
    pub(super) fn new(inner: B, record: RecordHandle) -> Self {
        Self { inner, record }
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            this.record.add_received(length(frame));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// A response's body whose bytes and whose end are noted in the record of the request. The record is finished when the body
    /// is dropped.
    #[derive(Debug)]
    pub struct RecordedBody<B: Body> {
        // Dropped before the record: an answer's facts are complete once its body is dropped.
        #[pin]
        inner: B,
        record: OpenRecord,
    }

    impl<B: Body> PinnedDrop for RecordedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if std::thread::panicking() {
                this.record.set_end(RequestEnd::Broken);
            } else if this.inner.is_end_stream() {
                // A server does not poll a body that reports its end, such as an empty one.
                this.record.set_end(RequestEnd::Complete);
            }
        }
    }
}

impl<B: Body> RecordedBody<B> {
    pub(super) fn new(inner: B, record: OpenRecord) -> Self {
        Self { inner, record }
    }

    /// The record of the request.
    #[must_use]
    pub fn record(&self) -> &RecordHandle {
        self.record.handle()
    }

    /// Notes that the client has stopped accepting the response: the record ends as [`RequestEnd::Stalled`]. To be called by
    /// a server with a time limit for writes, before it drops the body.
    pub fn set_stalled(&mut self) {
        self.record.set_end(RequestEnd::Stalled);
    }
}

impl<B: Body> Body for RecordedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => this.record.add_sent(length(frame)),
            Some(Err(_)) => this.record.set_end(RequestEnd::Broken),
            None => this.record.set_end(RequestEnd::Complete),
        }
        Poll::Ready(frame).map_ok(forward)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Returns the number of bytes of content in `frame`.
fn length<D: Buf>(frame: &Frame<D>) -> usize {
    frame.data_ref().map_or(0, Buf::remaining)
}
