//! Fetches the list of models of an upstream.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Empty;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relay_config::BaseUrl;
use relay_messages::{
    Payload,
    headers::{ANTHROPIC_BETA, OAUTH_BETA},
};
use relay_transport::{RequestBody, RequestStream, Start, Transport, answer_body, read_start};
use serde::Deserialize;
use tower::ServiceExt;

use crate::answer::{AnswerBody, AttemptError};
use crate::anthropic::{ApiRequest, Forward};
use crate::anthropic_format;
use crate::client_credential::ClientCredential;
use crate::extra_headers::ExtraHeaders;

/// The largest list that is read, in bytes. An entry has about 200 bytes.
const LIST_LIMIT: usize = 4 * 1024 * 1024;
/// The largest number of pages that are read. A page has 1000 entries, Anthropic's maximum.
const PAGES: usize = 5;
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// A model in the list of its upstream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ListedModel {
    /// The name that requests use.
    #[serde(alias = "name")]
    pub id: String,
    /// The name that a user interface shows.
    pub display_name: Option<String>,
    /// The time of the release, in RFC 3339.
    pub created_at: Option<String>,
}

/// An upstream that lists its models. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Listing(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Anthropic(Forward),
    Ollama { base_url: BaseUrl, transport: Transport, extra_headers: ExtraHeaders },
}

/// The reason that there is no list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// The upstream did not answer.
    #[error("the list of models cannot be requested")]
    Attempt(#[from] AttemptError),
    /// The upstream answered with an error.
    #[error("the upstream answered {0} to the request for its models")]
    Status(StatusCode),
    /// The answer is not a list of models, or is too long.
    #[error("the upstream's list of models cannot be read")]
    Malformed,
}

impl Listing {
    /// Creates a list from `GET /v1/models` of Anthropic's API, with the configured key, or else with the client's own
    /// credential.
    #[must_use]
    pub fn anthropic(forward: Forward) -> Self {
        Self(Kind::Anthropic(forward))
    }

    /// Creates a list from `GET /api/tags` of Ollama's API.
    #[must_use]
    pub fn ollama(base_url: BaseUrl, transport: Transport, extra_headers: ExtraHeaders) -> Self {
        Self(Kind::Ollama { base_url, transport, extra_headers })
    }

    /// Returns `true` if no key is configured. The list is then that of the client's own credential, and no other
    /// client may see it.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        matches!(&self.0, Kind::Anthropic(forward) if !forward.has_key())
    }

    /// Requests the list.
    ///
    /// # Errors
    /// [`ListingError`] if the upstream returns no list.
    pub async fn fetch(&self, client: Option<&ClientCredential>) -> Result<Vec<ListedModel>, ListingError> {
        match &self.0 {
            Kind::Ollama { base_url, transport, extra_headers } => {
                tags(base_url, transport, extra_headers).await
            }
            Kind::Anthropic(forward) => {
                let client = client.filter(|_| self.is_personal());
                let mut models = Vec::new();
                for _ in 0..PAGES {
                    let after = models.last().map(|model: &ListedModel| model.id.as_str());
                    let page = page(forward.clone(), client, after).await?;
                    let is_last = !page.has_more || page.data.is_empty();
                    models.extend(page.data);
                    if is_last {
                        break;
                    }
                }
                Ok(models)
            }
        }
    }
}

#[derive(Deserialize)]
struct Page {
    data: Vec<ListedModel>,
    #[serde(default)]
    has_more: bool,
}

async fn page(
    forward: Forward,
    client: Option<&ClientCredential>,
    after: Option<&str>,
) -> Result<Page, ListingError> {
    let after =
        after.map_or(String::new(), |id| format!("&after_id={}", utf8_percent_encode(id, NON_ALPHANUMERIC)));
    let mut headers = HeaderMap::from_iter([(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"))]);
    if client.is_some_and(ClientCredential::is_subscription) {
        headers.insert(ANTHROPIC_BETA, HeaderValue::from_static(OAUTH_BETA));
    }
    let mut request = ApiRequest::new(Method::GET, "/v1/models", RequestStream::new(Empty::new()));
    request.query = Some(format!("limit=1000{after}"));
    request.headers = headers;
    request.client = client.cloned();
    read(forward.oneshot(request).await?).await
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<ListedModel>,
}

async fn tags(
    base_url: &BaseUrl,
    transport: &Transport,
    extra_headers: &ExtraHeaders,
) -> Result<Vec<ListedModel>, ListingError> {
    let uri = anthropic_format::uri(base_url, "/api/tags", None).map_err(AttemptError::from)?;
    let mut request = Request::new(RequestBody::Payload(Payload::default()));
    *request.uri_mut() = uri;
    extra_headers.apply_fixed(request.headers_mut());
    let response = transport.send(request).await.map_err(AttemptError::from)?;
    let (mut head, body) = response.into_parts();
    let body = answer_body(&mut head.headers, body, transport.idle_timeout());
    read::<Tags>(Response::from_parts(head, body)).await.map(|tags| tags.models)
}

async fn read<T: for<'de> Deserialize<'de>>(response: Response<AnswerBody>) -> Result<T, ListingError> {
    if response.status() != StatusCode::OK {
        return Err(ListingError::Status(response.status()));
    }
    match read_start(response.into_body(), LIST_LIMIT, Duration::MAX).await {
        Start::Whole(bytes) => parse(&bytes),
        Start::Part(..) => Err(ListingError::Malformed),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &Bytes) -> Result<T, ListingError> {
    serde_json::from_slice(bytes).map_err(|_| ListingError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_both_forms() {
        let anthropic = r#"{"data":[{"type":"model","id":"a","display_name":"A","created_at":"2026-10-01T00:00:00Z"}],"has_more":true}"#;
        let page: Page = parse(&Bytes::from(anthropic)).unwrap();
        assert!(page.has_more);
        assert_eq!((page.data[0].id.as_str(), page.data[0].display_name.as_deref()), ("a", Some("A")));
        let ollama =
            r#"{"models":[{"name":"qwen3-coder:30b","model":"qwen3-coder:30b","size":7,"details":{}}]}"#;
        let tags: Tags = parse(&Bytes::from(ollama)).unwrap();
        assert_eq!(tags.models[0].id, "qwen3-coder:30b");
        for odd in ["", "[]", "{}", r#"{"models":[{}]}"#, r#"{"models":7}"#] {
            assert!(parse::<Tags>(&Bytes::from(odd)).is_err(), "{odd}");
        }
    }
}
