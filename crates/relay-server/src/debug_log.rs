//! Logs bodies and headers at level debug, as `logging.debug_options` configures it.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Response};
use relay_config::{DebugOptions, Secret};
use relay_providers::ClientCredential;
use tower::Layer;

use crate::error::Error;
use crate::intake::{ReadRequest, ReadService};
use crate::response::ResponseBody;

/// Prefixes of credentials: keys of Anthropic and other vendors, of AWS, Google, GitHub and Slack, and JSON Web Tokens.
const CREDENTIALS: [&str; 10] =
    ["sk-", "AKIA", "ASIA", "ABSK", "AIza", "ya29.", "ghp_", "github_pat_", "xox", "eyJ"];
/// The beginning of Anthropic's keys and tokens. No other text contains it, so that it need not begin a word.
const ANTHROPIC: &str = "sk-ant-";
/// The least length of a credential, in bytes. A shorter word with such a prefix is not redacted.
const CREDENTIAL_LENGTH: usize = 16;
/// The least length of a configured secret that is searched for, in bytes.
const SECRET_LENGTH: usize = 4;
/// The bytes after the end of the excerpt that are searched for credentials. A credential that crosses the end is redacted
/// as a whole instead of being cut.
const LOOKAHEAD: usize = 4096;

/// Logs the start of request bodies and the headers of responses, each if `options` enables it.
#[derive(Debug, Clone)]
pub(crate) struct DebugLogLayer {
    options: DebugOptions,
    secrets: Arc<[Secret]>,
}

impl DebugLogLayer {
    /// Creates a layer that removes `secrets` from bodies, besides everything that looks like a credential.
    pub(crate) fn new(options: DebugOptions, secrets: Vec<Secret>) -> Self {
        Self { options, secrets: secrets.into() }
    }
}

impl<S> Layer<S> for DebugLogLayer {
    type Service = DebugLog<S>;

    fn layer(&self, inner: S) -> DebugLog<S> {
        DebugLog { inner, options: self.options.clone(), secrets: Arc::clone(&self.secrets) }
    }
}

/// The operation of [`DebugLogLayer`].
#[derive(Debug, Clone)]
pub(crate) struct DebugLog<S> {
    inner: S,
    options: DebugOptions,
    secrets: Arc<[Secret]>,
}

impl<S: ReadService> ReadService for DebugLog<S> {
    async fn serve(&self, request: ReadRequest) -> Result<Response<ResponseBody>, Error> {
        let client = self.is_enabled().then(|| request.request.client_credential().cloned()).flatten();
        if self.options.log_request_body {
            let bytes = request.request.body().bytes();
            tracing::debug!(
                bytes = bytes.len(),
                body = excerpt(bytes, self.options.max_body_log_size, &self.secrets, client.as_ref()),
                "request body"
            );
        }
        let response = self.inner.serve(request).await?;
        if self.options.log_response_headers {
            tracing::debug!(
                status = response.status().as_u16(),
                headers = %headers(response.headers(), client.as_ref()),
                "response headers"
            );
        }
        Ok(response)
    }
}

impl<S> DebugLog<S> {
    fn is_enabled(&self) -> bool {
        self.options.log_request_body || self.options.log_response_headers
    }
}

/// Returns `headers` as text, with `***` in place of the client's tokens, which an upstream may repeat.
fn headers(headers: &HeaderMap, client: Option<&ClientCredential>) -> String {
    let text = format!("{headers:?}");
    client.map_or_else(|| text.clone(), |client| client.redact(&text).into_owned())
}

/// Returns at most the first `length` bytes of `body` as text, with `***` in place of `secrets`, of the tokens of `client`, and of
/// other credentials. The text is redacted before it is cut.
fn excerpt(body: &[u8], length: usize, secrets: &[Secret], client: Option<&ClientCredential>) -> String {
    let longest = secrets.iter().map(|secret| secret.expose().len()).max().unwrap_or(0);
    // An escape such as `\u002d` takes six bytes for one.
    let lookahead = LOOKAHEAD.max(longest * 6);
    let text = String::from_utf8_lossy(&body[..body.len().min(length.saturating_add(lookahead))]);
    let text = without_secrets(&text, secrets);
    let text = client.map_or(Cow::Borrowed(&*text), |client| client.redact(&text));
    let mut excerpt = String::with_capacity(length);
    let mut rest = &*text;
    while !rest.is_empty() && excerpt.len() < length {
        let word = rest.find(|char| !is_credential_char(char)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word);
        match credential_in(word) {
            Some(start) => excerpt.extend([&word[..start], "***"]),
            None => excerpt.push_str(word),
        }
        let next = after.find(is_credential_char).unwrap_or(after.len());
        let (between, after) = after.split_at(next);
        excerpt.push_str(between);
        rest = after;
    }
    excerpt.truncate(excerpt.floor_char_boundary(length));
    excerpt
}

/// Returns the place at which a credential begins in `word` and extends to its end.
fn credential_in(word: &str) -> Option<usize> {
    let begins = CREDENTIALS.iter().any(|prefix| word.starts_with(prefix));
    let start = if begins { Some(0) } else { word.find(ANTHROPIC) };
    start.filter(|start| word.len() - start >= CREDENTIAL_LENGTH)
}

/// Replaces each secret in `text` by `***`, written as it is or with any of its characters as escapes of JSON.
fn without_secrets(text: &str, secrets: &[Secret]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let longest = secrets.iter().filter_map(|secret| length_of(secret.expose(), rest)).max();
        match longest {
            Some(_) => out.push_str("***"),
            None => out.push(first),
        }
        rest = &rest[longest.unwrap_or(first.len_utf8())..];
    }
    out
}

/// Returns the length of `secret` at the start of `text`, or `None` if the text starts with something else. A short word is no
/// secret: it would remove parts of other words.
fn length_of(secret: &str, text: &str) -> Option<usize> {
    let mut rest = text;
    for expected in secret.chars() {
        let (found, length) = unescaped(rest)?;
        if found != expected {
            return None;
        }
        rest = &rest[length..];
    }
    (secret.len() >= SECRET_LENGTH).then_some(text.len() - rest.len())
}

/// Returns the first character of a text in JSON and its length in the text, escapes decoded. Half of a surrogate pair is no
/// character.
fn unescaped(text: &str) -> Option<(char, usize)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if first != '\\' {
        return Some((first, first.len_utf8()));
    }
    let escape = chars.next()?;
    match escape {
        'u' => {
            let code = text.get(2..6).and_then(|digits| u32::from_str_radix(digits, 16).ok())?;
            Some((char::from_u32(code)?, 6))
        }
        'n' => Some(('\n', 2)),
        't' => Some(('\t', 2)),
        'r' => Some(('\r', 2)),
        'b' => Some(('\u{8}', 2)),
        'f' => Some(('\u{c}', 2)),
        other => Some((other, 1 + other.len_utf8())),
    }
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
            assert_eq!(excerpt(body.as_bytes(), length, &[], None), expected);
        }
        let key = "sk-ant-api03-abcdefghijklmnop";
        check(r#"{"model":"claude-opus-5-5"}"#, 1000, r#"{"model":"claude-opus-5-5"}"#);
        check(&format!("my key is {key}, keep it"), 1000, "my key is ***, keep it");
        check(&format!("my key is {key}"), 20, "my key is ***");
        check(&format!("{key}{key}"), 5, "***");
        check(&format!("mm{key} x"), 1000, "mm*** x");
        check(&format!("x={key}&y=AKIAIOSFODNN7EXAMPLE;"), 1000, "x=***&y=***;");
        check("sk-short eyJust", 1000, "sk-short eyJust");
        check("Größe", 4, "Gr\u{f6}");
        check("anything", 0, "");
    }

    #[test]
    fn configured_secrets_are_redacted_also_if_escaped_or_at_the_cut() {
        let secrets = [
            Secret::new("plain words/of a key"),
            Secret::new("plain"),
            Secret::new("ab"),
            Secret::new("a\"b-\u{e9}"),
        ];
        #[track_caller]
        fn check(secrets: &[Secret], body: &str, length: usize, expected: &str) {
            assert_eq!(excerpt(body.as_bytes(), length, secrets, None), expected);
        }
        check(&secrets, r#"{"a":"plain words/of a key"}"#, 1000, r#"{"a":"***"}"#);
        check(&secrets, r#"{"a":"plain words\/of a k\u0065y"}"#, 1000, r#"{"a":"***"}"#);
        check(&secrets, r#"{"a":"a\"b-\u00e9", "b":"ab"}"#, 1000, r#"{"a":"***", "b":"ab"}"#);
        check(&secrets, "complain plain", 1000, "com*** ***");
        // The cut is inside of the secret: no part of it remains.
        for length in 0..40 {
            let found = excerpt(br#"{"text":"plain words/of a key"}"#, length, &secrets, None);
            assert!(!found.contains("plain") && !found.contains("words"), "{found}");
        }
        let long = Secret::new("x".repeat(10_000));
        check(&[long], &format!("key={}", "x".repeat(10_000)), 6, "key=**");
    }
}
