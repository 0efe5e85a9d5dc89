//! Errors of any form in Anthropic's, so that a client's own recovery works: it reads `error.message`.
//!
//! ```text
//! body ─Reason::read─▶ Reason { form, code, message } ─translate─▶ ApiError
//!  any form             what is readable of it           what the client gets
//! ```
//! What a kind of provider knows better comes first, in its `translate_error`; this is for what is left.

mod disguised;
mod readable;
mod reason;

use http::StatusCode;
use relay_config::ProviderName;
use relay_messages::{ApiError, error_type};

pub(crate) use disguised::{is_cut_off, may_be_disguised, status_of, true_status};
pub(crate) use reason::{Form, Reason};

/// Claude Code compacts a conversation when a message begins with this.
const TOO_LONG: &str = "prompt is too long";

/// What upstreams say of a prompt that is too long, in small letters.
///
/// # Source
/// OpenAI and vLLM ("This model's maximum context length is …", `context_length_exceeded`), llama.cpp ("the request
/// exceeds the available context size", `exceed_context_size_error`), Ollama ("the input length exceeds the context
/// length"), Bedrock ("Input is too long for requested model."), Gemini ("The input token count (…) exceeds the maximum
/// number of tokens allowed"), Z.AI ("Prompt exceeds max length", "model has reached its context window limit").
const SAYS_TOO_LONG: [&str; 11] = [
    "context_length_exceeded",
    "maximum context length",
    "exceeds the context length",
    "exceed_context_size_error",
    "exceeds the available context size",
    "exceeds the context window",
    "input is too long",
    "exceeds the maximum number of tokens",
    "prompt exceeds max length",
    "reached its context window limit",
    "context window exceeds limit",
];

impl Reason {
    /// Whether the prompt is too long for the model, in other words than Anthropic's. Where `max_tokens` is what does not
    /// fit, clients have to see that: they ask for less then.
    pub(crate) fn is_too_long(&self, status: StatusCode) -> bool {
        // Some upstreams fail over it rather than refuse it.
        if !matches!(status.as_u16(), 400 | 413 | 422 | 500) {
            return false;
        }
        let says = |text: &str| {
            let lower = text.to_ascii_lowercase();
            let is_about_answer = lower.contains("max_tokens") || lower.contains("max_completion_tokens");
            // With a capital letter they are other words to a client.
            !is_about_answer
                && !text.contains(TOO_LONG)
                && SAYS_TOO_LONG.iter().chain([&TOO_LONG]).any(|words| lower.contains(words))
        };
        match &self.message {
            Some(message) if says(message) => true,
            Some(message) if message.to_ascii_lowercase().contains("max_tokens") => false,
            _ => [&self.code, &self.kind].into_iter().flatten().any(|text| says(text)),
        }
    }
}

/// A prompt that is too long, with the upstream's words for it.
pub(crate) fn too_long(message: &str) -> ApiError {
    let message = match message {
        "" => TOO_LONG.to_owned(),
        message => format!("{TOO_LONG}: {message}"),
    };
    ApiError { status: StatusCode::BAD_REQUEST, kind: "invalid_request_error", message }
}

/// What `provider` `answered`, as far as anything of it can be read. `status` is what that means.
pub(crate) fn translate(
    provider: &ProviderName,
    answered: StatusCode,
    status: StatusCode,
    reason: &Reason,
) -> ApiError {
    let message = reason.message.as_deref().unwrap_or_default();
    if reason.is_too_long(status) {
        return too_long(message);
    }
    let number = answered.as_u16();
    let message = match (&reason.form, message) {
        (Form::Nothing, _) => format!("provider `{provider}` answered {number} with an empty body"),
        (Form::Page, "") => {
            format!("provider `{provider}` answered {number} with a page instead of a message")
        }
        (Form::Page, title) => format!("provider `{provider}` answered {number} with a page: {title}"),
        (_, "") => format!("provider `{provider}` answered {number} in a form that cannot be read"),
        // What clients look for in a message, they look for at its start.
        (_, message) => format!("{message} (provider `{provider}`)"),
    };
    ApiError { status, kind: error_type(status), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_becomes_anthropics_with_its_status() {
        #[track_caller]
        fn check(status: u16, body: &str, kind: &str, message: &str) {
            let code = StatusCode::from_u16(status).unwrap();
            let error = translate(&ProviderName::new("gw"), code, code, &Reason::read(body.as_bytes()));
            assert_eq!(
                (error.status.as_u16(), error.kind, &*error.message),
                (status, kind, message),
                "{body}"
            );
        }
        check(502, "", "api_error", "provider `gw` answered 502 with an empty body");
        check(
            502,
            "<html>\r\n<head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
            "api_error",
            "provider `gw` answered 502 with a page: 502 Bad Gateway",
        );
        check(
            413,
            "<html><body></body></html>",
            "request_too_large",
            "provider `gw` answered 413 with a page instead of a message",
        );
        check(
            400,
            r#"{"error":{"message":"Unknown field","type":"invalid_request_error","code":null}}"#,
            "invalid_request_error",
            "Unknown field (provider `gw`)",
        );
        check(404, r#"{"detail":"Not Found"}"#, "not_found_error", "Not Found (provider `gw`)");
        check(503, "upstream connect error", "overloaded_error", "upstream connect error (provider `gw`)");
        check(
            500,
            "\u{1}\u{2}\u{3}",
            "api_error",
            "provider `gw` answered 500 in a form that cannot be read",
        );
        check(500, "{}", "api_error", "provider `gw` answered 500 in a form that cannot be read");
    }

    #[test]
    fn a_prompt_that_is_too_long_is_said_in_anthropics_words() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: bool) {
            let reason = Reason::read(body.as_bytes());
            assert_eq!(reason.is_too_long(StatusCode::from_u16(status).unwrap()), expected, "{body}");
        }
        let error = |message: &str| serde_json::json!({"error": {"message": message}}).to_string();
        for message in [
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "the request exceeds the available context size (4096 tokens), try increasing it",
            "the input length exceeds the context length",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "[1261][Prompt exceeds max length][20261122]",
            "The model has reached its context window limit.",
            "Prompt is too long",
        ] {
            check(400, &error(message), true);
            check(500, &error(message), true);
            check(429, &error(message), false);
            check(503, &error(message), false);
        }
        check(400, r#"{"error":{"code":"context_length_exceeded","message":"300000 tokens"}}"#, true);
        check(400, r#"{"error":{"code":400,"message":"too big","type":"exceed_context_size_error"}}"#, true);
        check(
            400,
            r#"{"type":"error","error":{"type":"x","message":"prompt is too long: 2 tokens > 1 maximum"}}"#,
            false,
        );
        check(
            400,
            &error("input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000"),
            false,
        );
        check(
            400,
            &error("max_tokens is too large: 128000. This model's maximum context length is 32768 tokens"),
            false,
        );
        check(
            400,
            r#"{"error":{"code":"context_length_exceeded","message":"max_tokens is too large"}}"#,
            false,
        );
        check(400, &error("messages: at least one message is required"), false);

        let reason = Reason::read(error("the input length exceeds the context length").as_bytes());
        let found =
            translate(&ProviderName::new("gw"), StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR, &reason);
        let message = "prompt is too long: the input length exceeds the context length".to_owned();
        assert_eq!(
            found,
            ApiError { status: StatusCode::BAD_REQUEST, kind: "invalid_request_error", message }
        );
    }
}
