//! The request side of upstreams with Anthropic's format: URL, headers and API key.

use http::header::{self, AUTHORIZATION, HeaderName, HeaderValue};
use http::uri::{Parts, PathAndQuery};
use http::{HeaderMap, Method, Request, Uri};
use relay_config::{BaseUrl, Secret};
use relay_messages::{Payload, headers};

use crate::provider::{AuthorizeError, PrepareError};
use crate::request::Attempt;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A key and the header that carries it. Its debug output does not show the key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    name: HeaderName,
    value: HeaderValue,
}

impl ApiKey {
    /// Creates a key that is sent as `x-api-key: KEY`.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] if a header cannot carry the key.
    pub fn plain(key: &Secret) -> Result<Self, AuthorizeError> {
        Self::new(X_API_KEY, key.expose())
    }

    /// Creates a key that is sent as `authorization: Bearer KEY`.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] if a header cannot carry the key.
    pub fn bearer(key: &Secret) -> Result<Self, AuthorizeError> {
        Self::new(AUTHORIZATION, &format!("Bearer {}", key.expose()))
    }

    fn new(name: HeaderName, text: &str) -> Result<Self, AuthorizeError> {
        let mut value = HeaderValue::from_str(text).map_err(|_| AuthorizeError::Malformed)?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }

    /// Adds the key, and removes the beta that makes the upstream expect another kind of credential.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        headers::remove_oauth_beta(headers);
        headers.insert(self.name.clone(), self.value.clone());
    }
}

/// Builds the request for `attempt` at `base_url`, without a credential: the client's query, the headers that go to upstreams,
/// and the body with its changes. The path is the one of Anthropic's API.
///
/// # Errors
/// [`PrepareError::Url`] if base URL, path and query are not a valid URI together.
pub fn prepare(base_url: &BaseUrl, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
    let client = attempt.request();
    let uri = uri(base_url, client.endpoint().path(), client.query())?;
    Ok(request(uri, attempt))
}

/// Builds the request for `attempt` at `uri`, without a credential: the headers of the client that go to upstreams, and the body
/// with its changes.
#[must_use]
pub fn request(uri: Uri, attempt: &Attempt) -> Request<Payload> {
    let mut upstream = Request::new(attempt.payload());
    *upstream.method_mut() = Method::POST;
    *upstream.uri_mut() = uri;
    *upstream.headers_mut() = attempt.headers();
    upstream
        .headers_mut()
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    upstream
}

/// Returns `base_url` followed by `path` and `query`.
///
/// # Errors
/// [`PrepareError::Url`] if they are not a valid URI together.
pub fn uri(base_url: &BaseUrl, path: &str, query: Option<&str>) -> Result<Uri, PrepareError> {
    let separator = if query.is_some() { "?" } else { "" };
    let path = [base_url.path(), path, separator, query.unwrap_or_default()].concat();
    let path = PathAndQuery::try_from(path).map_err(|error| PrepareError::Url(error.into()))?;
    let mut parts = Parts::default();
    parts.scheme = Some(base_url.scheme().clone());
    parts.authority = Some(base_url.authority().clone());
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|error| PrepareError::Url(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_base_path_and_query() {
        #[track_caller]
        fn check(base: &str, query: Option<&str>, expected: &str) {
            let base = BaseUrl::parse(base).unwrap();
            assert_eq!(uri(&base, "/v1/messages", query).unwrap().to_string(), expected);
        }
        check(
            "https://api.anthropic.com",
            Some("beta=true"),
            "https://api.anthropic.com/v1/messages?beta=true",
        );
        check("https://api.z.ai/api/anthropic/", None, "https://api.z.ai/api/anthropic/v1/messages");
        check("http://[::1]:11434", None, "http://[::1]:11434/v1/messages");
    }
}
