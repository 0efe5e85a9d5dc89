//! A small HTTP client for the routes of a relay.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, InvalidHeaderValue};
use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use relay_config::Secret;

use super::connection::Transport;
use super::trust::RelayTrust;

/// The time limit of one request. A relay answers these routes from memory.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit of an action: a relay with thousands of providers takes seconds to build.
const ACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read, more than the longest list of providers needs.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// The failure of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the client key contains characters that an HTTP header cannot carry")]
    Key(#[from] InvalidHeaderValue),
    #[error("the URL cannot be requested")]
    Request(#[from] http::Error),
    #[error("the answer is not HTTP")]
    Http(#[from] hyper::Error),
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {limit:?}")]
    Timeout { limit: Duration },
}

impl ClientError {
    /// Returns `true` if the certificate of the server is not trusted.
    pub(crate) fn is_untrusted(&self) -> bool {
        let Self::Connect(error) = self else { return false };
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
    }
}

/// A client of one relay.
#[derive(Debug)]
pub(crate) struct Client {
    transport: Transport,
    authority: Authority,
    /// The start of all paths, without a slash at the end.
    prefix: String,
    key: Option<Secret>,
    /// The largest answer that is read, in bytes.
    answer_limit: usize,
}

impl Client {
    /// A client of the relay at `url`. `key` admits it to the routes that need one. Returns `None` if `url` is not a URL
    /// of plain HTTP.
    pub(crate) fn new(url: &Uri, key: Option<Secret>) -> Option<Self> {
        // `127.0.0.1:8787` alone is a URL without scheme.
        if !matches!(url.scheme_str(), Some("http") | None) {
            return None;
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        let authority = url.authority()?.clone();
        Some(Self { transport: Transport::Plain, authority, prefix, key, answer_limit: ANSWER_LIMIT })
    }

    /// A client of the relay at `address`: a URL of http or https, or `unix:` and the path of a socket. `trust` is for https.
    pub(crate) fn at(address: &str, key: Option<Secret>, trust: RelayTrust) -> Option<Self> {
        let (url, transport) = match (address.strip_prefix("unix:"), address.strip_prefix("https:")) {
            (Some(path), _) => ("http://localhost".to_owned(), Transport::Unix(path.into())),
            (_, Some(rest)) => (format!("http:{rest}"), Transport::Tls(trust)),
            _ => (address.to_owned(), Transport::Plain),
        };
        Some(Self { transport, ..Self::new(&url.parse().ok()?, key)? })
    }

    /// Sets the size of the largest answer that is read, in bytes.
    #[cfg(feature = "top")]
    pub(crate) fn with_answer_limit(self, bytes: usize) -> Self {
        Self { answer_limit: bytes, ..self }
    }

    /// Returns the address of the relay, without a user in it.
    pub(crate) fn url(&self) -> String {
        let scheme = match &self.transport {
            Transport::Plain => "http",
            Transport::Tls(_) => "https",
            Transport::Unix(path) => return format!("unix:{}", path.display()),
        };
        let host = self.authority.as_str().rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}{}", self.prefix)
    }

    /// Requests `path` and returns status and body of the answer.
    pub(crate) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
        self.exchange(Method::GET, path, TIMEOUT).await
    }

    /// Makes the relay carry out the action at `path`, and returns status and body of the answer.
    pub(crate) async fn post(&self, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
        self.exchange(Method::POST, path, ACTION_TIMEOUT).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let request = self.request(method, path)?;
        let answer = tokio::time::timeout(limit, self.send(request)).await;
        answer.unwrap_or(Err(ClientError::Timeout { limit }))
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = self.transport.connect(&self.authority).await.map_err(ClientError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // An error of the connection also ends the request on it.
        tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), self.answer_limit).collect().await;
        Ok((status, body.map_err(ClientError::Body)?.to_bytes()))
    }

    fn request(&self, method: Method, path: &str) -> Result<Request<Empty<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, self.authority.as_str())
            .header(ACCEPT, "application/json")
            .body(Empty::new())?;
        if let Some(key) = &self.key {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}
