//! Translates errors of any form into Anthropic's form, as far as they can be read.

use relay_config::ProviderName;
use relay_messages::{ApiError, error_type};

use super::{Form, UpstreamError, prompt_too_long};

/// Returns `error`, an error of `provider`, in Anthropic's form.
pub(crate) fn translate(provider: &ProviderName, error: &UpstreamError) -> ApiError {
    if error.is_prompt_too_long() {
        return prompt_too_long::api_error(error);
    }
    let message = error.message().unwrap_or_default();
    let answered = error.answered().as_u16();
    let message = match (error.form(), message) {
        (Form::Empty, _) => format!("provider `{provider}` answered {answered} with an empty body"),
        (Form::Page, "") => {
            format!("provider `{provider}` answered {answered} with a page instead of a message")
        }
        (Form::Page, title) => format!("provider `{provider}` answered {answered} with a page: {title}"),
        (_, "") => format!("provider `{provider}` answered {answered} in a form that cannot be read"),
        // Clients match on the beginning of a message.
        (_, message) => format!("{message} (provider `{provider}`)"),
    };
    let status = error.status();
    ApiError::new(status, error_type(status), message)
}

impl UpstreamError {
    /// Returns `true` if the message is about the counting of tokens, not about the tokens that are counted.
    pub(crate) fn is_about_counting(&self) -> bool {
        let message = self.message().unwrap_or_default().to_ascii_lowercase();
        ["count_tokens", "token counting", "counting tokens"].iter().any(|words| message.contains(words))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::testing::error;
    use super::*;

    #[test]
    fn every_form_becomes_anthropics_with_its_status() {
        #[track_caller]
        fn check(status: u16, body: &str, kind: &str, message: &str) {
            let found = translate(&ProviderName::new("gw"), &error(status, body));
            assert_eq!(
                (found.status.as_u16(), found.kind, &*found.message),
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
    fn a_prompt_that_is_too_long_is_reported_in_anthropics_words() {
        let body = r#"{"error":{"message":"the input length exceeds the context length"}}"#;
        let error = error(200, body).with_status(StatusCode::INTERNAL_SERVER_ERROR);
        let message = "prompt is too long: the input length exceeds the context length";
        assert_eq!(
            translate(&ProviderName::new("gw"), &error),
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
        );
    }
}
