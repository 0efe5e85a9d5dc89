//! The layer and its settings.

use std::sync::Arc;

use relay_config::ModelMapping;
use tower::Layer;

/// The default of [`ModelMapLayer::with_request_limit`].
const REQUEST_LIMIT: usize = 32 * 1024 * 1024;

/// Maps model names for one upstream.
///
/// Around a service over `http::Request`, the body of a request is read as a whole, up to a limit, and only the value of `model`
/// is edited. A request that is not one of the Messages API passes unchanged: one with a `content-encoding`, with a
/// `content-type` other than JSON, or with a body that is not a JSON object with a `model`.
///
/// ```
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use relay_config::ModelMapping;
/// use relay_providers::{MappedBody, ModelMapLayer};
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
///
/// type Body = Full<bytes::Bytes>;
///
/// /// Returns the body of the request.
/// async fn echo(request: Request<MappedBody<Body>>) -> Result<Response<Body>, BoxError> {
///     Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let layer = ModelMapLayer::new(ModelMapping::from_iter([("claude-opus-*", "glm-5.3")]), false);
/// let service = ServiceBuilder::new().layer(layer).service(service_fn(echo));
///
/// let body = Body::from(r#"{"model":"claude-opus-5-5","temperature":1.50}"#);
/// let answer = service.oneshot(Request::post("/v1/messages").body(body)?).await?;
/// let received = answer.into_body().collect().await?.to_bytes();
/// assert_eq!(received, r#"{"model":"glm-5.3","temperature":1.50}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ModelMapLayer {
    pub(super) mapping: Arc<ModelMapping>,
    pub(super) restore: bool,
    pub(super) request_limit: usize,
}

impl ModelMapLayer {
    /// Creates a layer that replaces the names in `mapping`. With `restore`, an answer contains the client's name of a
    /// mapped model.
    #[must_use]
    pub fn new(mapping: ModelMapping, restore: bool) -> Self {
        Self { mapping: Arc::new(mapping), restore, request_limit: REQUEST_LIMIT }
    }

    /// Refuses a request whose body has more than `bytes` with [`RequestTooLarge`](super::RequestTooLarge). Default 32 MiB.
    /// Within the relay, intake has its own limit.
    #[must_use]
    pub fn with_request_limit(mut self, bytes: usize) -> Self {
        self.request_limit = bytes;
        self
    }
}

impl<S> Layer<S> for ModelMapLayer {
    type Service = ModelMap<S>;

    fn layer(&self, inner: S) -> ModelMap<S> {
        ModelMap { inner, settings: self.clone() }
    }
}

/// The service of [`ModelMapLayer`].
#[derive(Debug, Clone)]
pub struct ModelMap<S> {
    pub(super) inner: S,
    pub(super) settings: ModelMapLayer,
}
