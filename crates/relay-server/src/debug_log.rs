//! What `logging.debug_options` adds to the log at level debug.

use std::task::{Context, Poll};

use http::Response;
use relay_config::DebugOptions;
use tower::{Layer, Service};

use crate::error::Error;
use crate::intake::ReadRequest;
use crate::response::{ResponseBody, ResponseFuture};

/// What credentials begin with: Anthropic's and other vendors' keys, AWS's, Google's, GitHub's, Slack's, and JSON Web
/// Tokens.
const CREDENTIALS: [&str; 10] =
    ["sk-", "AKIA", "ASIA", "ABSK", "AIza", "ya29.", "ghp_", "github_pat_", "xox", "eyJ"];
/// A credential is no shorter; a word that is, only looks like one.
const CREDENTIAL_LENGTH: usize = 16;
/// How far behind the end of what is logged a credential is followed, so that none is cut in two and half of it shown.
const LOOKAHEAD: usize = 4096;

/// Logs the start of request bodies and the headers of responses, as far as `options` say so.
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

/// See [`DebugLogLayer`].
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
        let answering = self.inner.call(request);
        if !self.options.log_response_headers {
            return Box::pin(answering);
        }
        Box::pin(async {
            let response = answering.await?;
            tracing::debug!(status = response.status().as_u16(), headers = ?response.headers(), "response headers");
            Ok(response)
        })
    }
}

/// The first `length` bytes of `body` as text, with `***` for what looks like a credential. Redacted first, then cut.
fn excerpt(body: &[u8], length: usize) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(length.saturating_add(LOOKAHEAD))]);
    let mut excerpt = String::with_capacity(length);
    let mut rest = &*text;
    while !rest.is_empty() && excerpt.len() < length {
        let word = rest.find(|char| !is_of_credentials(char)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word);
        match word.len() >= CREDENTIAL_LENGTH && CREDENTIALS.iter().any(|prefix| word.starts_with(prefix)) {
            true => excerpt.push_str("***"),
            false => excerpt.push_str(word),
        }
        let next = after.find(is_of_credentials).unwrap_or(after.len());
        let (between, after) = after.split_at(next);
        excerpt.push_str(between);
        rest = after;
    }
    excerpt.truncate(excerpt.floor_char_boundary(length));
    excerpt
}

fn is_of_credentials(char: char) -> bool {
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
