//! Turns errors into responses. No other part of the relay does.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use relay_messages::error_body;
use tower::{Layer, Service};

use crate::error::Error;
use crate::record::RecordHandle;
use crate::response::{ResponseBody, json_response};

/// Turns an [`Error`] into a response with Anthropic's error body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RespondLayer;

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { inner }
    }
}

/// The service of [`RespondLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Respond<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Respond<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = Error>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = RespondFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // An inner service that has failed returns its error from the next call.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let record = request.extensions().get().cloned();
        RespondFuture { inner: self.inner.call(request), record }
    }
}

pin_project! {
    /// The future of [`Respond`].
    pub(crate) struct RespondFuture<F> {
        #[pin]
        inner: F,
        record: Option<RecordHandle>,
    }
}

impl<F: Future<Output = Result<Response<ResponseBody>, Error>>> Future for RespondFuture<F> {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        Poll::Ready(Ok(response.unwrap_or_else(|error| error_response(error, this.record.as_ref()))))
    }
}

/// Builds the response to `error`: `{"type":"error","error":{"type","message"},"request_id"}`, as Anthropic's API does.
pub(super) fn error_response(error: Error, record: Option<&RecordHandle>) -> Response<ResponseBody> {
    let message = error.message();
    let body = error_body(error.kind(), &message, record.map(|record| record.id().as_str()));
    let mut response = json_response(error.status(), body);
    error.write_headers(response.headers_mut());
    if let Some(record) = record {
        record.set_error(message);
        if let Error::Route(error) = error {
            record.set_route(error.trace, false);
        }
    }
    response
}
