//! The body of a response on its way to the server.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::break_event::BreakEvent;
use crate::record::RecordHandle;

pin_project! {
    /// Forwards the frames of a body as they arrive.
    ///
    /// hyper drops the bytes that it has not written yet when a body fails. Therefore an error is returned one poll late: the
    /// client gets everything that the upstream sent before it. Trailers are dropped: no header of the upstream reaches a
    /// client unchecked, and HTTP/1.0 has none.
    #[derive(Debug)]
    pub(crate) struct FramedBody<B: Body> {
        // `None` if the client gets no content.
        #[pin]
        inner: Option<B>,
        // The error that a later poll returns.
        failed: Option<B::Error>,
        // True once the server has been polled without a further frame, and so has written all frames before the error.
        is_flushed: bool,
        // The event for a client that would not notice the error itself.
        break_event: Option<BreakEvent>,
    }
}

impl<B: Body> FramedBody<B> {
    /// Frames `inner`, a body at its start.
    pub(super) fn new(inner: B) -> Self {
        Self { inner: Some(inner), failed: None, is_flushed: false, break_event: None }
    }

    /// Creates the body of a response without content.
    pub(super) fn empty() -> Self {
        Self { inner: None, failed: None, is_flushed: false, break_event: None }
    }

    /// Sends an `error` event before the failure of the body.
    pub(super) fn with_break_event(mut self, record: Option<&RecordHandle>) -> Self {
        self.break_event = Some(BreakEvent::new(record));
        self
    }
}

impl<B: Body<Data = Bytes>> Body for FramedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        while this.failed.is_none() {
            match ready!(inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are dropped.
                    let Ok(data) = frame.into_data() else { continue };
                    if let Some(event) = this.break_event {
                        event.observe(&data);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => {
                    *this.failed = Some(error);
                    if let Some(event) = this.break_event.take() {
                        return Poll::Ready(Some(Ok(Frame::data(event.into_bytes()))));
                    }
                }
                None => return Poll::Ready(None),
            }
        }
        if !std::mem::replace(this.is_flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(this.failed.take().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use http_body_util::channel::Channel;
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[tokio::test]
    async fn an_error_is_returned_one_poll_after_the_frames_before_it() {
        let (mut sender, body) = Channel::<Bytes, &str>::new(2);
        sender.send_data(Bytes::from_static(b"event")).await.unwrap();
        sender.abort("cut off");
        let mut body = FramedBody::new(body);
        let mut next = task::spawn(body.frame());
        assert!(matches!(assert_ready!(next.poll()), Some(Ok(_))));
        let mut next = task::spawn(body.frame());
        assert_pending!(next.poll());
        assert!(next.is_woken());
        assert!(matches!(assert_ready!(next.poll()), Some(Err("cut off"))));
    }
}
