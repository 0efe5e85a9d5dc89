//! The body of a limited client's response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_stream::body::forward;

use super::clients::Permit;
use super::meter::Meter;

pin_project! {
    /// A body that holds its request's place in flight, and counts the tokens that it reports.
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        // Dropped before `metered`: the facts of an answer are complete once its body is dropped.
        #[pin]
        inner: B,
        metered: Option<Metered>,
    }
}

impl<B> LimitedBody<B> {
    pub(super) fn new(inner: B, meter: Meter, permit: Permit) -> Self {
        Self { inner, metered: Some(Metered { meter, permit, counted: 0 }) }
    }
}

impl<B> From<B> for LimitedBody<B> {
    /// Wraps the body of a response that counts against no limit.
    fn from(inner: B) -> Self {
        Self { inner, metered: None }
    }
}

impl<B: Body<Data = Bytes>> Body for LimitedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(metered) = this.metered {
            match &frame {
                Some(Ok(frame)) => metered.observe(frame.data_ref()),
                Some(Err(_)) => metered.settle(false),
                None => metered.settle(true),
            }
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

/// The permit of a request, and the meter of its response.
#[derive(Debug)]
struct Metered {
    meter: Meter,
    permit: Permit,
    /// The content events at the last count.
    counted: u64,
}

impl Metered {
    fn observe(&mut self, data: Option<&Bytes>) {
        self.meter.observe(data.map_or(&[], |data| data));
        if let Some(used) = self.meter.step(&mut self.counted) {
            self.permit.take(used);
        }
    }

    fn settle(&mut self, is_whole: bool) {
        self.permit.settle(self.meter.total(is_whole));
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.settle(false);
    }
}
