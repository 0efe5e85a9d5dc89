//! Requests to token endpoints, over the provider's own connections: its certificates and proxies count here too.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tower::BoxError;

use super::TokenError;
use super::secrets::Secrets;
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

/// The successful response of a token endpoint, at most 64 KiB. Its `Debug` output has only the endpoint.
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

    /// Posts `fields` as a form.
    ///
    /// # Errors
    /// [`TokenError`] if the URL cannot be used, or the endpoint returned no complete response with a success status. It
    /// masks the secrets of the request, should the endpoint repeat one.
    pub async fn post_form(&self, url: &str, fields: &[(&str, &str)]) -> Result<TokenAnswer, TokenError> {
        let mut request = request(Method::POST, url, form(fields).into())?;
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, media_type);
        self.exchange(request).await
    }

    /// Posts `body`, which is JSON, with `authorization`.
    ///
    /// # Errors
    /// The errors of [`post_form`](Self::post_form).
    pub async fn post_json(
        &self,
        url: &str,
        authorization: HeaderValue,
        body: impl Into<Bytes>,
    ) -> Result<TokenAnswer, TokenError> {
        let mut request = request(Method::POST, url, body.into())?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(AUTHORIZATION, authorization);
        self.exchange(request).await
    }

    /// Posts `request` to `url`: its body and its headers `content-type` and `authorization`.
    ///
    /// # Errors
    /// The errors of [`post_form`](Self::post_form).
    pub async fn forward(&self, url: &str, request: Request<Bytes>) -> Result<TokenAnswer, TokenError> {
        let (head, body) = request.into_parts();
        let mut request = self::request(Method::POST, url, body)?;
        for name in [CONTENT_TYPE, AUTHORIZATION] {
            if let Some(value) = head.headers.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        self.exchange(request).await
    }

    /// Sends a GET request with `headers` to `url`.
    ///
    /// # Errors
    /// The errors of [`post_form`](Self::post_form).
    pub async fn get(&self, url: &str, headers: HeaderMap) -> Result<TokenAnswer, TokenError> {
        let mut request = request(Method::GET, url, Bytes::new())?;
        request.headers_mut().extend(headers);
        self.exchange(request).await
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<TokenAnswer, TokenError> {
        let endpoint = public_part(&request.uri().to_string());
        let secrets = Secrets::of(&request);
        let unreachable = |source: BoxError| TokenError::Unreachable { endpoint: endpoint.clone(), source };
        let response = self.http.call(request).await.map_err(|error| unreachable(error.into()))?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let reason = reason(&body, &secrets);
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

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Returns `Bearer TOKEN` as the value of `authorization`, marked as sensitive. `None` if no header can carry it.
#[must_use]
pub fn bearer(token: &str) -> Option<HeaderValue> {
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

/// Checks that `url` can be that of a token endpoint: absolute, `http` or `https`, with a port that is a number, and without
/// a user name, which requests would not carry.
///
/// # Errors
/// The URL without its query and its user name, for a message, if it cannot.
pub fn check_url(url: &str) -> Result<(), String> {
    parse_url(url).map(drop).ok_or_else(|| public_part(url))
}

fn parse_url(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_http && uri.authority().is_some_and(is_host_and_port)).then_some(uri)
}

/// Returns `true` if `authority` is a host, alone or with a port. `Uri` accepts any text as a port.
fn is_host_and_port(authority: &Authority) -> bool {
    let (host, whole) = (authority.host(), authority.as_str());
    let port = whole.strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
    !host.is_empty() && (whole == host || port.is_some_and(|port| port.parse::<u16>().is_ok()))
}

fn request(method: Method, url: &str, body: Bytes) -> Result<Request<Bytes>, TokenError> {
    let uri = parse_url(url).ok_or_else(|| TokenError::Url { found: public_part(url) })?;
    let request = Request::builder().method(method).uri(uri).header(ACCEPT, "application/json");
    request.body(body).map_err(TokenError::Request)
}

/// Returns `url` without its query and its user name, which may hold secrets. Neither is needed to recognise the URL.
fn public_part(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("//").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    if url.len() == rest.len() { format!("{host}{path}") } else { format!("{scheme}//{host}{path}") }
}

/// The reason in an endpoint's error response: OAuth's `error` and `error_description`, or Google's `error.message`.
fn reason(body: &[u8], secrets: &Secrets) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let error = &body["error"];
    let words = [error, &error["status"], &body["error_description"], &error["message"], &body["Message"]];
    let words: Vec<_> = words.iter().filter_map(|word| word.as_str()).collect();
    let mut reason = secrets.mask(words.join(": ").replace(char::is_control, " "));
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
    fn the_debug_output_of_an_answer_has_no_token() {
        let body = Bytes::from(r#"{"access_token":"s3cret"}"#);
        let answer = TokenAnswer { endpoint: "http://x".to_owned(), headers: HeaderMap::new(), body };
        assert!(!format!("{answer:?} {:?}", answer.bearer("access_token")).contains("s3cret"));
    }

    #[test]
    fn a_reason_is_short_and_holds_no_secret() {
        #[track_caller]
        fn check(body: &str, expected: &str) {
            let request =
                request(Method::POST, "http://x", form(&[("client_secret", "s3cret")]).into()).unwrap();
            assert_eq!(reason(body.as_bytes(), &Secrets::of(&request)), expected);
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
        assert_eq!(reason(long.as_bytes(), &Secrets::of(&Request::default())).len(), 2 + REASON_LIMIT);
    }

    #[test]
    fn only_http_urls_without_a_user_name_are_accepted() {
        #[track_caller]
        fn check(url: &str, shown: &str) {
            assert_eq!(check_url(url).unwrap_err(), shown);
            let error = request(Method::GET, url, Bytes::new()).unwrap_err().to_string();
            assert_eq!(error, format!("{shown:?} is not the URL of a token endpoint"));
        }
        check("", "");
        check("file:///etc/passwd", "file:///etc/passwd");
        check("oauth2.googleapis.com/token", "oauth2.googleapis.com/token");
        check("ftp://x/?secret=1", "ftp://x/");
        check("https://x/to ken#secret", "https://x/to ken");
        check("https://user:s3cret@x/token", "https://x/token");
        check("https://", "https://");
        check("/token", "/token");
        check("user:s3cret@x", "x");
        for port in ["port", "", "65536", "-1"] {
            let url = format!("https://x:{port}/token");
            check(&url, &url);
        }
        check("https://:443/token", "https://:443/token");
        for url in
            ["https://x:8443/token?a=b@c", "http://127.0.0.1:1", "http://[::1]:80/t", "https://[::1]/t"]
        {
            assert_eq!(check_url(url), Ok(()));
        }
    }
}
