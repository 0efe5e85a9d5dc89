//! Limits the requests in flight.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::Either;
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::future::{Ready, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use crate::error::Error;
use crate::response::ResponseBody;

/// Refuses requests while `limit` are in flight. A request is in flight until its response's body is dropped.
///
/// tower's `ConcurrencyLimit` releases its permit at the response head, so it would not count streams, and it makes
/// further requests wait instead of refusing them.
#[derive(Debug, Clone)]
pub(crate) struct AdmissionLayer {
    limit: Option<(u32, Arc<Semaphore>)>,
}

impl AdmissionLayer {
    pub(crate) fn new(limit: Option<NonZeroU32>) -> Self {
        let semaphore = |limit: NonZeroU32| Arc::new(Semaphore::new(limit.get() as usize));
        Self { limit: limit.map(|limit| (limit.get(), semaphore(limit))) }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission { inner, layer: self.clone() }
    }
}

/// The service of [`AdmissionLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Admission<S> {
    inner: S,
    layer: AdmissionLayer,
}

impl<S, B> Service<Request<B>> for Admission<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = Error>,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = Either<AdmissionFuture<S::Future>, Ready<Result<Response<ResponseBody>, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let permit = match &self.layer.limit {
            None => None,
            Some((limit, semaphore)) => match Arc::clone(semaphore).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => return Either::Right(ready(Err(Error::Busy { limit: *limit }))),
            },
        };
        Either::Left(AdmissionFuture { inner: self.inner.call(request), permit })
    }
}

pin_project! {
    /// The future of [`Admission`]. Hands its permit to the response's body.
    pub(crate) struct AdmissionFuture<F> {
        #[pin]
        inner: F,
        permit: Option<OwnedSemaphorePermit>,
    }
}

impl<F: Future<Output = Result<Response<ResponseBody>, Error>>> Future for AdmissionFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok(match this.permit.take() {
            Some(permit) => response.map(|body| body.with_permit(permit)),
            None => response,
        }))
    }
}
