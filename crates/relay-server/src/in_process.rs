//! Upstreams that are services of the same process.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use relay_transport::CustomConnector;
use std::future::{Ready, ready};
use tokio::io::DuplexStream;
use tower::{BoxError, Service, ServiceExt};

use crate::layers::LayerBody;

/// The size of the buffer between the relay and a service, in bytes for each direction.
const BUFFER: usize = 64 * 1024;

/// Returns the connector to `service`.
pub(crate) fn connector<S, B>(service: S) -> CustomConnector
where
    S: Service<Request<LayerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let open: Arc<dyn Fn() -> DuplexStream + Send + Sync> = Arc::new(move || open(service.clone()));
    CustomConnector::new(Connect(open)).without_tls()
}

/// The service has failed.
#[derive(Debug, thiserror::Error)]
#[error("the service failed")]
struct Failed(#[source] BoxError);

/// Opens a connection to `service`. It is served until one side closes it.
fn open<S, B>(service: S) -> DuplexStream
where
    S: Service<Request<LayerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (client, server) = tokio::io::duplex(BUFFER);
    let respond = service_fn(move |request: Request<Incoming>| {
        let response = service.clone().oneshot(request.map(LayerBody::new));
        async move {
            let response = response.await.map_err(|error| Failed(error.into()))?;
            Ok::<_, Failed>(response.map(LayerBody::new))
        }
    });
    tokio::spawn(async move {
        if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(server), respond).await {
            tracing::debug!(%error, "a connection to a service of this process ended");
        }
    });
    client
}

/// Opens connections to one service.
#[derive(Clone)]
struct Connect(Arc<dyn Fn() -> DuplexStream + Send + Sync>);

impl Service<Uri> for Connect {
    type Response = DuplexStream;
    type Error = Infallible;
    type Future = Ready<Result<DuplexStream, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(Ok((self.0)()))
    }
}
