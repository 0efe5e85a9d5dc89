//! The body of the relay's responses.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use relay_config::ProviderName;
use relay_providers::AnswerBodyError;
use relay_stream::body::forward;
use tower::BoxError;
use tower_http::body::UnsyncBoxBody;

use crate::body_error::body_error;
use crate::record::RecordedBody;

/// The body of a response: frames leave as they arrive from the upstream.
///
/// Dropping it cancels the upstream request. An error means that the upstream broke off, or that a layer of the program
/// failed: the error is then [`AnswerBodyError::Transport`], with the layer's error as its source. The server has to break
/// the connection to the client off in turn (HTTP/1.1: no last chunk; HTTP/2: `RST_STREAM`), as hyper does: the client must
/// not take a part for the whole.
///
/// The [`RequestRecord`](crate::RequestRecord) of the request is finished when the body is dropped.
pub struct Body(RecordedBody<UnsyncBoxBody<Bytes, BoxError>>);

impl Body {
    pub(crate) fn new(inner: RecordedBody<UnsyncBoxBody<Bytes, BoxError>>) -> Self {
        Self(inner)
    }

    /// Notes that the client has stopped accepting the response.
    #[cfg(feature = "serve")]
    pub(crate) fn stall(&mut self) {
        self.0.set_stalled();
    }

    fn log_break(&self, error: &AnswerBodyError) {
        let record = self.0.record();
        let provider = record.read(|record| record.provider.clone());
        let provider = provider.as_ref().map(ProviderName::as_str);
        tracing::warn!(request_id = record.id().as_str(), provider, %error, "answer broke off");
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("request_id", self.0.record().id()).finish_non_exhaustive()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            None => Poll::Ready(None),
            Some(Ok(frame)) => Poll::Ready(Some(Ok(forward(frame)))),
            Some(Err(error)) => {
                let error = body_error(error);
                self.log_break(&error);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let request_id = self.0.record().id().as_str();
            tracing::error!(request_id, "a panic broke off the response body");
        }
    }
}
