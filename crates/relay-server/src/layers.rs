//! Layers of a program around the requests of clients and around attempts at upstreams.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use relay_routing::CandidateService;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceExt};

/// The body of a request or of a response that passes the layers of [`layer_requests`].
///
/// ```
/// use http::Request;
/// use http_body_util::{BodyExt, Full, Limited};
/// use relay_server::LayerBody;
/// use tower::util::MapRequestLayer;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // A layer that puts a body of its own into the place of the one that arrived.
/// let limit = |request: Request<LayerBody>| request.map(|body| LayerBody::new(Limited::new(body, 4)));
/// let layer = MapRequestLayer::new(limit);
/// # let _ = layer;
///
/// let limited = |text| limit(Request::new(LayerBody::new(Full::from(text)))).into_body().collect();
/// assert_eq!(limited("text").await.unwrap().to_bytes(), "text");
/// assert!(limited("a long text").await.is_err());
/// # }
/// ```
///
/// [`layer_requests`]: crate::Builder::layer_requests
pub struct LayerBody(UnsyncBoxBody<Bytes, BoxError>);

impl LayerBody {
    /// Boxes `body`.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl fmt::Debug for LayerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayerBody")
    }
}

impl Body for LayerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The service that a layer of [`layer_requests`](crate::Builder::layer_requests) wraps: the operation that a request is
/// routed to, and the layers that were added later.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::{Either, Full};
/// use relay_config::{Format, Loader};
/// use relay_server::{LayerBody, Relay, RequestService};
/// use tower::layer::layer_fn;
/// use tower::{BoxError, ServiceExt, service_fn};
///
/// # fn main() -> Result<(), BoxError> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// // A layer that answers requests for one path itself.
/// let layer = layer_fn(|inner: RequestService| {
///     service_fn(move |request: Request<LayerBody>| {
///         let inner = inner.clone();
///         async move {
///             if request.uri().path() == "/v1/files" {
///                 let refused = Response::builder().status(StatusCode::GONE);
///                 return Ok::<_, BoxError>(refused.body(Either::Left(Full::<Bytes>::default()))?);
///             }
///             Ok(inner.oneshot(request).await?.map(Either::Right))
///         }
///     })
/// });
/// let config = "providers: [{ name: a, type: mock }]";
/// let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
/// let relay = Relay::builder(config).layer_requests(layer).build()?;
/// let get = |path| relay.clone().oneshot(Request::get(path).body(Full::<Bytes>::default()).unwrap());
/// assert_eq!(get("/v1/files").await?.status(), 410);
/// assert_eq!(get("/v1/providers").await?.status(), 200);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RequestService(BoxCloneSyncService<Request<LayerBody>, Response<LayerBody>, BoxError>);

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<LayerBody>, BoxError>> + Send>>;

impl RequestService {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<LayerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service.map_err(Into::into).map_response(|response| response.map(LayerBody::new));
        Self(BoxCloneSyncService::new(service))
    }
}

impl Service<Request<LayerBody>> for RequestService {
    type Response = Response<LayerBody>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<LayerBody>) -> Self::Future {
        self.0.call(request)
    }
}

/// A layer whose type is erased.
type Wrap<S> = Arc<dyn Fn(S) -> S + Send + Sync>;

/// The layers of a program, in the order in which they were added: the first is the outermost one.
#[derive(Clone, Default)]
pub(crate) struct Layers {
    requests: Vec<Wrap<RequestService>>,
    attempts: Vec<Wrap<CandidateService>>,
}

impl Layers {
    pub(crate) fn add_request_layer<L, B>(&mut self, layer: L)
    where
        L: Layer<RequestService> + Send + Sync + 'static,
        L::Service: Service<Request<LayerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<LayerBody>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<LayerBody>>>::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.requests.push(Arc::new(move |inner| RequestService::new(layer.layer(inner))));
    }

    pub(crate) fn add_attempt_layer(&mut self, wrap: Wrap<CandidateService>) {
        self.attempts.push(wrap);
    }

    pub(crate) fn has_request_layers(&self) -> bool {
        !self.requests.is_empty()
    }

    pub(crate) fn has_attempt_layers(&self) -> bool {
        !self.attempts.is_empty()
    }

    pub(crate) fn around_requests(&self, service: RequestService) -> RequestService {
        self.requests.iter().rev().fold(service, |inner, wrap| wrap(inner))
    }

    pub(crate) fn around_attempts(&self, service: CandidateService) -> CandidateService {
        self.attempts.iter().rev().fold(service, |inner, wrap| wrap(inner))
    }
}
