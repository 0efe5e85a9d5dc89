//! What the body of an error says, whatever its form.

use serde_json::Value;

use super::readable;

/// The forms of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The Messages API's own: `{"type":"error","error":{"type","message"}}`.
    Anthropic,
    /// Any other JSON.
    Json,
    /// HTML, as gateways and proxies write it.
    Page,
    /// Text, or what is meant to be some.
    Text,
    /// There is no body.
    Nothing,
}

/// What can be read of an error. Its texts are short, on one line, and without URLs and keys.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    pub(crate) form: Form,
    /// `error.type`, or what stands where others have it.
    pub(crate) kind: Option<String>,
    /// `error.details.error_code` of Anthropic's, or the code of another's. A number is written out.
    pub(crate) code: Option<String>,
    /// A page's is its title.
    pub(crate) message: Option<String>,
}

impl Reason {
    /// Whether it is JSON, or begins as such.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.form, Form::Anthropic | Form::Json)
    }

    /// Reads what there is; nothing is too odd.
    pub(crate) fn read(body: &[u8]) -> Self {
        let body = body.trim_ascii();
        let of = |form, message| Self { form, kind: None, code: None, message };
        if body.is_empty() {
            return of(Form::Nothing, None);
        }
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            return Self::of_json(&value);
        }
        if body.starts_with(b"{") || body.starts_with(b"[") {
            return of(Form::Json, None); // cut off
        }
        let Ok(text) = std::str::from_utf8(body.get(..readable::LOOKED_AT).unwrap_or(body)) else {
            // Text that is cut within a character, or none at all.
            let start = String::from_utf8_lossy(body.get(..readable::LOOKED_AT).unwrap_or(body));
            return match start.trim_start().starts_with('<') {
                true => of(Form::Page, readable::title(&start)),
                false => of(Form::Text, None),
            };
        };
        match text.starts_with('<') {
            true => of(Form::Page, readable::title(text)),
            false => of(Form::Text, readable::line(text)),
        }
    }

    /// Google wraps the errors of a stream into a list.
    fn of_json(value: &Value) -> Self {
        let value = value.get(0).unwrap_or(value);
        let error = value.get("error").unwrap_or(value);
        let is_anthropic = value["type"] == "error" && error["type"].is_string();
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let at = |of: &Value, names: &[&str]| names.iter().find_map(|name| text(of.get(name)?));
        let message = match error {
            Value::String(message) => Some(message.clone()),
            // FastAPI's `detail` may be a list of what does not fit.
            _ => at(error, &["message", "Message", "detail", "msg", "error_description"])
                .or_else(|| at(value, &["message", "detail"]))
                .or_else(|| Some(value.get("detail")?.to_string())),
        };
        let code = error.get("details").and_then(|details| at(details, &["error_code"]));
        Self {
            form: if is_anthropic { Form::Anthropic } else { Form::Json },
            kind: at(error, &["type", "status"]),
            code: code.or_else(|| at(error, &["code"])).or_else(|| at(value, &["code"])),
            message: message.as_deref().and_then(readable::line),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read() {
        #[track_caller]
        fn check(body: &str, form: Form, kind: Option<&str>, code: Option<&str>, message: Option<&str>) {
            let found = Reason::read(body.as_bytes());
            let found = (found.form, found.kind.as_deref(), found.code.as_deref(), found.message.as_deref());
            assert_eq!(found, (form, kind, code, message), "{body}");
        }
        check("", Form::Nothing, None, None, None);
        check(" \r\n", Form::Nothing, None, None, None);
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
        check(r#"{"error":"no such thing"}"#, Form::Json, None, None, Some("no such thing"));
        check(r#"{"message":"Forbidden"}"#, Form::Json, None, None, Some("Forbidden"));
        check(r#"{"detail":"Not Found"}"#, Form::Json, None, None, Some("Not Found"));
        check(r#"{"detail":[{"loc":["a"]}]}"#, Form::Json, None, None, Some(r#"[{"loc":["a"]}]"#));
        for odd in ["{}", "[]", "7", "null", r#"{"error":{"message":{}}}"#] {
            check(odd, Form::Json, None, None, None);
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let reason = Reason::read(&body);
            prop_assert!(reason.message.is_none_or(|message| message.chars().count() <= 501));
        }
    }
}
