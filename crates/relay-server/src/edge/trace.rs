//! The span of a request.
//!
//! Every event within a request, also one of a library, carries the request's id, method and route. An attempt at an upstream
//! has a span of its own within it, which relay-routing opens.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_messages::cut;
use tower::{Layer, Service};
use tracing::Span;

use crate::request_id::RequestId;
use crate::router::route_name;

/// Runs each request, and the body of its response, in a span. It logs no events and reads no clock: the record has the facts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner }
    }
}

/// The service of [`TraceLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Trace<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = span(&request);
        let inner = span.in_scope(|| self.inner.call(request));
        TraceFuture { inner, span }
    }
}

/// Makes the span of a request. Its level is `error`, so that an event of any enabled level carries it.
fn span<B>(request: &Request<B>) -> Span {
    tracing::error_span!(
        "request",
        request_id = request.extensions().get().map(RequestId::as_str),
        method = &*cut(request.method().as_str()),
        route = route_name(request.uri().path()),
    )
}

pin_project! {
    /// The future of [`Trace`].
    pub(crate) struct TraceFuture<F> {
        #[pin]
        inner: F,
        span: Span,
    }
}

impl<F, R, E> Future for TraceFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<TracedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.span.in_scope(|| this.inner.poll(cx)))?;
        let span = mem::replace(this.span, Span::none());
        Poll::Ready(Ok(response.map(|inner| TracedBody { inner, span })))
    }
}

pin_project! {
    /// A body that is polled in the span of its request.
    #[derive(Debug)]
    pub(crate) struct TracedBody<B> {
        #[pin]
        inner: B,
        span: Span,
    }
}

impl<B: Body> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.span.in_scope(|| this.inner.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
