//! The body of a request that the service and the layer share.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};

/// The frames that are read in one turn of the task, so that a body that is always ready cannot occupy the thread.
const FRAMES_PER_TURN: usize = 64;

/// A request's body whose rest [`Linger`](super::Linger) can read after the service has dropped it.
#[derive(Debug)]
pub struct LingerBody<B>(Arc<Mutex<Option<B>>>);

impl<B> LingerBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// Returns a second handle on the same body.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Option<B>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<B: Body + Unpin> LingerBody<B> {
    /// Reads until the body has ended, or `left` bytes have been exceeded.
    pub(super) fn poll_rest(&mut self, left: &mut u64, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..FRAMES_PER_TURN {
            let Some(Ok(frame)) = ready!(Pin::new(&mut *self).poll_frame(cx)) else { return Poll::Ready(()) };
            let bytes = frame.data_ref().map_or(0, Buf::remaining) as u64;
            match left.checked_sub(bytes) {
                Some(rest) => *left = rest,
                None => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<B: Body + Unpin> Body for LingerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.with(|slot| {
            let Some(body) = slot else { return Poll::Ready(None) };
            let frame = Pin::new(body).poll_frame(cx);
            if let Poll::Ready(None | Some(Err(_))) = frame {
                *slot = None;
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|slot| slot.as_ref().is_none_or(Body::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|slot| slot.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint))
    }
}
