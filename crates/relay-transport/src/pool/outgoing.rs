//! The body of a request while a connection sends it.

use std::any::Any;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use crate::request_body::{RequestBody, RequestStream};

/// A value that is kept until the body has been sent.
pub(super) type Hold = Arc<dyn Any + Send + Sync>;

/// The body of a request on a connection.
pub(super) struct Outgoing {
    body: Source,
    /// The place of an HTTP/2 stream, which stays in use while the body is sent, even after the response has ended.
    _hold: Option<Hold>,
}

enum Source {
    Own(RequestBody),
    Shared(SharedStream),
}

impl Outgoing {
    pub(super) fn new(body: RequestBody) -> Self {
        Self { body: Source::Own(body), _hold: None }
    }

    /// Creates a body that the owner of `stream` can take back while no part of it has been read.
    pub(super) fn shared(stream: SharedStream) -> Self {
        Self { body: Source::Shared(stream), _hold: None }
    }

    pub(super) fn with_hold(mut self, hold: Hold) -> Self {
        self._hold = Some(hold);
        self
    }

    /// Returns the body of a request that was not sent, or `None` if a part of it has been read.
    pub(super) fn into_unsent(self) -> Option<RequestBody> {
        match self.body {
            Source::Own(body) => Some(body),
            Source::Shared(stream) => stream.take_back().map(RequestBody::Stream),
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().body {
            Source::Own(body) => Pin::new(body).poll_frame(cx),
            Source::Shared(stream) => stream.lock().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Own(body) => body.is_end_stream(),
            Source::Shared(stream) => stream.lock().body.as_ref().is_some_and(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Own(body) => body.size_hint(),
            Source::Shared(stream) => {
                stream.lock().body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
            }
        }
    }
}

/// A forwarded body that can be taken back from a connection while no part of it has been read. Clones share the body.
#[derive(Clone)]
pub(super) struct SharedStream(Arc<Mutex<Unread>>);

struct Unread {
    /// `None` once it has been taken back.
    body: Option<RequestStream>,
    is_read: bool,
}

/// The connection has failed, and the body is sent on another one.
#[derive(Debug, thiserror::Error)]
#[error("the body is sent on another connection")]
struct TakenBack;

impl SharedStream {
    pub(super) fn new(body: RequestStream) -> Self {
        Self(Arc::new(Mutex::new(Unread { body: Some(body), is_read: false })))
    }

    /// Takes the body back. Returns `None` if a part of it has been read. The connection can then no longer read it.
    pub(super) fn take_back(&self) -> Option<RequestStream> {
        let mut unread = self.lock();
        if unread.is_read { None } else { unread.body.take() }
    }

    fn lock(&self) -> MutexGuard<'_, Unread> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unread {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Some(Err(TakenBack.into()))) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        self.is_read = true;
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn stream() -> SharedStream {
        SharedStream::new(RequestStream::new(Full::new(Bytes::from("body"))))
    }

    #[tokio::test]
    async fn a_stream_is_taken_back_until_its_first_frame_has_been_read() {
        let unread = stream();
        let mut sent = Outgoing::shared(unread.clone());
        assert_eq!(sent.size_hint().exact(), Some(4));
        assert!(unread.take_back().is_some());
        assert!(sent.frame().await.is_some_and(|frame| frame.is_err()));

        let read = stream();
        let mut sent = Outgoing::shared(read.clone());
        assert!(sent.frame().await.is_some_and(|frame| frame.is_ok()));
        assert!(read.take_back().is_none());
        assert!(sent.into_unsent().is_none());
    }
}
