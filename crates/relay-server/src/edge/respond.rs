//! Errors become answers, here and nowhere else.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use relay_messages::error_body;
use serde_json::Value;
use tower::{Layer, Service};

use super::RequestId;
use super::access_log::LoggedError;
use crate::body::Body;
use crate::error::Error;

/// Turns an [`Error`] into an answer with Anthropic's error body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RespondLayer;

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { inner }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Respond<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Respond<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RespondFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // An inner service that cannot be used any more says so when it is called.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id = request.extensions().get::<RequestId>().cloned();
        RespondFuture { inner: self.inner.call(request), id }
    }
}

pin_project! {
    pub(crate) struct RespondFuture<F> {
        #[pin]
        inner: F,
        id: Option<RequestId>,
    }
}

impl<F: Future<Output = Result<Response<Body>, Error>>> Future for RespondFuture<F> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        Poll::Ready(Ok(response.unwrap_or_else(|error| error_response(error, this.id.as_ref()))))
    }
}

/// `{"type":"error","error":{"type","message"},"request_id"}`, as Anthropic's API has it.
fn error_response(error: Error, id: Option<&RequestId>) -> Response<Body> {
    let message = error.message();
    let body = error_body(error.kind(), &message, id.map(RequestId::as_str));
    let mut response = json_response(error.status(), body);
    error.write_headers(response.headers_mut());
    response.extensions_mut().insert(LoggedError(message));
    if let Error::Route(error) = error {
        response.extensions_mut().insert(error.trace);
    }
    response
}

/// A JSON answer of the relay's own.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    json_response(status, body.to_string().into())
}

fn json_response(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
