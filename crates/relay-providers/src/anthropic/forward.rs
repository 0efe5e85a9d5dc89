//! The rest of Anthropic's API (batches, files, models, …), which passes unread in both directions.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{self, HeaderName};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use relay_config::{BaseUrl, KeyConfig, KeyId};
use relay_messages::headers;
use relay_transport::{IdleTimeout, RequestBody, RequestStream, Transport, received};
use tower::Service;

use crate::answer::{AnswerBody, AttemptError, refuse_status};
use crate::anthropic_format::{self, ApiKey};
use crate::client_credential::ClientCredential;
use crate::extra_headers::ExtraHeaders;
use crate::provider::AuthorizeError;
use crate::time_limit::HeadLimit;
use crate::upstream_address::UpstreamAddress;

/// Headers that go upstream in addition to the usual ones, because the relay reads neither body.
const FURTHER_HEADERS: [HeaderName; 3] = [header::ACCEPT_ENCODING, header::CONTENT_ENCODING, header::RANGE];

/// A request of an admitted client that passes unread.
///
/// ```
/// use http::Method;
/// use http_body_util::Empty;
/// use relay_providers::ApiRequest;
/// use relay_transport::RequestStream;
///
/// let body = RequestStream::new(Empty::new());
/// let mut request = ApiRequest::new(Method::GET, "/v1/models", body);
/// request.query = Some("limit=10".to_owned());
/// assert!(request.keys_allowed);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ApiRequest {
    /// The method that the client sent.
    pub method: Method,
    /// The path, `/v1/…`.
    pub path: String,
    /// The query string without its question mark.
    pub query: Option<String>,
    /// The client's headers without its credentials.
    pub headers: HeaderMap,
    /// The client's body.
    pub body: RequestStream,
    /// The client's own credential.
    pub client: Option<ClientCredential>,
    /// `true` if a configured key may serve the request.
    pub keys_allowed: bool,
    /// The time limit up to the response head; `None` is without limit.
    pub head_timeout: Option<Duration>,
}

impl ApiRequest {
    /// Creates a request without a query, headers and a credential of the client. A configured key may serve it, and there is
    /// no time limit.
    pub fn new(method: Method, path: impl Into<String>, body: RequestStream) -> Self {
        Self {
            method,
            path: path.into(),
            query: None,
            headers: HeaderMap::new(),
            body,
            client: None,
            keys_allowed: true,
            head_timeout: None,
        }
    }
}

/// Sends [`ApiRequest`]s to one `anthropic` provider. Cloning shares its connections.
#[derive(Debug, Clone)]
pub struct Forward {
    base_url: BaseUrl,
    address: Option<UpstreamAddress>,
    key: Option<(KeyId, ApiKey)>,
    passthrough: bool,
    transport: Transport,
    extra_headers: ExtraHeaders,
}

impl Forward {
    /// Creates the service that sends to `base_url` with `key` or, if `passthrough` allows it, with the client's own
    /// credential.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] if a header cannot carry the key.
    pub fn new(
        base_url: BaseUrl,
        key: Option<&KeyConfig>,
        passthrough: bool,
        transport: Transport,
    ) -> Result<Self, AuthorizeError> {
        let key = key.and_then(|config| Some((config.id()?, config.key.as_ref()?)));
        let key = key.map(|(id, key)| Ok::<_, AuthorizeError>((id, ApiKey::plain(key)?))).transpose()?;
        let root = anthropic_format::uri(&base_url, "/", None).ok();
        let address = root.and_then(|uri| UpstreamAddress::of(&uri));
        Ok(Self { base_url, address, key, passthrough, transport, extra_headers: ExtraHeaders::default() })
    }

    /// Adds headers to every request. The default adds none.
    #[must_use]
    pub fn with_extra_headers(self, extra_headers: ExtraHeaders) -> Self {
        Self { extra_headers, ..self }
    }

    /// The address that requests are sent to.
    #[must_use]
    pub fn address(&self) -> Option<UpstreamAddress> {
        self.address.clone()
    }

    /// Returns `true` if a key is configured.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns `true` if there is a credential that can serve `client`.
    #[must_use]
    pub fn can_serve(&self, client: Option<&ClientCredential>, keys_allowed: bool) -> bool {
        self.key.is_some() && keys_allowed || self.passthrough && client.is_some()
    }

    /// Returns the configured key that serves `request`, or `None` if the client's own credential does.
    #[must_use]
    pub fn key_for(&self, request: &ApiRequest) -> Option<KeyId> {
        match self.credential(request) {
            Some(Credential::Key(id, _)) => Some(id.clone()),
            _ => None,
        }
    }

    /// Chooses the credential: a subscription of the client first, then the configured key, then another credential of the
    /// client.
    fn credential<'a>(&'a self, request: &'a ApiRequest) -> Option<Credential<'a>> {
        let client = request.client.as_ref().filter(|_| self.passthrough);
        let key = self.key.as_ref().filter(|_| request.keys_allowed);
        match (client, key) {
            (Some(client), key) if client.is_subscription() || key.is_none() => {
                Some(Credential::Client(client))
            }
            (_, key) => key.map(|(id, key)| Credential::Key(id, key)),
        }
    }

    fn authorize(&self, request: &ApiRequest, headers: &mut HeaderMap) -> Result<(), AuthorizeError> {
        match self.credential(request).ok_or(AuthorizeError::NothingToPassThrough)? {
            Credential::Client(client) => client.write_to(headers),
            Credential::Key(_, key) => key.write_to(headers),
        }
        Ok(())
    }

    async fn send(self, request: ApiRequest) -> Result<Response<AnswerBody>, AttemptError> {
        let mut headers = headers::for_upstream(&request.headers);
        for name in FURTHER_HEADERS {
            for value in request.headers.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        self.extra_headers.apply(&request.headers, &mut headers);
        self.authorize(&request, &mut headers)?;
        let mut upstream = Request::new(RequestBody::Stream(request.body));
        *upstream.method_mut() = request.method;
        *upstream.uri_mut() = anthropic_format::uri(&self.base_url, &request.path, request.query.as_deref())?;
        *upstream.headers_mut() = headers;

        let limit = HeadLimit::begin(request.head_timeout, None);
        let response = {
            let sending = async { Ok(self.transport.send_measured(upstream, limit.queue()).await?) };
            limit.within(pin!(sending)).await?
        };
        // 304 answers a condition of the client's.
        if response.status() != StatusCode::NOT_MODIFIED {
            refuse_status(response.status())?;
        }
        let idle = self.transport.idle_timeout();
        let (head, body) = response.into_parts();
        let body = AnswerBody::new(IdleTimeout::new(&head.headers, received(body), idle));
        let mut response = Response::from_parts(head, body);
        headers::retain_for_client(response.headers_mut());
        Ok(response)
    }
}

/// The credential of one request.
enum Credential<'a> {
    Client(&'a ClientCredential),
    Key(&'a KeyId, &'a ApiKey),
}

impl Service<ApiRequest> for Forward {
    type Response = Response<AnswerBody>;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, AttemptError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ApiRequest) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
