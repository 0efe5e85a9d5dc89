//! The span of a request.
//!
//! Every event within a request, also one of a library, carries the request's id, method and route. An attempt at an upstream
//! has a span of its own within it, which relay-routing opens.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_messages::cut;
use tower::{Layer, Service};
use tracing::Span;

use crate::request_id::RequestId;
use crate::router::route_name;

/// Polls the response of each request, and its body, within the span of the request. It logs no events: the record has the facts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner }
    }
}

/// The service of [`TraceLayer`].
///
/// The inner service is called outside of the span: entering a span costs about as much as a layer, and the layers further in
/// log nothing before their futures are polled.
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
        let span = span_of(&request);
        TraceFuture { inner: self.inner.call(request), span }
    }
}

/// Opens the span of a request. Its level is `error`, so that an event of any enabled level carries it.
fn span_of<B>(request: &Request<B>) -> Span {
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
        let response = {
            let _entered = this.span.enter();
            ready!(this.inner.poll(cx))?
        };
        let span = std::mem::replace(this.span, Span::none());
        Poll::Ready(Ok(response.map(|inner| TracedBody { inner, span })))
    }
}

pin_project! {
    /// A body that is polled within the span of its request.
    #[derive(Debug)]
    pub(crate) struct TracedBody<B> {
        // Dropped before the span is closed.
        #[pin]
        inner: B,
        span: Span,
    }
}

impl<B: From<Bytes>> From<Bytes> for TracedBody<B> {
    /// Creates the body of a response that is made outside of the span.
    fn from(body: Bytes) -> Self {
        Self { inner: body.into(), span: Span::none() }
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
        let _entered = this.span.enter();
        this.inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
