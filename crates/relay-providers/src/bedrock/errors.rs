//! Judges Bedrock's errors, for routing and for the client.
//!
//! A rejected AWS credential is a `permission_error` and not a 401 for the client, because the credential is not the
//! client's.
//!
//! # Source
//! The names are in the service model of bedrock-runtime. The wording of a missing agreement is in reports:
//! github.com/anthropics/claude-code, issue 9681, github.com/Tracer-Cloud/opensre, pull request 1811
//! (`INVALID_PAYMENT_INSTRUMENT`), and github.com/ministryofjustice/modernisation-platform-environments, pull request 18323
//! (AWS Marketplace). An account that is closed to Bedrock: github.com/aws/aws-cli, issue 8717, and
//! github.com/kirodotdev/Kiro, issue 11191 ("Operation not allowed").

use std::borrow::Cow;

use http::header::HeaderName;

use crate::failure::{self, Judgement, Meaning, Rule, Scope, Subject, UpstreamError, Wait, When};
use crate::outcome::Outcome;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The names of refusals after which a newer credential of the same source may be accepted. Like every name in this file,
/// they have no suffix `Exception`.
const RENEWABLE: [&str; 3] = ["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient"];

/// The words for a signature whose time is wrong.
const CLOCK: &str =
    "{message} (the clock of the relay's machine is wrong: synchronise it, for example with NTP)";
/// The names of refusals of a signature. Such a refusal is about the time if its message contains one of [`TIME_TEXTS`].
const SIGNATURE: [&str; 2] = ["InvalidSignature", "SignatureDoesNotMatch"];
/// The names of refusals of a signature's time.
const TIME: [&str; 3] = ["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"];
/// The parts of messages about a signature's time.
const TIME_TEXTS: [&str; 3] = ["signature expired", "signature not yet current", "skewed"];
const NO_ACCESS: &str = "{message} (Bedrock: the account has no access to `{model}`)";

const RULES: &[Rule] = &[
    // The correction by the date of the response has not helped, or the response had no date.
    Rule::when(&[When::Says("signature expired")])
        .means(Meaning::CredentialRejected)
        .answers(403)
        .says(CLOCK),
    Rule::when(&[When::Says("signature not yet current")])
        .means(Meaning::CredentialRejected)
        .answers(403)
        .says(CLOCK),
    Rule::when(&[When::Code(&TIME)]).means(Meaning::CredentialRejected).answers(403).says(CLOCK),
    // Only the message identifies these errors. Their name is `ValidationException` or `AccessDeniedException`.
    Rule::when(&[When::Says("on-demand throughput isn")])
        .means(Meaning::ModelUnavailable)
        .says("{message} (map the model to an inference profile, such as us.{model}, in model_mapping)"),
    Rule::when(&[When::Says("model identifier is invalid")])
        .means(Meaning::ModelUnavailable)
        .says("{message} (`{model}` is no id of Bedrock's: map the model to one in model_mapping)"),
    Rule::when(&[When::Says("access to the model with the specified model id")])
        .means(Meaning::ModelUnavailable)
        .says("{message} (enable `{model}` for this account and region in the Bedrock console)"),
    // The account cannot pay, or is closed to Bedrock.
    Rule::when(&[When::Code(&["AccessDenied"]), When::Says("invalid_payment_instrument")])
        .means(Meaning::AccountRejected)
        .answers(403),
    Rule::when(&[When::Code(&["OptInRequired", "SubscriptionRequired"])])
        .means(Meaning::AccountRejected)
        .answers(403),
    Rule::when(&[When::Code(&["Validation"]), When::Begins(&["operation not allowed"])])
        .means(Meaning::AccountRejected)
        .answers(403),
    // The account has no access to this one model: no agreement, or a policy that names it.
    // The client cannot change that, so it gets a 502.
    Rule::when(&[When::Begins(&["model access is denied", "access to this model is not available"])])
        .means(Meaning::ModelUnavailable)
        .answers(502)
        .says(NO_ACCESS),
    Rule::when(&[
        When::Code(&["AccessDenied"]),
        When::Says("on resource: arn:"),
        When::SaysOne(&["foundation-model/", "inference-profile/"]),
    ])
    .means(Meaning::ModelUnavailable)
    .answers(502)
    .says(NO_ACCESS),
    // Some models have no CountTokens.
    Rule::when(&[When::Says("t support counting tokens")]).means(Meaning::Unsupported),
    // Claude Code compacts a conversation if it reads this message.
    Rule::when(&[When::Says("input is too long")]).says("prompt is too long: {message}"),
    Rule::when(&[When::Code(&[
        "AccessDenied",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignature",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "UnrecognizedClient",
    ])])
    .means(Meaning::CredentialRejected)
    .answers(403),
    // AWS limits each model by itself. It names no limit, and rarely a time.
    Rule::when(&[When::Code(&["Throttling", "TooManyRequests", "ServiceQuotaExceeded"])])
        .means(Meaning::Limited(Scope::ModelIfTimed, Wait::Headers))
        .answers(429),
    Rule::when(&[When::Code(&["ModelNotReady", "ServiceUnavailable"])])
        .means(Meaning::Overloaded(Wait::Headers))
        .answers(503),
    // The model failed, not Bedrock.
    Rule::when(&[When::Code(&["ModelTimeout"])]).means(Meaning::ModelFailed).answers(408),
    Rule::when(&[When::Code(&["ModelError", "ModelStreamError"])]).means(Meaning::ModelFailed),
    Rule::when(&[When::Code(&["InternalServer", "InternalFailure"])]).means(Meaning::Failed),
    Rule::when(&[When::Code(&["ResourceNotFound"])]).means(Meaning::ModelUnavailable).answers(404),
    Rule::when(&[When::Code(&["Validation"])]).means(Meaning::Refused).answers_type("invalid_request_error"),
    // Bedrock's status for a model that failed.
    Rule::when(&[When::HasCode, When::Status(424, 424)]).answers(500),
    Rule::when(&[When::HasCode, When::Status(500, 599)]).answers_type("api_error"),
    // Without a name, only the status is left.
    Rule::when(&[When::Status(504, 504)]).answers(408),
    Rule::when(&[When::Status(529, 529)]).answers(503),
    Rule::when(&[When::HasMessage]).says("{message}"),
    Rule::when(&[When::HasCode]).says("{code}"),
];

/// Judges an error in answer to a request for `model`.
pub(super) fn judge(error: &UpstreamError, model: &str) -> Judgement {
    let name = name(error);
    let is_renewable = name.as_deref().is_some_and(|name| RENEWABLE.contains(&name));
    let renew_credential = is_renewable || is_about_time(error);
    if error.is_models_own() {
        let judgement = Judgement::by_anthropic_table(error);
        // An exception at the beginning of a stream: Bedrock has accepted the request, and the model has failed.
        let outcome = match judgement.outcome {
            Outcome::Failed if error.answered().is_success() => Outcome::ModelFailed,
            outcome => outcome,
        };
        return Judgement { renew_credential, outcome, ..judgement };
    }
    let message = message(error);
    let facts = [("model", model)];
    let subject = Subject::with(error, name, message).with_facts(&facts);
    Judgement { renew_credential, ..failure::judge(RULES, &subject) }
}

/// Returns `true` if the time of a signature was refused.
pub(super) fn is_about_time(error: &UpstreamError) -> bool {
    let name = name(error).unwrap_or_default();
    let message = message(error).unwrap_or_default().to_ascii_lowercase();
    let names_time = || TIME_TEXTS.iter().any(|text| message.contains(text));
    TIME.contains(&&*name) || (SIGNATURE.contains(&&*name) && names_time())
}

fn message(error: &UpstreamError) -> Option<&str> {
    error.text(&["message"]).or_else(|| error.text(&["Message"]))
}

/// Returns the name of the error as AWS's JSON protocols write it: in a header, or else in the body.
fn name(error: &UpstreamError) -> Option<Cow<'_, str>> {
    let header = error.headers().get(ERROR_TYPE).and_then(|value| value.to_str().ok());
    let name = header.or_else(|| error.text(&["code"])).or_else(|| error.text(&["__type"]))?;
    Some(stem(name)).filter(|name| !name.is_empty()).map(Cow::Borrowed)
}

/// Returns `Throttling` for `com.amazon.coral#ThrottlingException:http://internal.amazon.com/`.
fn stem(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().trim();
    name.strip_suffix("Exception").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::testing;
    use crate::outcome::LimitScope;

    const LIMITED: Outcome = Outcome::RateLimited { retry_after: None, scope: LimitScope::Request };

    fn judged(status: u16, name: &str, body: &str) -> Judgement {
        let header = [("x-amzn-errortype", name)];
        let headers = if name.is_empty() { &[][..] } else { &header };
        judge(&testing::error_with(status, headers, body), "claude-x")
    }

    #[test]
    fn every_error_has_its_outcome_and_its_status() {
        #[track_caller]
        fn check(status: u16, name: &str, outcome: Outcome, expected: (u16, &str)) {
            let expected = (expected.0, expected.1, "why");
            let in_body = format!(r#"{{"__type":"com.amazon.coral.service#{name}","Message":"why"}}"#);
            for (name, body) in [
                (name, r#"{"message":"why"}"#),
                (&format!("{name}:http://internal.amazon.com/coral/"), r#"{"message":"why"}"#),
                ("", &in_body),
            ] {
                let judgement = judged(status, name, body);
                assert_eq!(judgement.outcome, outcome, "{name} {body}");
                let error = judgement.api_error.unwrap();
                assert_eq!((error.status.as_u16(), error.kind, &*error.message), expected, "{name} {body}");
            }
        }
        let overloaded = Outcome::Overloaded { retry_after: None };
        check(400, "ValidationException", Outcome::Refused, (400, "invalid_request_error"));
        check(400, "ServiceQuotaExceededException", LIMITED, (429, "rate_limit_error"));
        for name in ["AccessDenied", "UnrecognizedClient", "InvalidSignature", "MissingAuthenticationToken"] {
            let name = format!("{name}Exception");
            check(403, &name, Outcome::CredentialRejected, (403, "permission_error"));
        }
        check(403, "ExpiredTokenException", Outcome::CredentialRejected, (403, "permission_error"));
        check(403, "ExpiredToken", Outcome::CredentialRejected, (403, "permission_error"));
        check(400, "IncompleteSignatureException", Outcome::CredentialRejected, (403, "permission_error"));
        check(404, "ResourceNotFoundException", Outcome::ModelUnavailable, (404, "not_found_error"));
        check(408, "ModelTimeoutException", Outcome::ModelFailed, (408, "timeout_error"));
        check(424, "ModelErrorException", Outcome::ModelFailed, (500, "api_error"));
        check(424, "ModelStreamErrorException", Outcome::ModelFailed, (500, "api_error"));
        check(429, "ThrottlingException", LIMITED, (429, "rate_limit_error"));
        check(429, "TooManyRequestsException", LIMITED, (429, "rate_limit_error"));
        check(429, "ModelNotReadyException", overloaded, (503, "overloaded_error"));
        check(500, "InternalServerException", Outcome::Failed, (500, "api_error"));
        check(503, "ServiceUnavailableException", overloaded, (503, "overloaded_error"));
        // An unknown name leaves the status to decide.
        check(413, "RequestEntityTooLargeException", Outcome::Refused, (413, "request_too_large"));
        check(403, "SomethingNewException", Outcome::CredentialRejected, (403, "permission_error"));
        check(502, "SomethingNewException", Outcome::Failed, (502, "api_error"));
    }

    #[test]
    fn a_message_counts_before_the_name() {
        #[track_caller]
        fn check(message: &str, outcome: Outcome, expected: &str) {
            let body = serde_json::json!({"message": message}).to_string();
            let judgement = judged(400, "ValidationException", &body);
            assert_eq!(judgement.outcome, outcome);
            assert_eq!(judgement.api_error.unwrap().message, expected);
        }
        let throughput = "Invocation of model ID claude-x with on-demand throughput isn\u{2019}t supported. Retry your \
            request with the ID or ARN of an inference profile that contains this model.";
        for message in [throughput.to_owned(), throughput.replace('\u{2019}', "'")] {
            let advice = "map the model to an inference profile, such as us.claude-x, in model_mapping";
            check(&message, Outcome::ModelUnavailable, &format!("{message} ({advice})"));
        }
        check(
            "The provided model identifier is invalid.",
            Outcome::ModelUnavailable,
            "The provided model identifier is invalid. (`claude-x` is no id of Bedrock's: map the model to one in \
             model_mapping)",
        );
        let counting = "The provided model doesn't support counting tokens.";
        check(counting, Outcome::Unsupported, counting);
        check(
            "Input is too long for requested model.",
            Outcome::Refused,
            "prompt is too long: Input is too long for requested model.",
        );
        let body = r#"{"message":"You don't have access to the model with the specified model ID."}"#;
        assert_eq!(judged(403, "AccessDeniedException", body).outcome, Outcome::ModelUnavailable);
    }

    #[test]
    fn an_exception_at_the_beginning_of_a_stream_is_the_failure_of_the_model() {
        let body = r#"{"type":"error","error":{"type":"api_error","message":"why"}}"#;
        assert_eq!(judged(500, "", body).outcome, Outcome::Failed);
        let begun = testing::error(200, body).with_status(http::StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(judge(&begun, "claude-x").outcome, Outcome::ModelFailed);
    }

    #[test]
    fn a_denied_model_is_not_the_credential_and_a_missing_payment_is() {
        #[track_caller]
        fn check(name: &str, message: &str, expected: Outcome) {
            let body = serde_json::json!({"message": message}).to_string();
            assert_eq!(judged(403, name, &body).outcome, expected, "{message}");
        }
        let denied = "AccessDeniedException";
        let marketplace = "Model access is denied due to IAM user or service role is not authorized to perform the \
            required AWS Marketplace actions";
        check(denied, marketplace, Outcome::ModelUnavailable);
        let policy = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: bedrock:InvokeModel on \
            resource: arn:aws:bedrock:::foundation-model/anthropic.claude-opus-4-6-v1 with an explicit deny";
        check(denied, policy, Outcome::ModelUnavailable);
        let payment = "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must be provided.";
        check(denied, payment, Outcome::CredentialRejected);
        check(denied, "User is not authorized to perform: bedrock:InvokeModel", Outcome::CredentialRejected);
        check("OptInRequired", "why", Outcome::CredentialRejected);
        check("ValidationException", "Operation not allowed", Outcome::CredentialRejected);
        check("ValidationException", "messages.0: Operation not allowed", Outcome::Refused);
    }

    #[test]
    fn an_error_of_another_form_is_judged_by_its_status() {
        for body in ["", "<html>", "[]", "{}", r#"{"message":7}"#] {
            let judgement = judged(502, "", body);
            assert_eq!((judgement.outcome, judgement.api_error), (Outcome::Failed, None), "{body}");
        }
        let gateway = judged(403, "", r#"{"message":"Forbidden"}"#);
        assert_eq!(gateway.outcome, Outcome::CredentialRejected);
        assert_eq!(gateway.api_error.unwrap().kind, "permission_error");
    }

    #[test]
    fn an_error_without_a_message_has_its_name_for_one() {
        let error = judged(424, "ModelErrorException:http://x", "").api_error.unwrap();
        assert_eq!((error.status.as_u16(), error.kind, &*error.message), (500, "api_error", "ModelError"));
    }

    #[test]
    fn an_error_without_a_name_has_the_status_that_clients_expect() {
        for (status, expected) in [(504, (408, "timeout_error")), (529, (503, "overloaded_error"))] {
            let error = judged(status, "", r#"{"message":"why"}"#).api_error.unwrap();
            assert_eq!((error.status.as_u16(), error.kind), expected);
        }
    }

    #[test]
    fn an_error_of_the_model_keeps_its_words() {
        let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let judgement = judged(503, "", body);
        assert_eq!(judgement.outcome, Outcome::Overloaded { retry_after: None });
        assert_eq!(judgement.api_error, None);
    }

    #[test]
    fn only_an_old_credential_is_renewed() {
        for name in ["ExpiredTokenException:http://x", "UnrecognizedClientException", "ExpiredToken"] {
            assert!(judged(403, name, "").renew_credential, "{name}");
        }
        for name in ["AccessDeniedException", "InvalidSignatureException", ""] {
            assert!(!judged(403, name, "").renew_credential, "{name}");
        }
        let in_body = r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"expired"}"#;
        assert!(judged(403, "", in_body).renew_credential);
    }
}
