//! Responses within the edge: an upstream's answer, or JSON that the relay writes itself.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use relay_providers::{AnswerBody, AnswerBodyError};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::break_event::BreakEvent;
use crate::error::Error;
use crate::record::RecordHandle;

/// The future of an operation.
pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Error>> + Send>>;

/// Builds a JSON response.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response<ResponseBody> {
    json_response(status, body.to_string().into())
}

/// Builds a response of `body`, which is JSON.
pub(crate) fn json_response(status: StatusCode, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The body of a response: frames leave as they arrive from the upstream.
///
/// hyper drops the bytes that it has not written yet when a body fails. Therefore an error is returned one poll late: the
/// client gets everything that the upstream sent before it. Trailers are dropped: no header of the upstream reaches a client
/// unchecked, and HTTP/1.0 has none.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    /// The error that a later poll returns.
    failed: Option<AnswerBodyError>,
    /// True once the server has been polled without a further frame, and so has written all frames before the error.
    is_flushed: bool,
    /// The event for a client that would not notice the error itself.
    break_event: Option<BreakEvent>,
    /// The place among `server.max_concurrent`, held until the body is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Source {
    Relay(Full<Bytes>),
    Upstream(AnswerBody),
}

impl ResponseBody {
    fn new(source: Source) -> Self {
        Self { source, failed: None, is_flushed: false, break_event: None, permit: None }
    }

    pub(crate) fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// Sends an `error` event before the failure of the body.
    pub(crate) fn with_break_event(mut self, record: Option<&RecordHandle>) -> Self {
        self.break_event = Some(BreakEvent::new(record));
        self
    }

    /// Drops the content, of which the client gets nothing.
    pub(crate) fn without_content(mut self) -> Self {
        self.source = Source::Relay(Full::default());
        self
    }

    /// Returns the error at the second call.
    fn poll_failure(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        if !std::mem::replace(&mut self.is_flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.failed.take().map(Err))
    }

    /// Holds `permit` until the body is dropped.
    pub(crate) fn with_permit(mut self, permit: OwnedSemaphorePermit) -> Self {
        self.permit = Some(permit);
        self
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self::new(Source::Relay(Full::new(bytes)))
    }
}

impl From<AnswerBody> for ResponseBody {
    fn from(body: AnswerBody) -> Self {
        Self::new(Source::Upstream(body))
    }
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        match self {
            Self::Relay(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let this = self.get_mut();
        while this.failed.is_none() {
            match ready!(this.source.poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_trailers() => {}
                Some(Ok(frame)) => {
                    if let (Some(event), Some(data)) = (&mut this.break_event, frame.data_ref()) {
                        event.observe(data);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(error)) => {
                    this.failed = Some(error);
                    if let Some(event) = this.break_event.take() {
                        return Poll::Ready(Some(Ok(Frame::data(event.into_bytes()))));
                    }
                }
                None => return Poll::Ready(None),
            }
        }
        this.poll_failure(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none()
            && match &self.source {
                Source::Relay(body) => body.is_end_stream(),
                Source::Upstream(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Relay(body) => body.size_hint(),
            Source::Upstream(body) => body.size_hint(),
        }
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
        let (mut sender, body) = Channel::new(2);
        sender.send_data(Bytes::from_static(b"event")).await.unwrap();
        sender.abort(AnswerBodyError::Incomplete);
        let mut body = ResponseBody::from(body.boxed_unsync());
        let mut next = task::spawn(body.frame());
        assert!(matches!(assert_ready!(next.poll()), Some(Ok(_))));
        let mut next = task::spawn(body.frame());
        assert_pending!(next.poll());
        assert!(next.is_woken());
        assert!(matches!(assert_ready!(next.poll()), Some(Err(AnswerBodyError::Incomplete))));
    }
}
