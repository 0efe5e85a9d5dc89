//! Responses within the edge: an upstream's answer, or JSON that the relay writes itself.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use relay_providers::{AnswerBody, AnswerBodyError};
use serde_json::Value;
use tracing::Span;

use crate::body_error::body_error;
use crate::error::Error;
use crate::layers::LayerBody;

/// The future of an operation.
pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Error>> + Send>>;

/// Builds a JSON response.
pub(crate) fn json<B: From<Bytes>>(status: StatusCode, body: &Value) -> Response<B> {
    json_response(status, body.to_string().into())
}

/// Builds a response of `body`, which is JSON.
pub(crate) fn json_response<B: From<Bytes>>(status: StatusCode, body: Bytes) -> Response<B> {
    let mut response = Response::new(B::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The body of an operation's response: an upstream's answer, whose frames leave as they arrive, or one of the relay's own.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    Relay(Full<Bytes>),
    Upstream(AnswerBody),
    /// A body that has passed the layers of a program, and the span in which it is polled.
    Layered(LayerBody, Span),
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self::from(Bytes::new())
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self::Relay(Full::new(bytes))
    }
}

impl From<AnswerBody> for ResponseBody {
    fn from(body: AnswerBody) -> Self {
        Self::Upstream(body)
    }
}

impl From<LayerBody> for ResponseBody {
    /// The body is polled in the current span.
    fn from(body: LayerBody) -> Self {
        Self::Layered(body, Span::current())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        match self.get_mut() {
            Self::Relay(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Layered(body, span) => span.in_scope(|| Pin::new(body).poll_frame(cx)).map_err(body_error),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Relay(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Layered(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Relay(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::Layered(body, _) => body.size_hint(),
        }
    }
}
