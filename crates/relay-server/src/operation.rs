//! An operation of the relay within the layers of a program.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::{Either, MapErr};
use http::{Request, Response};
use tower::{BoxError, Service, ServiceExt};

use crate::error::Error;
use crate::layers::{LayerBody, Layers, RequestService};
use crate::request_body::ClientBody;
use crate::response::ResponseBody;

/// An operation, directly or within the layers of [`layer_requests`](crate::Builder::layer_requests).
#[derive(Debug, Clone)]
pub(crate) enum Operation<S> {
    Direct(S),
    Layered(RequestService),
}

/// The future of an operation: that of its service, or one within the layers of a program.
type OperationFuture<F> = Either<
    MapErr<F, fn(Error) -> BoxError>,
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>>,
>;

impl<S> Operation<S>
where
    S: Service<Request<LayerBody>, Response = Response<ResponseBody>, Error = Error>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    pub(crate) fn new(service: S, layers: &Layers) -> Self {
        match layers.has_request_layers() {
            true => Self::Layered(layers.around_requests(RequestService::new(service))),
            false => Self::Direct(service),
        }
    }
}

impl<S, B> Service<Request<B>> for Operation<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = Error>,
    S::Future: Send + 'static,
    B: ClientBody,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = OperationFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Direct(service) => service.poll_ready(cx).map_err(Into::into),
            // The service is polled with each call, by `oneshot`.
            Self::Layered(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self {
            Self::Direct(service) => Either::Left(service.call(request).map_err(BoxError::from)),
            Self::Layered(service) => {
                let response = service.clone().oneshot(request.map(LayerBody::new));
                Either::Right(Box::pin(async { Ok(response.await?.map(ResponseBody::from)) }))
            }
        }
    }
}
