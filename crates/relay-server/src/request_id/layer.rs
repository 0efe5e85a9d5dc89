//! Gives each request an id.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::HeaderValue;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::id::{REQUEST_ID, RequestId};
use crate::edge::Listener;

/// Gives each request a [`RequestId`], and each response a `request-id` header.
///
/// The header of an upstream stays, since the upstream's support needs its own id. Other responses get the relay's id.
///
/// A program that calls the relay as a service may choose the id by `x-request-id`. A client of a listener may not: its ids
/// need not be unique, and it could take those of other clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestIdLayer;

impl<S> Layer<S> for RequestIdLayer {
    type Service = SetRequestId<S>;

    fn layer(&self, inner: S) -> SetRequestId<S> {
        SetRequestId { inner }
    }
}

/// The service of [`RequestIdLayer`].
#[derive(Debug, Clone)]
pub(crate) struct SetRequestId<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for SetRequestId<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = SetRequestIdFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let is_embedded = request.extensions().get::<Listener>().is_none();
        let chosen = is_embedded.then(|| RequestId::of_caller(request.headers())).flatten();
        let id = chosen.unwrap_or_else(RequestId::random);
        request.extensions_mut().insert(id.clone());
        SetRequestIdFuture { inner: self.inner.call(request), id }
    }
}

pin_project! {
    /// The future of [`SetRequestId`].
    pub(crate) struct SetRequestIdFuture<F> {
        #[pin]
        inner: F,
        id: RequestId,
    }
}

impl<F: Future<Output = Result<Response<R>, E>>, R, E> Future for SetRequestIdFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if !response.headers().contains_key(REQUEST_ID)
            && let Ok(id) = HeaderValue::from_str(this.id.as_str())
        {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        Poll::Ready(Ok(response))
    }
}
