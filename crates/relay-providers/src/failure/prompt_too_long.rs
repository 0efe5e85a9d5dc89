//! Errors over a prompt that is too long, in Anthropic's words.

use http::StatusCode;
use relay_messages::ApiError;

use super::UpstreamError;

/// The beginning of the message: Claude Code compacts a conversation if it reads this.
const TOO_LONG: &str = "prompt is too long";

/// The words of upstreams for a prompt that is too long, in lower case.
///
/// # Source
/// OpenAI and vLLM ("This model's maximum context length is …", `context_length_exceeded`), llama.cpp ("the request
/// exceeds the available context size", `exceed_context_size_error`), Ollama ("the input length exceeds the context
/// length"), Bedrock ("Input is too long for requested model."), Gemini ("The input token count (…) exceeds the maximum
/// number of tokens allowed"), Z.AI ("Prompt exceeds max length", "model has reached its context window limit").
const WORDINGS: [&str; 11] = [
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

impl UpstreamError {
    /// Returns `true` if the prompt is too long for the model, in other words than Anthropic's. If `max_tokens` is too
    /// large, the answer is `false`: clients read that message and lower the number.
    pub(crate) fn is_prompt_too_long(&self) -> bool {
        // Some upstreams answer 500 where others refuse the request.
        if !matches!(self.status().as_u16(), 400 | 413 | 422 | 500) {
            return false;
        }
        match self.message() {
            Some(message) if is_too_long(message) => true,
            Some(message) if message.to_ascii_lowercase().contains("max_tokens") => false,
            _ => [self.code(), self.kind()].into_iter().flatten().any(is_too_long),
        }
    }
}

fn is_too_long(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_about_answer = lower.contains("max_tokens") || lower.contains("max_completion_tokens");
    // With a capital letter the words are not Anthropic's: a client does not recognise them.
    !is_about_answer
        && !text.contains(TOO_LONG)
        && WORDINGS.iter().chain([&TOO_LONG]).any(|words| lower.contains(words))
}

/// Returns the error for a prompt that is too long, with the upstream's words for it.
pub(super) fn api_error(message: &str) -> ApiError {
    let message = match message {
        "" => TOO_LONG.to_owned(),
        message => format!("{TOO_LONG}: {message}"),
    };
    ApiError { status: StatusCode::BAD_REQUEST, kind: "invalid_request_error", message }
}

#[cfg(test)]
mod tests {
    use super::super::testing::error;

    #[test]
    fn a_prompt_that_is_too_long_is_recognised_in_every_wording() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: bool) {
            assert_eq!(error(status, body).is_prompt_too_long(), expected, "{body}");
        }
        let message = |message: &str| serde_json::json!({"error": {"message": message}}).to_string();
        for wording in [
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "the request exceeds the available context size (4096 tokens), try increasing it",
            "the input length exceeds the context length",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "[1261][Prompt exceeds max length][20261122]",
            "The model has reached its context window limit.",
            "Prompt is too long",
        ] {
            check(400, &message(wording), true);
            check(500, &message(wording), true);
            check(429, &message(wording), false);
            check(503, &message(wording), false);
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
            &message("input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000"),
            false,
        );
        check(
            400,
            &message("max_tokens is too large: 128000. This model's maximum context length is 32768 tokens"),
            false,
        );
        check(
            400,
            r#"{"error":{"code":"context_length_exceeded","message":"max_tokens is too large"}}"#,
            false,
        );
        check(400, &message("messages: at least one message is required"), false);
    }
}
