//! Judges the errors of the gateway that precedes Foundry's models. Errors of the models themselves are in Anthropic's
//! form.
//!
//! # Source
//! Recorded answers in public reports: `{"error":{"code","message","details"}}`, and API Management's older
//! `{"statusCode","message"}`. github.com/microsoft/microsoft-foundry-for-vscode, issue 207
//! (`ReadOnlyDisabledSubscription`); learn.microsoft.com/answers, questions 2264921 and 5903838 (a blocked resource).

use std::borrow::Cow;

use serde_json::Value;

use crate::failure::{self, Judgement, Meaning, Rule, Subject, UpstreamError, When};

const RULES: &[Rule] = &[
    // The gateway sometimes fails to reach the model. Neither the key nor other deployments are at fault.
    Rule::when(&[When::Code(&["invalid_model_endpoint_authentication"])])
        .means(Meaning::ModelFailed)
        .answers(500)
        .says("Azure could not reach the model: {message}"),
    Rule::when(&[When::Code(&["DeploymentNotFound"])]).means(Meaning::ModelUnavailable).answers(404).says(
        "model: the Azure resource has no deployment called `{model}`; create it in Azure AI Foundry, or name the \
         right one in providers[].model_mapping ({message})",
    ),
    // The account cannot pay, the subscription is disabled, or the resource with all its keys is blocked.
    Rule::when(&[When::Code(&["insufficient_quota", "billing_not_active", "ReadOnlyDisabledSubscription"])])
        .means(Meaning::AccountRejected),
    Rule::when(&[When::Status(403, 403), When::Begins(&["your resource has been temporarily blocked"])])
        .means(Meaning::AccountRejected),
    Rule::when(&[When::Code(&["model_not_found", "ModelNotFound", "OperationNotSupported"])])
        .means(Meaning::ModelUnavailable)
        .answers(404)
        .says("model: {message}"),
    Rule::when(&[When::Code(&["api_not_supported"])]).means(Meaning::ModelUnavailable).answers(404).says(
        "model: the Azure deployment `{model}` does not serve the Messages API; name one of a Claude model in \
         providers[].model_mapping ({message})",
    ),
    // Claude Code compacts a conversation if it reads this message.
    Rule::when(&[When::Code(&["context_length_exceeded"])])
        .means(Meaning::Refused)
        .answers(400)
        .says("prompt is too long: {message}"),
    Rule::when(&[When::HasCode, When::Says("maximum context length")])
        .means(Meaning::Refused)
        .answers(400)
        .says("prompt is too long: {message}"),
    Rule::when(&[When::HasCode]).says("{message}").or_without_message("Azure answered {status} ({code})"),
];

/// Judges an error in answer to a request for `deployment`. An error without a code is not from the gateway.
pub(super) fn judge(error: &UpstreamError, deployment: &str) -> Judgement {
    let (code, message) = match error.member(&["error"]) {
        Some(_) => (error.member(&["error", "code"]), error.text(&["error", "message"])),
        None => (error.member(&["statusCode"]), error.text(&["message"])),
    };
    let code = code.map(|code| match code {
        Value::String(code) => Cow::Borrowed(code.as_str()),
        code => Cow::Owned(code.to_string()),
    });
    let facts = [("model", deployment)];
    failure::judge_own_key(RULES, &Subject::with(error, code, message).with_facts(&facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::testing;
    use crate::outcome::{LimitScope, Outcome};

    #[test]
    fn a_disabled_subscription_and_a_blocked_resource_concern_every_key() {
        for (body, expected) in [
            (
                r#"{"error":{"code":"ReadOnlyDisabledSubscription","message":"The subscription is disabled"}}"#,
                true,
            ),
            (
                r#"{"error":{"code":"Forbidden","message":"Your resource has been temporarily blocked"}}"#,
                true,
            ),
            (r#"{"error":{"code":"insufficient_quota","message":"x"}}"#, true),
            (r#"{"error":{"code":"PermissionDenied","message":"x"}}"#, false),
            (r#"{"statusCode":401,"message":"Access denied due to invalid subscription key"}"#, false),
        ] {
            let judgement = judge(&testing::error(403, body), "my-opus");
            let found = (judgement.outcome, judgement.is_account_rejected);
            assert_eq!(found, (Outcome::CredentialRejected, expected), "{body}");
        }
    }

    #[test]
    fn every_error_of_the_gateway_has_its_outcome_and_its_message() {
        #[track_caller]
        fn check(status: u16, body: &str, outcome: Outcome, expected: Option<(u16, &str, &str)>) {
            let judgement = judge(&testing::error(status, body), "my-opus");
            assert_eq!(judgement.outcome, outcome, "{body}");
            let found = judgement.api_error.as_ref().map(|e| (e.status.as_u16(), e.kind, e.message.as_str()));
            assert_eq!(found, expected, "{body}");
        }
        let denied = "Access denied due to invalid subscription key or wrong API endpoint.";
        let rejected = Outcome::CredentialRejected;
        check(
            401,
            &format!(r#"{{"error":{{"code":"401","message":"{denied}"}}}}"#),
            rejected,
            Some((401, "authentication_error", denied)),
        );
        check(
            401,
            &format!(r#"{{"statusCode":401,"message":"{denied}"}}"#),
            rejected,
            Some((401, "authentication_error", denied)),
        );
        check(
            403,
            r#"{"error":{"code":"AuthorizationFailed"}}"#,
            rejected,
            Some((403, "permission_error", "Azure answered 403 (AuthorizationFailed)")),
        );
        check(
            401,
            r#"{"error":{"code":"invalid_model_endpoint_authentication","message":"Unauthorized","details":"x"}}"#,
            Outcome::ModelFailed,
            Some((500, "api_error", "Azure could not reach the model: Unauthorized")),
        );
        check(
            429,
            r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}"#,
            rejected,
            Some((429, "rate_limit_error", "You exceeded your current quota")),
        );
        check(
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            Outcome::ModelUnavailable,
            Some((
                404,
                "not_found_error",
                "model: the Azure resource has no deployment called `my-opus`; create it in Azure AI Foundry, or name \
                 the right one in providers[].model_mapping (The API deployment for this resource does not exist.)",
            )),
        );
        check(
            400,
            r#"{"error":{"code":"api_not_supported","message":"Not supported"}}"#,
            Outcome::ModelUnavailable,
            Some((
                404,
                "not_found_error",
                "model: the Azure deployment `my-opus` does not serve the Messages API; name one of a Claude model in \
                 providers[].model_mapping (Not supported)",
            )),
        );
        let blocked = "Your resource has been temporarily blocked because we detected unusual behavior.";
        check(
            403,
            &format!(r#"{{"error":{{"code":"Forbidden","message":"{blocked}"}}}}"#),
            rejected,
            Some((403, "permission_error", blocked)),
        );
        check(
            429,
            r#"{"error":{"code":"RateLimitReached","message":"Too many requests"}}"#,
            Outcome::RateLimited { retry_after: None, scope: LimitScope::Request },
            Some((429, "rate_limit_error", "Too many requests")),
        );
        check(
            400,
            r#"{"error":{"code":"context_length_exceeded","message":"300000 tokens"}}"#,
            Outcome::Refused,
            Some((400, "invalid_request_error", "prompt is too long: 300000 tokens")),
        );
        check(404, r#"{"type":"error","error":{"type":"not_found_error"}}"#, Outcome::ModelUnavailable, None);
        check(502, "<html>", Outcome::Failed, None);
    }
}
