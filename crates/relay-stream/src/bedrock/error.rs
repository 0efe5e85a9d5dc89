//! The error types of Anthropic for the errors of AWS.

use std::borrow::Cow;

/// Returns the Anthropic error type for the name of an AWS error. Clients of the Messages API decide by this
/// type.
///
/// Accepts every form in which AWS writes a name: `throttlingException` in a frame,
/// `ThrottlingException:http://…` in the header `x-amzn-ErrorType`, and
/// `com.amazon.coral#ThrottlingException` in a body. An unknown name is an `api_error`.
/// ```
/// use relay_stream::bedrock::anthropic_error_type;
///
/// assert_eq!(anthropic_error_type("throttlingException"), "rate_limit_error");
/// assert_eq!(anthropic_error_type("aws.x#AccessDeniedException:http://y"), "permission_error");
/// ```
/// # Source
/// The names are those of the service model of bedrock-runtime. A rejected AWS credential is a
/// `permission_error` and not an `authentication_error` by a choice made here: the client's own credential is
/// not at fault.
pub fn anthropic_error_type(aws: &str) -> &'static str {
    known_error_type(aws).unwrap_or("api_error")
}

/// Names without the suffix `Exception`, each with its type.
const TYPES: &[(&str, &str)] = &[
    ("Validation", "invalid_request_error"),
    ("AccessDenied", "permission_error"),
    ("UnrecognizedClient", "permission_error"),
    ("InvalidSignature", "permission_error"),
    ("ExpiredToken", "permission_error"),
    ("MissingAuthenticationToken", "permission_error"),
    ("ResourceNotFound", "not_found_error"),
    ("ModelTimeout", "timeout_error"),
    ("ModelError", "api_error"),
    ("ModelStreamError", "api_error"),
    ("Throttling", "rate_limit_error"),
    ("ModelNotReady", "overloaded_error"),
    ("ServiceQuotaExceeded", "rate_limit_error"),
    ("InternalServer", "api_error"),
    ("InternalFailure", "api_error"),
    ("ServiceUnavailable", "overloaded_error"),
];

/// Returns the type for a known name of AWS.
pub(crate) fn known_error_type(aws: &str) -> Option<&'static str> {
    let name = aws.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    let stem = match name.len().checked_sub("Exception".len()).and_then(|at| name.split_at_checked(at)) {
        Some((stem, suffix)) if suffix.eq_ignore_ascii_case("Exception") => stem,
        _ => name,
    };
    TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(stem)).map(|(_, kind)| *kind)
}

/// Returns the name of AWS for an error type of Anthropic: the exception that a client of Bedrock expects. An
/// unknown type is an `internalServerException`.
///
/// [`anthropic_error_type`] returns the type again, except for three types without a counterpart:
/// `authentication_error` and `billing_error` become `permission_error`, `request_too_large` becomes
/// `invalid_request_error`.
/// ```
/// use relay_stream::bedrock::aws_exception_name;
///
/// assert_eq!(aws_exception_name("overloaded_error"), "serviceUnavailableException");
/// ```
/// # Source
/// The names are those of the service model of bedrock-runtime. Those of `permission_error` and
/// `not_found_error` are errors of the operation, which the SDKs of AWS also read inside a stream.
pub fn aws_exception_name(kind: &str) -> &'static str {
    match kind {
        "invalid_request_error" | "request_too_large" => "validationException",
        "permission_error" | "authentication_error" | "billing_error" => "accessDeniedException",
        "not_found_error" => "resourceNotFoundException",
        "rate_limit_error" => "throttlingException",
        "timeout_error" => "modelTimeoutException",
        "overloaded_error" => "serviceUnavailableException",
        _ => "internalServerException",
    }
}

/// Returns the message for clients of Anthropic. Claude Code compacts a conversation if a message contains
/// `prompt is too long`. Bedrock's wording for this fault is prefixed with these words. Every other message
/// is unchanged.
pub fn anthropic_message(aws: &str) -> Cow<'_, str> {
    if aws.contains("Input is too long") && !aws.contains("prompt is too long") {
        return Cow::Owned(format!("prompt is too long: {aws}"));
    }
    Cow::Borrowed(aws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(aws: &str, expected: &str) {
        assert_eq!(anthropic_error_type(aws), expected, "{aws}");
    }

    #[test]
    fn every_name_of_the_service_model_has_a_type() {
        check("validationException", "invalid_request_error");
        check("AccessDeniedException", "permission_error");
        check("UnrecognizedClientException", "permission_error");
        check("InvalidSignatureException", "permission_error");
        check("ExpiredTokenException", "permission_error");
        check("MissingAuthenticationTokenException", "permission_error");
        check("ResourceNotFoundException", "not_found_error");
        check("modelTimeoutException", "timeout_error");
        check("ModelErrorException", "api_error");
        check("modelStreamErrorException", "api_error");
        check("throttlingException", "rate_limit_error");
        check("ModelNotReadyException", "overloaded_error");
        check("ServiceQuotaExceededException", "rate_limit_error");
        check("internalServerException", "api_error");
        check("serviceUnavailableException", "overloaded_error");
    }

    #[test]
    fn names_are_read_in_every_form_and_unknown_ones_are_api_errors() {
        check("InternalFailure", "api_error");
        check("ExpiredToken", "permission_error");
        check("com.amazon.coral.service#ThrottlingException", "rate_limit_error");
        check("ThrottlingException:http://internal.amazon.com/coral/", "rate_limit_error");
        check("Exception", "api_error");
        check("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", "api_error");
        check("", "api_error");
        assert_eq!(known_error_type("overloaded_error"), None);
    }

    #[test]
    fn the_exception_of_a_type_has_that_type_again() {
        for kind in [
            "invalid_request_error",
            "permission_error",
            "not_found_error",
            "rate_limit_error",
            "timeout_error",
            "overloaded_error",
            "api_error",
        ] {
            assert_eq!(anthropic_error_type(aws_exception_name(kind)), kind);
        }
        assert_eq!(aws_exception_name("billing_error"), "accessDeniedException");
        assert_eq!(aws_exception_name("new_error"), "internalServerException");
    }

    #[test]
    fn only_the_message_for_a_too_long_prompt_changes() {
        let long = anthropic_message("Input is too long for requested model.");
        assert_eq!(long, "prompt is too long: Input is too long for requested model.");
        assert_eq!(anthropic_message("Too many tokens"), "Too many tokens");
    }
}
