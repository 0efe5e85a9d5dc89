//! From a client's HTTP request to a [`RelayRequest`]: the body in one piece, decoded, bounded, read once.

mod collect;
mod decode;

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{Request, Response};
use relay_providers::{Endpoint, MessagesBody, RelayRequest};
use tower::{BoxError, Service, ServiceExt};

use crate::body::Body;
use crate::edge::Client;
use crate::error::Error;
use collect::collect;
use decode::{Encoding, decode};

/// Reads the requests of one endpoint and hands them on. Cloning shares nothing but the limit.
#[derive(Debug, Clone)]
pub(crate) struct Intake<S> {
    inner: S,
    endpoint: Endpoint,
    max_body_bytes: usize,
}

impl<S> Intake<S> {
    pub(crate) fn new(inner: S, endpoint: Endpoint, max_body_bytes: usize) -> Self {
        Self { inner, endpoint, max_body_bytes }
    }
}

impl<S, B> Service<Request<B>> for Intake<S>
where
    S: Service<RelayRequest, Response = Response<Body>, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The inner service is asked when there is something for it to do: reading a body takes its time.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, endpoint, limit) = (self.inner.clone(), self.endpoint, self.max_body_bytes);
        Box::pin(async move { inner.oneshot(read(request, endpoint, limit).await?).await })
    }
}

async fn read<B>(request: Request<B>, endpoint: Endpoint, limit: usize) -> Result<RelayRequest, Error>
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    let encoding = Encoding::of(&parts.headers)?;
    let body = collect(body, limit).await?;
    let body = match encoding {
        None => body,
        Some(encoding) => decode(body, encoding, limit).await?,
    };
    parts.headers.remove(CONTENT_ENCODING);
    let body = MessagesBody::parse(body)?;
    let client = parts.extensions.remove::<Client>();
    let headers: HeaderMap = parts.headers;
    let request = RelayRequest::new(endpoint, parts.uri.query(), headers, body);
    Ok(match client {
        Some(client) => {
            request.with_client_credential(client.credential).with_keys_allowed(client.keys_allowed)
        }
        None => request,
    })
}
