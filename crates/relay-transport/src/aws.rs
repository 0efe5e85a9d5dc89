//! The transport as the HTTP client of the AWS SDK.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    self as sdk, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use bytes::Bytes;

use crate::http_client::{HttpClient, HttpError, HttpLimits, Redirects};
use crate::transport::Transport;

/// The largest response that is read, in bytes. Responses with credentials have a few kilobytes.
const SIZE_LIMIT: usize = 1024 * 1024;

/// The HTTP client of the AWS SDK over a [`Transport`], so that STS, SSO and the metadata services are reached through the
/// same proxies and with the same certificates as the upstream.
#[derive(Debug, Clone)]
pub struct AwsHttpClient(Transport);

impl AwsHttpClient {
    /// Creates a client that uses the connections of `transport`.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self(transport)
    }
}

impl sdk::HttpClient for AwsHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let times = [settings.connect_timeout(), settings.read_timeout()];
        // Outside a cloud, the metadata address does not answer: the SDK allows it one second to connect and one to
        // respond.
        let time = times.into_iter().flatten().reduce(Duration::saturating_add);
        let limits = HttpLimits { size: SIZE_LIMIT, time, redirects: Redirects::Return };
        SharedHttpConnector::new(Connector(HttpClient::new(self.0.clone(), limits)))
    }
}

/// A connector that sends the requests of one client of the SDK.
#[derive(Debug)]
struct Connector(HttpClient);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(exchange(self.0.clone(), request))
    }
}

async fn exchange(client: HttpClient, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    // Requests for credentials are short texts in memory.
    let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
    let response = client.call(request).await.map_err(|error| match error {
        HttpError::Timeout(elapsed) => ConnectorError::timeout(elapsed.into()),
        error => ConnectorError::io(error.into()),
    })?;
    let response = response.map(Into::into);
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}
