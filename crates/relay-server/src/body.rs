//! The body of the relay's responses.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use relay_config::ProviderName;
use tower::BoxError;
use tower_http::body::UnsyncBoxBody;

use crate::record::{OpenRecord, RequestEnd};

/// The body of a response: frames leave as they arrive from the upstream.
///
/// Dropping it cancels the upstream request. An error means that the upstream broke off. The server has to break the
/// connection to the client off in turn (HTTP/1.1: no last chunk; HTTP/2: `RST_STREAM`), as hyper does: the client must
/// not take a part for the whole.
///
/// The [`RequestRecord`](crate::RequestRecord) of the request is finished when the body is dropped.
pub struct Body {
    // Dropped before the record: an answer's facts are complete once its body is dropped.
    inner: UnsyncBoxBody<Bytes, BoxError>,
    record: OpenRecord,
}

impl Body {
    pub(crate) fn new(inner: UnsyncBoxBody<Bytes, BoxError>, record: OpenRecord) -> Self {
        Self { inner, record }
    }

    /// Notes that the client has stopped accepting the response.
    #[cfg(feature = "serve")]
    pub(crate) fn stall(&mut self) {
        self.record.set_end(RequestEnd::Stalled);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("request_id", self.record.handle().id()).finish_non_exhaustive()
    }
}

impl Body {
    fn log_break(&self, error: &BoxError) {
        let record = self.record.handle();
        let provider = record.read(|record| record.provider.clone());
        let provider = provider.as_ref().map(ProviderName::as_str);
        tracing::warn!(request_id = record.id().as_str(), provider, %error, "answer broke off");
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.record.add_sent(frame.data_ref().map_or(0, Bytes::len)),
            Some(Err(error)) => {
                self.log_break(error);
                self.record.set_end(RequestEnd::Broken);
            }
            None => self.record.set_end(RequestEnd::Complete),
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

impl Drop for Body {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                request_id = self.record.handle().id().as_str(),
                "a panic broke off the response body"
            );
            self.record.set_end(RequestEnd::Broken);
        } else if self.inner.is_end_stream() {
            // A server does not poll a body that reports its end, such as an empty one.
            self.record.set_end(RequestEnd::Complete);
        }
    }
}
