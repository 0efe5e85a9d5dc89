//! Logs bodies and headers at level debug, as `logging.debug_options` configures it.

use std::task::{Context, Poll};

use http::Response;
use relay_config::DebugOptions;
use tower::{Layer, Service};

use crate::error::Error;
use crate::intake::ReadRequest;
use crate::response::{ResponseBody, ResponseFuture};

/// Prefixes of credentials: keys of Anthropic and other vendors, of AWS, Google, GitHub and Slack, and JSON Web Tokens.
const CREDENTIALS: [&str; 10] =
    ["sk-", "AKIA", "ASIA", "ABSK", "AIza", "ya29.", "ghp_", "github_pat_", "xox", "eyJ"];
/// The least length of a credential, in bytes. A shorter word with such a prefix is not redacted.
const CREDENTIAL_LENGTH: usize = 16;
/// The bytes after the end of the excerpt that are searched for credentials. A credential that crosses the end is redacted
/// as a whole instead of being cut.
const LOOKAHEAD: usize = 4096;

/// Logs the start of request bodies and the headers of responses, each if `options` enables it.
#[derive(Debug, Clone)]
pub(crate) struct DebugLogLayer {
    options: DebugOptions,
}

impl DebugLogLayer {
    pub(crate) fn new(options: DebugOptions) -> Self {
        Self { options }
    }
}

impl<S> Layer<S> for DebugLogLayer {
    type Service = DebugLog<S>;

    fn layer(&self, inner: S) -> DebugLog<S> {
        DebugLog { inner, options: self.options.clone() }
    }
}

/// The service of [`DebugLogLayer`].
#[derive(Debug, Clone)]
pub(crate) struct DebugLog<S> {
    inner: S,
    options: DebugOptions,
}

impl<S> Service<ReadRequest> for DebugLog<S>
where
    S: Service<ReadRequest, Response = Response<ResponseBody>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: ReadRequest) -> Self::Future {
        if self.options.log_request_body {
            let bytes = request.request.body().bytes();
            tracing::debug!(
                bytes = bytes.len(),
                body = excerpt(bytes, self.options.max_body_log_size),
                "request body"
            );
        }
        let response = self.inner.call(request);
        if !self.options.log_response_headers {
            return Box::pin(response);
        }
        Box::pin(async {
            let response = response.await?;
            tracing::debug!(status = response.status().as_u16(), headers = ?response.headers(), "response headers");
            Ok(response)
        })
    }
}

/// Returns at most the first `length` bytes of `body` as text, with `***` in place of credentials. The text is redacted
/// before it is cut.
fn excerpt(body: &[u8], length: usize) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(length.saturating_add(LOOKAHEAD))]);
    let mut excerpt = String::with_capacity(length);
    let mut rest = &*text;
    while !rest.is_empty() && excerpt.len() < length {
        let word = rest.find(|char| !is_credential_char(char)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word);
        match word.len() >= CREDENTIAL_LENGTH && CREDENTIALS.iter().any(|prefix| word.starts_with(prefix)) {
            true => excerpt.push_str("***"),
            false => excerpt.push_str(word),
        }
        let next = after.find(is_credential_char).unwrap_or(after.len());
        let (between, after) = after.split_at(next);
        excerpt.push_str(between);
        rest = after;
    }
    excerpt.truncate(excerpt.floor_char_boundary(length));
    excerpt
}

fn is_credential_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_redacted_before_the_text_is_cut() {
        #[track_caller]
        fn check(body: &str, length: usize, expected: &str) {
            assert_eq!(excerpt(body.as_bytes(), length), expected);
        }
        let key = "sk-ant-api03-abcdefghijklmnop";
        check(r#"{"model":"claude-opus-5-5"}"#, 1000, r#"{"model":"claude-opus-5-5"}"#);
        check(&format!("my key is {key}, keep it"), 1000, "my key is ***, keep it");
        check(&format!("my key is {key}"), 20, "my key is ***");
        check(&format!("{key}{key}"), 5, "***");
        check(&format!("x={key}&y=AKIAIOSFODNN7EXAMPLE;"), 1000, "x=***&y=***;");
        check("sk-short eyJust", 1000, "sk-short eyJust");
        check("Größe", 4, "Gr\u{f6}");
        check("anything", 0, "");
    }
}
