//! The body of a response while its connection is in use.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::lease::{Http1Lease, Http2Lease};

/// The body of a response. Its connection is free once the body has ended. Dropping it earlier cancels the exchange: an
/// HTTP/1.1 connection is closed, and an HTTP/2 stream is reset.
pub struct ReceivedBody {
    // The stream is reset before its place is given back.
    body: Incoming,
    /// `None` once the body has ended.
    in_use: Option<InUse>,
}

/// The connection of a response.
pub(super) enum InUse {
    Http1(Http1Lease),
    Http2 { _lease: Arc<Http2Lease> },
}

impl std::fmt::Debug for ReceivedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceivedBody").field("body", &self.body).finish_non_exhaustive()
    }
}

impl ReceivedBody {
    pub(super) fn new(body: Incoming, in_use: InUse) -> Self {
        let mut body = Self { body, in_use: Some(in_use) };
        if body.body.is_end_stream() {
            body.finish();
        }
        body
    }

    /// Returns the connection for the next request.
    fn finish(&mut self) {
        if let Some(InUse::Http1(lease)) = self.in_use.take() {
            lease.finish();
        }
    }
}

/// The connection failed, or it ended before the body of a response did.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReceiveError(hyper::Error);

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = ReceiveError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        let this = self.get_mut();
        match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if this.body.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.in_use = None;
                Poll::Ready(Some(Err(ReceiveError(error))))
            }
            None => {
                this.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
