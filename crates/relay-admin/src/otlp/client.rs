//! The HTTP client of the exporter: the relay's own.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use opentelemetry_http::{HttpClient, HttpError};
use relay_transport::{RequestBody, Transport};

/// The largest response of a collector that is read, in bytes. It contains the number of rejected spans.
const RESPONSE_MAX: usize = 64 * 1024;

/// Sends the requests of the exporter over connections of the relay's own kind.
#[derive(Debug)]
pub(super) struct Client {
    transport: Transport,
    timeout: Duration,
}

impl Client {
    /// Creates a client with a time limit for each request, its response included.
    pub(super) fn new(transport: Transport, timeout: Duration) -> Self {
        Self { transport, timeout }
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move { tokio::time::timeout(self.timeout, send(&self.transport, request)).await? })
    }
}

async fn send(transport: &Transport, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let response = transport.send(request.map(|body| RequestBody::Payload(body.into()))).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, RESPONSE_MAX).collect().await?.to_bytes();
    Ok(Response::from_parts(head, body))
}
