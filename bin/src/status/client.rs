//! Just enough of an HTTP client to ask a relay.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, InvalidHeaderValue};
use http::uri::Authority;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use relay_config::Secret;
use tokio::net::TcpStream;

/// A relay answers these questions from memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than the longest list of providers.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;
const HTTP_PORT: u16 = 80;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the client key fits into no header")]
    Key(#[from] InvalidHeaderValue),
    #[error("cannot ask for this URL")]
    Request(#[from] http::Error),
    #[error("the answer is not HTTP")]
    Http(#[from] hyper::Error),
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {PATIENCE:?}")]
    Timeout,
}

/// Asks one relay.
#[derive(Debug)]
pub(crate) struct Client {
    authority: Authority,
    /// What its paths start with; no slash at the end.
    prefix: String,
    key: Option<Secret>,
}

impl Client {
    /// For the relay at `url`, if that is a URL of plain HTTP; `key` admits to what is not for everybody.
    pub(crate) fn new(url: &Uri, key: Option<Secret>) -> Option<Self> {
        // `127.0.0.1:8787` alone is a URL without scheme.
        if !matches!(url.scheme_str(), Some("http") | None) {
            return None;
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        Some(Self { authority: url.authority()?.clone(), prefix, key })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.prefix)
    }

    /// Status and body of the answer.
    pub(crate) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
        tokio::time::timeout(PATIENCE, self.exchange(path)).await.unwrap_or(Err(ClientError::Timeout))
    }

    async fn exchange(&self, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
        let request = self.request(path)?;
        let host = self.authority.host().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.authority.port_u16().unwrap_or(HTTP_PORT)));
        let stream = stream.await.map_err(ClientError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // What goes wrong with the connection, the request on it is told.
        tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        Ok((status, body.map_err(ClientError::Body)?.to_bytes()))
    }

    fn request(&self, path: &str) -> Result<Request<Empty<Bytes>>, ClientError> {
        let mut request = Request::get(format!("{}{path}", self.prefix))
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
