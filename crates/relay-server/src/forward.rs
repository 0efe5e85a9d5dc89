//! The rest of Anthropic's API, for the first `anthropic` provider that can serve the request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use relay_config::ProviderName;
use relay_providers::{ApiRequest, Forward};
use tower::{BoxError, Service, ServiceExt};

use crate::body::Body;
use crate::edge::Client;
use crate::error::Error;

/// Passes requests on without reading them. Nothing is tried twice: a body that flows through cannot be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder {
    /// Best first.
    upstreams: Arc<[(ProviderName, Forward)]>,
    head_timeout: Option<Duration>,
}

impl Forwarder {
    pub(crate) fn new(upstreams: Vec<(ProviderName, Forward)>, head_timeout: Option<Duration>) -> Self {
        Self { upstreams: upstreams.into(), head_timeout }
    }

    /// Whether there is nobody to pass requests on to.
    pub(crate) fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    async fn forward(self, request: ApiRequest) -> Result<Response<Body>, Error> {
        let can_serve = |(_, upstream): &&(ProviderName, Forward)| {
            upstream.can_serve(request.client.as_ref(), request.keys_allowed)
        };
        let Some((name, upstream)) = self.upstreams.iter().find(can_serve) else {
            return Err(match self.upstreams.is_empty() {
                true => Error::NoAnthropicProvider { path: request.path },
                false => Error::NoCredential,
            });
        };
        let response = upstream.clone().oneshot(request).await;
        let response = response.map_err(|source| Error::Upstream { provider: name.to_string(), source })?;
        Ok(response.map(Body::from))
    }
}

impl<B> Service<Request<B>> for Forwarder
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let client = parts.extensions.remove::<Client>();
        let request = ApiRequest {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            body: body.map_err(Into::into).boxed_unsync(),
            keys_allowed: client.as_ref().is_none_or(|client| client.keys_allowed),
            client: client.and_then(|client| client.credential),
            head_timeout: self.head_timeout,
        };
        Box::pin(self.clone().forward(request))
    }
}
