//! The layers of the assembled relay.

use std::convert::Infallible;
use std::pin::Pin;

use http::{Request, Response};
use tower::Service;

use crate::body::Body;
use crate::request_body::RequestBody;

/// The future of a response.
pub(crate) type StackFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Every layer from the edge to the upstreams. It answers every request, so it cannot fail.
pub(crate) struct Stack(Box<dyn Fn(Request<RequestBody>) -> StackFuture + Send + Sync>);

impl Stack {
    /// Erases the type of `service`, which is always ready: at a limit it answers with an error.
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Self(Box::new(move |request| Box::pin(service.clone().call(request))))
    }

    /// Serves `request`.
    pub(crate) fn call(&self, request: Request<RequestBody>) -> StackFuture {
        (self.0)(request)
    }
}
