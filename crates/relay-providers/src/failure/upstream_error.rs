//! A failure of an upstream, read once into one value.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, response};
use serde_json::Value;

use super::{readable, texts};

/// The bytes of an error's body that are read. An error has a few hundred bytes, an HTML page of a gateway a few thousand.
pub(crate) const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// The form of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// The Messages API's own: `{"type":"error","error":{"type","message"}}`.
    Anthropic,
    /// Any other JSON, also JSON that ends too early.
    Json,
    /// HTML, as gateways and proxies write it.
    Page,
    /// Plain text, or bytes that are neither JSON nor HTML.
    Text,
    /// No body, or a body of white space.
    Empty,
}

/// A failure that an upstream reported: the head of its response, and its body or the first 64 KiB of it.
///
/// The body is parsed once, by [`read`](Self::read). Every decision about the failure reads this value: the outcome, the
/// renewal of a credential, the translation for the client, and the fields that the upstream does not accept.
#[derive(Clone)]
pub struct UpstreamError {
    status: StatusCode,
    answered: StatusCode,
    headers: HeaderMap,
    start: Bytes,
    is_whole: bool,
    form: Form,
    kind: Option<String>,
    code: Option<String>,
    message: Option<String>,
    /// The parsed body; `None` if it is not JSON.
    body: Option<Value>,
}

impl UpstreamError {
    /// Reads the failure that `head` and `start` report. `start` holds the whole body if `is_whole`, or else its
    /// beginning. No input is an error: a body that cannot be read has the form [`Form::Text`].
    #[must_use]
    pub fn read(head: &response::Parts, start: Bytes, is_whole: bool) -> Self {
        #[cfg(test)]
        reads::count();
        let mut error = Self {
            status: head.status,
            answered: head.status,
            headers: head.headers.clone(),
            form: Form::Text,
            kind: None,
            code: None,
            message: None,
            body: None,
            start,
            is_whole,
        };
        error.read_body();
        error
    }

    /// Creates the failure of a response of success that no client can use, with a description of the fault. It has the
    /// status 502. Its body is not read, since it is not an error.
    pub(crate) fn unusable(head: &response::Parts, message: &str) -> Self {
        #[cfg(test)]
        reads::count();
        Self {
            status: StatusCode::BAD_GATEWAY,
            answered: head.status,
            headers: head.headers.clone(),
            start: Bytes::new(),
            is_whole: true,
            form: Form::Json,
            kind: None,
            code: None,
            message: Some(message.to_owned()),
            body: None,
        }
    }

    /// Sets the status that the failure means, if the upstream sent another one.
    #[must_use]
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The status that the failure means. It differs from [`answered`](Self::answered) if the upstream reported the
    /// failure in a response of status 200.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The status that the upstream sent.
    #[must_use]
    pub fn answered(&self) -> StatusCode {
        self.answered
    }

    /// The headers of the response, without those of the connection.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, or at most its first 64 KiB.
    #[must_use]
    pub fn start(&self) -> &Bytes {
        &self.start
    }

    /// Returns `true` if [`start`](Self::start) is the whole body.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The form of the body.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// `error.type`, or Google's `error.status`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// Anthropic's `error.details.error_code`, or else `error.code` or `code`. A number is written out.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The message, fit for a log line: at most 500 characters on one line, without URLs and keys. The title of a page.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The member at `path` of a JSON body, such as `["error", "code"]`; `None` if it is absent.
    pub(crate) fn member(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self.body.as_ref()?, |value, name| value.get(*name))
    }

    /// The member at `path` of a JSON body, or of its first element: Google wraps the errors of a stream in a list.
    pub(crate) fn member_in_list(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(first(self.body.as_ref()?), |value, name| value.get(*name))
    }

    /// The text at `path` of a JSON body as the upstream wrote it; `None` if it is absent, empty or no string.
    pub(crate) fn text(&self, path: &[&str]) -> Option<&str> {
        self.member(path)?.as_str().filter(|text| !text.is_empty())
    }

    /// Every text of the body that may name what the upstream does not accept, also those of an error inside of a text.
    pub(crate) fn texts(&self) -> Vec<String> {
        match &self.body {
            Some(body) => texts::of(body),
            None => std::str::from_utf8(&self.start).map(str::to_owned).into_iter().collect(),
        }
    }

    /// Returns `true` if the body is an error object of the Messages API, complete and not in a list. An upstream with
    /// another API forwards the errors of its models in this form.
    pub(crate) fn is_models_own(&self) -> bool {
        self.member(&["type"]).is_some_and(|kind| kind == "error")
            && self.member(&["error", "type"]).is_some_and(Value::is_string)
    }

    /// Returns `true` if the body is JSON, or begins like JSON.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.form, Form::Anthropic | Form::Json)
    }

    fn read_body(&mut self) {
        let body = self.start.trim_ascii();
        if body.is_empty() {
            self.form = Form::Empty;
            return;
        }
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            self.read_json(value);
            return;
        }
        if body.starts_with(b"{") || body.starts_with(b"[") {
            self.form = Form::Json; // cut off
            return;
        }
        let shown = body.get(..readable::LOOKED_AT).unwrap_or(body);
        let text = String::from_utf8_lossy(shown);
        if text.trim_start().starts_with('<') {
            (self.form, self.message) = (Form::Page, readable::title(&text));
        } else if std::str::from_utf8(shown).is_ok() {
            self.message = readable::line(&text);
        }
    }

    fn read_json(&mut self, value: Value) {
        let root = first(&value);
        let error = root.get("error").unwrap_or(root);
        // Z.AI may return its own code as the type. Clients of the Messages API do not understand it.
        let is_type = |kind: &str| !kind.is_empty() && !kind.bytes().all(|byte| byte.is_ascii_digit());
        let is_anthropic = root["type"] == "error" && error["type"].as_str().is_some_and(is_type);
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let at = |of: &Value, names: &[&str]| names.iter().find_map(|name| text(of.get(name)?));
        let message = match error {
            Value::String(message) => Some(message.clone()),
            // FastAPI's `detail` may be a list of validation errors.
            _ => at(error, &["message", "Message", "detail", "msg", "error_description"])
                .or_else(|| at(root, &["message", "detail"]))
                .or_else(|| Some(root.get("detail")?.to_string())),
        };
        let message = passed_on(error).or(message);
        let code = error.get("details").and_then(|details| at(details, &["error_code"]));
        self.form = if is_anthropic { Form::Anthropic } else { Form::Json };
        self.kind = at(error, &["type", "status"]);
        // MiniMax reports some failures in `base_resp` only.
        let own = |name: &str| at(root.get("base_resp")?, &[name]);
        self.code = code
            .or_else(|| at(error, &["code"]))
            .or_else(|| at(root, &["code"]))
            .or_else(|| own("status_code"));
        self.message = message.or_else(|| own("status_msg")).as_deref().and_then(readable::line);
        self.body = Some(value);
    }
}

/// Returns the first element of a list, or `value` itself.
fn first(value: &Value) -> &Value {
    value.get(0).unwrap_or(value)
}

/// Returns the message of an upstream's own upstream, whose error OpenRouter passes on as a text in `metadata.raw`. The
/// message beside it is always "Provider returned error".
///
/// # Source
/// openrouter.ai/docs, "Errors", `ProviderErrorMetadata`.
fn passed_on(error: &Value) -> Option<String> {
    let raw = error.get("metadata")?.get("raw")?.as_str()?;
    let inner = match serde_json::from_str::<Value>(raw) {
        Ok(inner) => inner,
        Err(_) => return Some(raw.to_owned()).filter(|raw| readable::line(raw).is_some()),
    };
    let root = first(&inner);
    let of = root.get("error").unwrap_or(root);
    let message = of.as_str().or_else(|| of.get("message")?.as_str())?;
    (!message.is_empty()).then(|| message.to_owned())
}

/// Prints no header and no byte of the body: an upstream may quote a credential in them.
impl fmt::Debug for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamError")
            .field("status", &self.status)
            .field("answered", &self.answered)
            .field("form", &self.form)
            .field("kind", &self.kind)
            .field("code", &self.code)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// Counts the reads of a test.
#[cfg(test)]
pub(crate) mod reads {
    use std::cell::Cell;

    thread_local!(static READS: Cell<u32> = const { Cell::new(0) });

    pub(super) fn count() {
        READS.set(READS.get() + 1);
    }

    /// Returns the number of reads on this thread since the last call.
    pub(crate) fn take() -> u32 {
        READS.replace(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::error;
    use super::*;

    #[test]
    fn every_form_is_read() {
        #[track_caller]
        fn check(body: &str, form: Form, kind: Option<&str>, code: Option<&str>, message: Option<&str>) {
            let found = error(500, body);
            let found = (found.form(), found.kind(), found.code(), found.message());
            assert_eq!(found, (form, kind, code, message), "{body}");
        }
        check("", Form::Empty, None, None, None);
        check(" \r\n", Form::Empty, None, None, None);
        check("404 page not found\n", Form::Text, None, None, Some("404 page not found"));
        check("<!DOCTYPE html><title>Oh</title>", Form::Page, None, None, Some("Oh"));
        let anthropic = r#"{"type":"error","error":{"type":"rate_limit_error","message":"no","details":{"error_code":"x"}}}"#;
        check(anthropic, Form::Anthropic, Some("rate_limit_error"), Some("x"), Some("no"));
        let zai = r#"{"error":{"code":"1113","message":"no balance"}}"#;
        check(zai, Form::Json, None, Some("1113"), Some("no balance"));
        let openai =
            r#"{"error":{"message":"no","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
        check(openai, Form::Json, Some("tokens"), Some("rate_limit_exceeded"), Some("no"));
        let google = r#"[{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}]"#;
        check(google, Form::Json, Some("RESOURCE_EXHAUSTED"), Some("429"), Some("no"));
        for (raw, message) in [
            (r#"{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"inner\"}}"#, "inner"),
            (r#"[{\"error\":{\"message\":\"inner\"}}]"#, "inner"),
            (r#"{\"error\":\"inner\"}"#, "inner"),
            ("inner text", "inner text"),
            ("", "outer"),
            ("{}", "outer"),
        ] {
            let body =
                format!(r#"{{"error":{{"message":"outer","code":400,"metadata":{{"raw":"{raw}"}}}}}}"#);
            check(&body, Form::Json, None, Some("400"), Some(message));
        }
        check(r#"{"error":"no such thing"}"#, Form::Json, None, None, Some("no such thing"));
        check(r#"{"message":"Forbidden"}"#, Form::Json, None, None, Some("Forbidden"));
        check(r#"{"detail":"Not Found"}"#, Form::Json, None, None, Some("Not Found"));
        check(r#"{"detail":[{"loc":["a"]}]}"#, Form::Json, None, None, Some(r#"[{"loc":["a"]}]"#));
        for odd in ["{}", "[]", "7", "null", r#"{"error":{"message":{}}}"#] {
            check(odd, Form::Json, None, None, None);
        }
    }

    #[test]
    fn a_text_is_found_by_its_path_as_the_upstream_wrote_it() {
        let body = r#"{"error":{"code":7,"message":"see https://x.y","empty":""}}"#;
        let found = error(400, body);
        assert_eq!(found.text(&["error", "message"]), Some("see https://x.y"));
        assert_eq!(found.member(&["error", "code"]), Some(&Value::from(7)));
        for absent in [&["error", "code"][..], &["error", "empty"], &["error", "code", "x"], &["x"]] {
            assert_eq!(found.text(absent), None, "{absent:?}");
        }
        let in_list = error(400, &format!("[{body}]"));
        assert_eq!(in_list.member(&["error", "code"]), None);
        for found in [found, in_list] {
            assert_eq!(found.member_in_list(&["error", "code"]), Some(&Value::from(7)));
        }
    }

    #[test]
    fn debug_output_holds_no_header_and_no_body() {
        let found = error(401, r#"{"error":{"message":"wrong key sk-secret","hint":"hidden"}}"#);
        let printed = format!("{found:?}");
        assert!(!printed.contains("sk-secret") && !printed.contains("hidden"), "{printed}");
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let found = UpstreamError::read(&super::super::testing::head(500, &[]), body.into(), true);
            prop_assert!(found.message().is_none_or(|message| message.chars().count() <= 501));
            let _ = found.texts();
        }
    }
}
