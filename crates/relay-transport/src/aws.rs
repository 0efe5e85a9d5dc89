//! The transport as the HTTP client of the AWS SDK.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use relay_messages::Payload;

use crate::transport::{RequestBody, Transport};

/// The largest response that is read, in bytes. Responses with credentials have a few kilobytes.
const ANSWER_LIMIT: usize = 1024 * 1024;

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

impl HttpClient for AwsHttpClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let limits = [settings.connect_timeout(), settings.read_timeout()];
        let limit = limits.into_iter().flatten().reduce(Duration::saturating_add);
        SharedHttpConnector::new(Connector { transport: self.0.clone(), limit })
    }
}

/// A connector that sends the requests of one client of the SDK.
#[derive(Debug)]
struct Connector {
    transport: Transport,
    /// The time limit from the request to the end of the response. Outside a cloud, the metadata address does not answer:
    /// the SDK allows it one second to connect and one to respond.
    limit: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let exchange = exchange(self.transport.clone(), request);
        match self.limit {
            None => HttpConnectorFuture::new(exchange),
            Some(limit) => HttpConnectorFuture::new(async move {
                tokio::time::timeout(limit, exchange)
                    .await
                    .unwrap_or_else(|elapsed| Err(ConnectorError::timeout(elapsed.into())))
            }),
        }
    }
}

async fn exchange(transport: Transport, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let request = request.map(|body| {
        // Requests for credentials are short texts in memory.
        let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
        RequestBody::Payload(Payload::from(body))
    });
    let response = transport.send(request).await.map_err(|error| ConnectorError::io(error.into()))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(ConnectorError::io)?.to_bytes();
    let response = http::Response::from_parts(head, body.into());
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}
