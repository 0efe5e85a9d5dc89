//! Limits the requests in flight: a layer for any service over `http::Request`.
//!
//! ```text
//! request ─▶ Concurrency ── a permit is free ─▶ inner service ─▶ response with the permit in its body
//!                        └─ none is free ─▶ Busy                 the end of the body returns the permit
//! ```
//! tower's `ConcurrencyLimit` returns its permit at the response head, so it does not count streams, and it makes further
//! requests wait. Clients of the Messages API retry by themselves: a quick refusal with `retry-after` is better than a queue.
//!
//! ```
//! use std::num::NonZeroU32;
//!
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use relay_server::concurrency::{Busy, ConcurrencyLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
//! let inner = service_fn(|_: Request<()>| async { Ok::<_, Busy>(Response::new(Empty::<bytes::Bytes>::new())) });
//! let service = ConcurrencyLayer::new(NonZeroU32::MIN).layer(inner);
//!
//! let first = service.clone().oneshot(Request::new(())).await?;
//! let second = service.clone().oneshot(Request::new(())).await;
//! assert_eq!(second.unwrap_err().downcast_ref(), Some(&Busy { limit: 1 }));
//! drop(first);
//! assert!(service.oneshot(Request::new(())).await.is_ok());
//! # Ok(())
//! # }
//! ```
//! [`RespondLayer`](crate::respond::RespondLayer) answers [`Busy`] with 503. The limit of one client among many is a matter of
//! [`rate_limit`](crate::rate_limit).

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::Either;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::future::{Ready, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{BoxError, Layer, Service};

/// The refusal of a request beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the relay is serving as many requests as it may ({limit}); try again shortly")]
pub struct Busy {
    /// The limit of requests in flight.
    pub limit: u32,
}

/// Refuses requests with [`Busy`] while a number of them are in flight. A request is in flight until its response's body
/// is dropped. The services of one layer and of its clones share the limit.
#[derive(Debug, Clone)]
pub struct ConcurrencyLayer {
    limit: Option<(u32, Arc<Semaphore>)>,
}

impl ConcurrencyLayer {
    /// Creates a layer that lets at most `limit` requests pass at one time. `None` is no limit.
    #[must_use]
    pub fn new(limit: impl Into<Option<NonZeroU32>>) -> Self {
        // A semaphore refuses more permits than that, which a 32-bit machine could reach.
        let permits = |limit: NonZeroU32| (limit.get() as usize).min(Semaphore::MAX_PERMITS);
        let semaphore = |limit| Arc::new(Semaphore::new(permits(limit)));
        Self { limit: limit.into().map(|limit| (limit.get(), semaphore(limit))) }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency { inner, layer: self.clone() }
    }
}

/// The service of [`ConcurrencyLayer`].
#[derive(Debug, Clone)]
pub struct Concurrency<S> {
    inner: S,
    layer: ConcurrencyLayer,
}

impl<S, B, R> Service<Request<B>> for Concurrency<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<PermitBody<R>>;
    type Error = BoxError;
    type Future = Either<ConcurrencyFuture<S::Future>, Ready<Result<Response<PermitBody<R>>, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let permit = match &self.layer.limit {
            None => None,
            Some((limit, semaphore)) => match Arc::clone(semaphore).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => return Either::Right(ready(Err(Busy { limit: *limit }.into()))),
            },
        };
        Either::Left(ConcurrencyFuture { inner: self.inner.call(request), permit })
    }
}

pin_project! {
    /// The future of [`Concurrency`]. Hands its permit to the response's body.
    pub struct ConcurrencyFuture<F> {
        #[pin]
        inner: F,
        permit: Option<OwnedSemaphorePermit>,
    }
}

impl<F, R, E> Future for ConcurrencyFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<PermitBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx)).map_err(Into::into)?;
        let permit = this.permit.take();
        Poll::Ready(Ok(response.map(|inner| PermitBody { inner, permit })))
    }
}

pin_project! {
    /// A body that holds its request's permit until it is dropped.
    #[derive(Debug)]
    pub struct PermitBody<B> {
        #[pin]
        inner: B,
        permit: Option<OwnedSemaphorePermit>,
    }
}

impl<B> From<B> for PermitBody<B> {
    /// Wraps the body of a response that needs no permit.
    fn from(inner: B) -> Self {
        Self { inner, permit: None }
    }
}

impl<B: Body> Body for PermitBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tower::{ServiceExt, service_fn};

    use super::*;

    type Served = Result<Response<PermitBody<Empty<bytes::Bytes>>>, BoxError>;

    #[tokio::test]
    async fn a_permit_is_returned_by_a_dropped_body_an_error_and_a_dropped_future() {
        let inner = service_fn(|request: Request<&'static str>| async move {
            match request.into_body() {
                "fail" => Err(BoxError::from("failed")),
                "wait" => std::future::pending().await,
                _ => Ok(Response::new(Empty::<bytes::Bytes>::new())),
            }
        });
        let service = ConcurrencyLayer::new(NonZeroU32::MIN).layer(inner);
        let call = |kind| service.clone().oneshot(Request::new(kind));
        let is_busy = |served: &Served| served.as_ref().is_err_and(|error| error.is::<Busy>());

        let held = call("").await;
        assert!(held.is_ok() && is_busy(&call("").await), "the body holds the permit");
        drop(held);
        assert!(!is_busy(&call("fail").await));
        let mut waiting = tokio_test::task::spawn(call("wait"));
        assert!(waiting.poll().is_pending() && is_busy(&call("").await));
        drop(waiting);
        assert!(call("").await.is_ok());
    }
}
