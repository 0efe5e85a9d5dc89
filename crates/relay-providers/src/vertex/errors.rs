//! Judges Google's errors: an object, a list with an object (for a stream), or a page. Errors of the models themselves
//! are in Anthropic's form.
//!
//! # Source
//! `google.rpc.Status` and its codes; `ErrorReason` in `google/api/error_reason.proto` of github.com/googleapis/googleapis;
//! github.com/GoogleCloudPlatform/php-docs-samples, issue 1235 (`BILLING_DISABLED`);
//! github.com/GoogleCloudPlatform/java-docs-samples, issue 276 ("has billing disabled"); github.com/Kilo-Org/kilocode,
//! issue 2842 (`CONSUMER_INVALID`); github.com/GoogleCloudPlatform/vertex-ai-samples, issue 476 (`SERVICE_DISABLED`).

use std::borrow::Cow;

use crate::failure::{self, Judgement, Meaning, Rule, Scope, Subject, UpstreamError, Wait, When};

const NOT_SERVED: &str = "model: Vertex AI does not serve `{model}` in `{region}`; newer models are in `global`, `us` and \
    `eu` alone (gcp_region), each has to be enabled in Model Garden, and the name is Vertex's own ({message})";
const NOT_SERVED_WITHOUT_MESSAGE: &str = "model: Vertex AI does not serve `{model}` in `{region}`; newer models are in \
    `global`, `us` and `eu` alone (gcp_region), each has to be enabled in Model Garden, and the name is Vertex's own";

const NO_ACCESS: &str = "{message} (Vertex AI: the credential has no access to `{model}` in `{region}`; it needs the role \
    Vertex AI User, and the model has to be enabled in Model Garden)";
const MESSAGE: &str = "{message}";
const CODE: &str = "Vertex AI answered {code}";

/// The codes of a project or a policy that does not permit the request. Errors about the conversation have other codes.
const DENIED: When = When::Code(&["PERMISSION_DENIED", "FAILED_PRECONDITION"]);

/// The name of the fact that a `google.rpc.ErrorInfo` among the details states.
const REASON: &str = "reason";

const RULES: &[Rule] = &[
    // A project without billing or without the API, or one that is suspended or unknown. Google reports it with either
    // code.
    Rule::when(&[DENIED, When::Fact(REASON, "BILLING_DISABLED")]).means(Meaning::AccountRejected),
    Rule::when(&[DENIED, When::Fact(REASON, "CONSUMER_INVALID")]).means(Meaning::AccountRejected),
    Rule::when(&[DENIED, When::Fact(REASON, "CONSUMER_SUSPENDED")]).means(Meaning::AccountRejected),
    Rule::when(&[DENIED, When::Fact(REASON, "SERVICE_DISABLED")]).means(Meaning::AccountRejected),
    Rule::when(&[
        DENIED,
        When::SaysOne(&["billing to be enabled", "billing is disabled", "has billing disabled"]),
    ])
    .means(Meaning::AccountRejected),
    // The policy of an organisation lists the allowed models, and this one is not among them.
    Rule::when(&[DENIED, When::Says("vertexai.allowedmodels")]).means(Meaning::ModelUnavailable),
    // The message names the model, so the credential may have access to other models. The client cannot change that, so
    // it gets a 502.
    Rule::when(&[When::Code(&["PERMISSION_DENIED"]), When::Says("publishers/anthropic/models/")])
        .means(Meaning::ModelUnavailable)
        .answers(502)
        .says(NO_ACCESS),
    // Each base model has its own quota.
    Rule::when(&[When::Code(&["RESOURCE_EXHAUSTED"])])
        .means(Meaning::Limited(Scope::ModelIfTimed, Wait::RetryInfo))
        .answers(429),
    Rule::when(&[When::Code(&["UNAVAILABLE"])]).means(Meaning::Overloaded(Wait::RetryInfo)).answers(503),
    Rule::when(&[When::Code(&["PERMISSION_DENIED"])]).means(Meaning::CredentialRejected).answers(403),
    Rule::when(&[When::Code(&["UNAUTHENTICATED"])]).means(Meaning::CredentialRejected).answers(401),
    // A region that does not serve the model answers FAILED_PRECONDITION.
    Rule::when(&[When::Code(&["NOT_FOUND", "FAILED_PRECONDITION"])])
        .means(Meaning::ModelUnavailable)
        .answers(404)
        .says(NOT_SERVED)
        .or_without_message(NOT_SERVED_WITHOUT_MESSAGE),
    // The model has no token counting. The request is not at fault.
    Rule::when(&[When::Code(&["INVALID_ARGUMENT"]), When::Says("not supported for token counting")])
        .means(Meaning::Unsupported)
        .answers(400),
    Rule::when(&[When::Code(&["INVALID_ARGUMENT", "OUT_OF_RANGE"])]).means(Meaning::Refused).answers(400),
    Rule::when(&[When::Code(&["DEADLINE_EXCEEDED"])]).means(Meaning::Failed).answers(504),
    Rule::when(&[When::Code(&["INTERNAL", "ABORTED", "UNKNOWN"])]).means(Meaning::Failed),
    // Errors with these codes are not about the model, with any status.
    Rule::when(&[When::Code(&[
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "INVALID_ARGUMENT",
        "OUT_OF_RANGE",
        "DEADLINE_EXCEEDED",
    ])])
    .says(MESSAGE)
    .or_without_message(CODE),
    // Google answers an unknown path with a page.
    Rule::when(&[When::Status(404, 404)]).says(NOT_SERVED).or_without_message(NOT_SERVED_WITHOUT_MESSAGE),
    Rule::when(&[When::HasCode]).says(MESSAGE).or_without_message(CODE),
];

/// Judges an error in answer to a request for `model` in `region`.
pub(super) fn judge(error: &UpstreamError, model: &str, region: &str) -> Judgement {
    let text = |path: &[&str]| error.member_in_list(path)?.as_str();
    let code = text(&["error", "status"]).map(Cow::Borrowed);
    // Without Google's code, the body is not from Google, and its message is not read.
    let message = text(&["error", "message"]).filter(|_| code.is_some());
    let facts = [("model", model), ("region", region), (REASON, reason(error).unwrap_or_default())];
    let judgement = failure::judge(RULES, &Subject::with(error, code, message).with_facts(&facts));
    // An error of the model itself has the wording that clients expect.
    let api_error = judgement.api_error.filter(|_| !error.is_models_own());
    Judgement { api_error, ..judgement }
}

/// Returns the reason in the first `google.rpc.ErrorInfo` among the details.
fn reason(error: &UpstreamError) -> Option<&str> {
    let details = error.member_in_list(&["error", "details"])?.as_array()?;
    details.iter().find_map(|detail| detail.get(REASON)?.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::failure::testing;
    use crate::outcome::{LimitScope, Outcome};

    #[test]
    fn a_project_that_cannot_be_used_is_the_account_and_a_missing_permission_the_credential() {
        #[track_caller]
        fn check(message: &str, reason: &str, expected: (Outcome, bool)) {
            let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason});
            let body = json!({"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED",
                "details": [{"@type": "type.googleapis.com/google.rpc.Help"}, info]}});
            for body in [body.to_string(), json!([body]).to_string()] {
                let found = judge(&testing::error(403, &body), "m", "eu");
                assert_eq!((found.outcome, found.is_account_rejected), expected, "{body}");
            }
        }
        let account = (Outcome::CredentialRejected, true);
        check("Permission denied on resource project x.", "CONSUMER_INVALID", account);
        check("This API method requires billing to be enabled.", "BILLING_DISABLED", account);
        check("This API method requires billing to be enabled.", "", account);
        check(
            "Vertex AI API has not been used in project x before or it is disabled.",
            "SERVICE_DISABLED",
            account,
        );
        check("Consumer has been suspended.", "CONSUMER_SUSPENDED", account);
        let key = (Outcome::CredentialRejected, false);
        check("Permission 'aiplatform.endpoints.predict' denied", "IAM_PERMISSION_DENIED", key);
        let model =
            "Permission denied on '//aiplatform.googleapis.com/projects/x/publishers/anthropic/models/m'";
        check(model, "IAM_PERMISSION_DENIED", (Outcome::ModelUnavailable, false));
    }

    #[test]
    fn every_error_of_google_has_its_outcome_and_its_status() {
        #[track_caller]
        fn check(status: u16, code: &str, outcome: Outcome, expected: (u16, &str)) {
            let error = json!({"error": {"code": status, "message": "Google's words.", "status": code}});
            for body in [error.to_string(), json!([error]).to_string()] {
                let judgement = judge(&testing::error(status, &body), "m", "eu");
                assert_eq!(judgement.outcome, outcome, "{code}");
                let found = judgement.api_error.unwrap();
                assert_eq!((found.status.as_u16(), found.kind), expected, "{code}");
                assert!(found.message.contains("Google's words."), "{code}");
            }
        }
        let limited = Outcome::RateLimited { retry_after: None, scope: LimitScope::Request };
        check(429, "RESOURCE_EXHAUSTED", limited, (429, "rate_limit_error"));
        check(503, "UNAVAILABLE", Outcome::Overloaded { retry_after: None }, (503, "overloaded_error"));
        check(403, "PERMISSION_DENIED", Outcome::CredentialRejected, (403, "permission_error"));
        check(401, "UNAUTHENTICATED", Outcome::CredentialRejected, (401, "authentication_error"));
        check(404, "NOT_FOUND", Outcome::ModelUnavailable, (404, "not_found_error"));
        check(400, "FAILED_PRECONDITION", Outcome::ModelUnavailable, (404, "not_found_error"));
        check(400, "INVALID_ARGUMENT", Outcome::Refused, (400, "invalid_request_error"));
        check(500, "INTERNAL", Outcome::Failed, (500, "api_error"));
        check(504, "DEADLINE_EXCEEDED", Outcome::Failed, (504, "timeout_error"));
        check(499, "CANCELLED", Outcome::Refused, (499, "invalid_request_error"));
    }

    #[test]
    fn the_message_and_the_retry_time_of_google_are_kept() {
        let judged = |status, body| judge(&testing::error(status, body), "m", "eu");
        let long = r#"[{"error":{"code":400,"message":"prompt is too long: 250000 tokens > 200000 maximum","status":"INVALID_ARGUMENT"}}]"#;
        let found = judged(400, long).api_error.unwrap();
        assert_eq!(found.message, "prompt is too long: 250000 tokens > 200000 maximum");

        let limited = r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"@type":"x"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}"#;
        let retry_after = Some(Duration::from_millis(1500));
        let found = judged(429, limited);
        assert_eq!(found.outcome, Outcome::RateLimited { retry_after, scope: LimitScope::Model });
        assert_eq!(found.retry_after, retry_after);
        assert_eq!(found.api_error.unwrap().message, "Vertex AI answered RESOURCE_EXHAUSTED");
        let count =
            r#"{"error":{"status":"INVALID_ARGUMENT","message":"m is not supported for token counting."}}"#;
        assert_eq!(judged(400, count).outcome, Outcome::Unsupported);
    }

    #[test]
    fn a_project_that_cannot_pay_is_a_failure_of_the_credential() {
        #[track_caller]
        fn check(status: u16, code: &str, message: &str, expected: Outcome) {
            let body = json!({"error": {"code": status, "message": message, "status": code}}).to_string();
            assert_eq!(judge(&testing::error(status, &body), "m", "eu").outcome, expected, "{message}");
        }
        let rejected = Outcome::CredentialRejected;
        let billing = "This API method requires billing to be enabled. Please enable billing on project #1";
        check(403, "PERMISSION_DENIED", billing, rejected);
        check(400, "FAILED_PRECONDITION", billing, rejected);
        check(403, "PERMISSION_DENIED", "Vertex AI API has not been used in project 1 before", rejected);
        let model = "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p/\
            locations/eu/publishers/anthropic/models/m' (or it may not exist).";
        check(403, "PERMISSION_DENIED", model, Outcome::ModelUnavailable);
        let policy = "Organization Policy constraint constraints/vertexai.allowedModels violated";
        check(400, "FAILED_PRECONDITION", policy, Outcome::ModelUnavailable);
    }

    #[test]
    fn a_page_is_judged_by_its_status() {
        let judged = |status, body| judge(&testing::error(status, body), "m", "us-east5");
        let unknown = judged(404, "<!DOCTYPE html>");
        assert_eq!(unknown.outcome, Outcome::ModelUnavailable);
        let found = unknown.api_error.unwrap();
        assert_eq!((found.status.as_u16(), found.kind), (404, "not_found_error"));
        assert!(
            found.message.contains("`us-east5`") && found.message.contains("global"),
            "{}",
            found.message
        );
        assert!(found.message.ends_with("own"), "{}", found.message);
        let failed = judged(502, "<html>");
        assert_eq!((failed.outcome, failed.api_error), (Outcome::Failed, None));
        for odd in ["[]", "[[]]", "{}", r#"{"error":"x"}"#, r#"{"error":{"status":5}}"#] {
            assert_eq!(judged(500, odd).outcome, Outcome::Failed, "{odd}");
        }
    }

    #[test]
    fn an_error_of_the_model_itself_passes_unchanged() {
        let body = r#"{"type":"error","error":{"type":"not_found_error","message":"model: m"}}"#;
        let judgement = judge(&testing::error(404, body), "m", "eu");
        assert_eq!((judgement.outcome, judgement.api_error), (Outcome::ModelUnavailable, None));
    }
}
