//! Requests to token endpoints, over the provider's own connections: its certificates and proxies count here too.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tower::BoxError;

use super::TokenError;
use crate::http_client::{HttpClient, HttpLimits, Redirects};
use crate::transport::Transport;

/// The largest answer of a token endpoint that is read, and the largest file. Tokens and credentials have a few
/// thousand bytes.
const SIZE_LIMIT: usize = 64 * 1024;
const LIMITS: HttpLimits = HttpLimits {
    size: SIZE_LIMIT,
    // The cache limits the time of a whole renewal.
    time: None,
    // A redirect would carry the credential to an address that is not configured.
    redirects: Redirects::Return,
};
/// The number of characters of an endpoint's message that an error repeats.
const REASON_LIMIT: usize = 300;
/// `application/x-www-form-urlencoded`, with `%20` for a blank, which every server reads as well.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Sends requests to token endpoints. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct TokenClient {
    http: HttpClient,
}

/// The successful response of a token endpoint, at most 64 KiB.
#[derive(Debug)]
pub struct TokenAnswer {
    /// The endpoint's URL without its query.
    endpoint: String,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// The body of the response.
    pub body: Bytes,
}

impl TokenClient {
    /// Creates a client that uses the connections of `transport`, and so its certificates and proxies.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self { http: HttpClient::new(transport, LIMITS) }
    }

    /// Posts `fields` as a form. An error masks each of `secrets` that the endpoint repeats.
    ///
    /// # Errors
    /// [`TokenError`] if the URL cannot be used, or the endpoint returned no complete response with a success status.
    pub async fn post_form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        secrets: &[&str],
    ) -> Result<TokenAnswer, TokenError> {
        let mut request = request(Method::POST, url, form(fields).into())?;
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, media_type);
        self.exchange(request, secrets).await
    }

    /// Posts `body` as JSON with `authorization`.
    ///
    /// # Errors
    /// The errors of [`post_form`](Self::post_form).
    pub async fn post_json(
        &self,
        url: &str,
        authorization: HeaderValue,
        body: &Value,
    ) -> Result<TokenAnswer, TokenError> {
        let mut request = request(Method::POST, url, body.to_string().into())?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(http::header::AUTHORIZATION, authorization);
        self.exchange(request, &[]).await
    }

    /// Sends a GET request with `headers` to `url`.
    ///
    /// # Errors
    /// The errors of [`post_form`](Self::post_form).
    pub async fn get(&self, url: &str, headers: HeaderMap) -> Result<TokenAnswer, TokenError> {
        let mut request = request(Method::GET, url, Bytes::new())?;
        request.headers_mut().extend(headers);
        self.exchange(request, &[]).await
    }

    async fn exchange(&self, request: Request<Bytes>, secrets: &[&str]) -> Result<TokenAnswer, TokenError> {
        let endpoint = without_query(request.uri());
        let unreachable = |source: BoxError| TokenError::Unreachable { endpoint: endpoint.clone(), source };
        let response = self.http.call(request).await.map_err(|error| unreachable(error.into()))?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let reason = reason(&body, secrets);
            return Err(TokenError::Refused { endpoint, status: head.status, reason });
        }
        Ok(TokenAnswer { endpoint, headers: head.headers, body })
    }
}

impl TokenAnswer {
    /// Returns the member `name` of the JSON object in the body: a string that is not empty.
    ///
    /// # Errors
    /// [`TokenError::Answer`] if the body has no such member.
    pub fn text(&self, name: &'static str) -> Result<String, TokenError> {
        let text = self.json(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        text.ok_or_else(|| self.lacks(name))
    }

    /// Returns the member `name` as `Bearer TOKEN`, marked as sensitive.
    ///
    /// # Errors
    /// [`TokenError::Answer`] if the body has no such member, or no header can carry it.
    pub fn bearer(&self, name: &'static str) -> Result<HeaderValue, TokenError> {
        bearer(&self.text(name)?).ok_or_else(|| self.lacks(name))
    }

    /// Returns the member `name` as a number of seconds. Azure writes it as a string.
    ///
    /// # Errors
    /// [`TokenError::Answer`] if the body has no such member.
    pub fn seconds(&self, name: &'static str) -> Result<Duration, TokenError> {
        let value = self.json(name)?;
        let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        seconds.map(Duration::from_secs).ok_or_else(|| self.lacks(name))
    }

    /// Returns the endpoint's URL without its query.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn lacks(&self, member: &'static str) -> TokenError {
        TokenError::Answer { endpoint: self.endpoint.clone(), member }
    }

    fn json(&self, name: &'static str) -> Result<Value, TokenError> {
        let mut object: Value = serde_json::from_slice(&self.body).map_err(|_| self.lacks(name))?;
        object.get_mut(name).map(Value::take).ok_or_else(|| self.lacks(name))
    }
}

/// `Bearer TOKEN`; `None` where no header can carry it.
fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Reads a file of credentials, at most 64 KiB. Callers read it again for each renewal, since the file may be replaced
/// while the program runs.
///
/// # Errors
/// [`TokenError::File`] if the file cannot be read, [`TokenError::FileSize`] if it is too large.
pub async fn read_file(path: &Path) -> Result<Vec<u8>, TokenError> {
    let failed = |problem| TokenError::File { path: path.to_owned(), problem };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let limit = SIZE_LIMIT as u64;
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).await.map_err(failed)?;
    match content.len() as u64 > limit {
        true => Err(TokenError::FileSize { path: path.to_owned(), limit }),
        false => Ok(content),
    }
}

/// Encodes `fields` as a form body or a query.
#[must_use]
pub fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text| utf8_percent_encode(text, FORM);
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

fn request(method: Method, url: &str, body: Bytes) -> Result<Request<Bytes>, TokenError> {
    // A query may hold a secret; none is needed to recognise the URL.
    let malformed = || TokenError::Url { found: url.split('?').next().unwrap_or_default().to_owned() };
    let uri: Uri = url.parse().map_err(|_| malformed())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(malformed());
    }
    let request = Request::builder().method(method).uri(uri).header(ACCEPT, "application/json");
    request.body(body).map_err(TokenError::Request)
}

fn without_query(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()));
    format!("{scheme}://{host}{}", uri.path())
}

/// The reason in an endpoint's error response: OAuth's `error` and `error_description`, or Google's `error.message`.
fn reason(body: &[u8], secrets: &[&str]) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let error = &body["error"];
    let words = [error, &error["status"], &body["error_description"], &error["message"], &body["Message"]];
    let words: Vec<_> = words.iter().filter_map(|word| word.as_str()).collect();
    let mut reason = words.join(": ").replace(char::is_control, " ");
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        reason = reason.replace(secret, "***");
    }
    reason.truncate(reason.floor_char_boundary(REASON_LIMIT));
    match reason.is_empty() {
        true => reason,
        false => format!(": {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_as_every_server_reads_it() {
        assert_eq!(
            form(&[("a", "b c"), ("scope", "https://x/.default"), ("k", "+&=é")]),
            "a=b%20c&scope=https%3A%2F%2Fx%2F.default&k=%2B%26%3D%C3%A9"
        );
    }

    #[test]
    fn a_reason_is_short_and_holds_no_secret() {
        #[track_caller]
        fn check(body: &str, expected: &str) {
            assert_eq!(reason(body.as_bytes(), &["s3cret", ""]), expected);
        }
        check(
            r#"{"error":"invalid_grant","error_description":"not\nyours: s3cret"}"#,
            ": invalid_grant: not yours: ***",
        );
        check(
            r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"no"}}"#,
            ": PERMISSION_DENIED: no",
        );
        check("<html>", "");
        check("[]", "");
        let long = format!(r#"{{"error":"{}"}}"#, "é".repeat(400));
        assert_eq!(reason(long.as_bytes(), &[]).len(), 2 + REASON_LIMIT);
    }

    #[test]
    fn only_http_urls_are_accepted() {
        for url in ["", "file:///etc/passwd", "oauth2.googleapis.com/token", "ftp://x/?secret=1"] {
            let error = request(Method::GET, url, Bytes::new()).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
