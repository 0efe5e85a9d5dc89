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
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
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
    limit: Option<NonZeroU32>,
    in_flight: Arc<AtomicU32>,
}

impl ConcurrencyLayer {
    /// Creates a layer that lets at most `limit` requests pass at one time. `None` is no limit.
    #[must_use]
    pub fn new(limit: impl Into<Option<NonZeroU32>>) -> Self {
        Self { limit: limit.into(), in_flight: Arc::default() }
    }

    /// Counts the requests in flight of `before`, an earlier layer, toward the limit of this one, and the other way around.
    #[must_use]
    pub fn inherit_state(mut self, before: &Self) -> Self {
        self.in_flight = Arc::clone(&before.in_flight);
        self
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
    type Future = ConcurrencyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ConcurrencyLayer { limit, in_flight } = &self.layer;
        let Some(permit) = Permit::take(in_flight, *limit) else {
            let limit = limit.map_or(u32::MAX, NonZeroU32::get);
            return ConcurrencyFuture { state: State::Refused { busy: Busy { limit } } };
        };
        let state = State::Admitted { inner: self.inner.call(request), permit: Some(permit) };
        ConcurrencyFuture { state }
    }
}

/// A place among the requests in flight, returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicU32>);

impl Permit {
    /// Counts one request more, or returns `None` if `limit` of them are in flight.
    pub(crate) fn take(in_flight: &Arc<AtomicU32>, limit: Option<NonZeroU32>) -> Option<Self> {
        let limit = limit.map_or(u32::MAX, NonZeroU32::get);
        let more = |count: u32| (count < limit).then(|| count.saturating_add(1));
        in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Arc::clone(in_flight)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The future of [`Concurrency`]. Hands its permit to the response's body.
    pub struct ConcurrencyFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Admitted {
            #[pin]
            inner: F,
            permit: Option<Permit>,
        },
        Refused {
            busy: Busy,
        },
    }
}

impl<F, R, E> Future for ConcurrencyFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<PermitBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Admitted { inner, permit } => {
                let response = ready!(inner.poll(cx)).map_err(Into::into)?;
                let permit = permit.take();
                Poll::Ready(Ok(response.map(|inner| PermitBody { inner, permit })))
            }
            StateProjection::Refused { busy } => Poll::Ready(Err((*busy).into())),
        }
    }
}

pin_project! {
    /// A body that holds its request's permit until it is dropped.
    #[derive(Debug)]
    pub struct PermitBody<B> {
        #[pin]
        inner: B,
        permit: Option<Permit>,
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

    #[tokio::test]
    async fn a_layer_counts_the_requests_in_flight_of_the_one_before() {
        let inner = || {
            service_fn(|_: Request<()>| async {
                Ok::<_, BoxError>(Response::new(Empty::<bytes::Bytes>::new()))
            })
        };
        let unlimited = ConcurrencyLayer::new(None);
        let held = unlimited.layer(inner()).oneshot(Request::new(())).await;
        let first = ConcurrencyLayer::new(NonZeroU32::MIN).inherit_state(&unlimited);
        let second = ConcurrencyLayer::new(NonZeroU32::new(2)).inherit_state(&first);
        let busy = first.layer(inner()).oneshot(Request::new(())).await.unwrap_err();
        assert_eq!(busy.downcast_ref(), Some(&Busy { limit: 1 }));
        let more = second.layer(inner()).oneshot(Request::new(())).await.unwrap();
        assert!(second.layer(inner()).oneshot(Request::new(())).await.is_err());
        drop((held, more));
        assert!(first.layer(inner()).oneshot(Request::new(())).await.is_ok());
    }
}
