//! Anthropic's table of errors. It also judges an error for which the table of its kind has no rule.
//!
//! # Source
//! platform.claude.com/docs, "Errors" and "Rate limits".

use std::time::Duration;

use relay_messages::OVERLOADED_STATUS;

use super::meaning::{Meaning, Scope, Wait};
use super::rules::{self, Rule, Subject, When};
use super::{Judgement, UpstreamError};
use crate::outcome::Outcome;

/// The values of `error.details.error_code` for a 429 whose cause does not pass with time: a spend cap is reached.
const SPEND_CAPS: &[&str] =
    &["contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded"];
/// The pause of a key whose spend cap is reached: an operator has to raise the cap, or the month has to end.
const SPEND_CAP_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The errors of an account that cannot pay or is disabled, and of a model that the account does not have. They are about
/// the relay's key: Anthropic reports the first ones with status 400, as if the request were at fault.
///
/// A message about the conversation may quote the same words, but it begins with the path of a field. Therefore only the
/// beginning of a message and `error.type` count.
///
/// # Source
/// github.com/anthropics/claude-code, issues 66314 and 91322 (credit balance; also for `count_tokens`), 19028 (disabled
/// organization), 2127 and 38035 (usage limits, "You will regain access on 2026-12-01 at 00:00 UTC."). The limit of a
/// workspace is in the comments of programs that call the API. Vendors and gateways of Anthropic's format have further
/// words for an account without money: github.com/continuedev/continue, issue 9942 ("Insufficient Balance"), and the
/// error of OpenRouter ("Insufficient credits").
const ACCOUNT: &[Rule] = &[
    // The limit of one workspace, which has its own keys.
    Rule::when(&[
        When::Status(400, 429),
        When::Begins(&["you have reached your specified workspace api usage limits"]),
        When::Type(OWN_TYPES),
    ])
    .means(Meaning::CredentialRejected),
    Rule::when(&[
        When::Status(400, 429),
        When::Type(OWN_TYPES),
        When::Begins(&[
            "your credit balance is too low",
            "credit balance is too low",
            "this organization has been disabled",
            "your organization has been disabled",
            "organization has been disabled",
            "this account has been disabled",
            "your account has been disabled",
            "you have reached your specified api usage limits",
        ]),
    ])
    .means(Meaning::AccountRejected),
    Rule::when(&[
        When::Status(400, 429),
        When::Begins(&["insufficient balance", "insufficient account balance", "insufficient credits"]),
    ])
    .means(Meaning::AccountRejected),
    Rule::when(&[
        When::Status(400, 403),
        When::Type(&["invalid_request_error", "permission_error"]),
        When::Begins(&[
            "your account does not have access to model",
            "your account does not have access to the model",
            "your organization does not have access to model",
            "your organization does not have access to the model",
        ]),
    ])
    .means(Meaning::ModelUnavailable),
];

/// The types with which Anthropic reports errors of an account.
const OWN_TYPES: &[&str] =
    &["invalid_request_error", "billing_error", "permission_error", "rate_limit_error"];

const RULES: &[Rule] = &[
    Rule::when(&[When::Status(402, 402)]).means(Meaning::AccountRejected),
    Rule::when(&[When::Type(&["billing_error"]), When::Status(401, 403)]).means(Meaning::AccountRejected),
    Rule::when(&[When::Status(401, 403)]).means(Meaning::CredentialRejected),
    Rule::when(&[When::Status(404, 404)]).means(Meaning::ModelUnavailable),
    Rule::when(&[When::Status(408, 408)]).means(Meaning::Failed),
    Rule::when(&[When::Status(429, 429), When::Code(SPEND_CAPS)])
        .means(Meaning::Limited(Scope::Key, Wait::Pause(SPEND_CAP_PAUSE))),
    // The limit applies to the size of this one request.
    Rule::when(&[When::Status(429, 429), When::Says("extra usage is required for long context requests")])
        .means(Meaning::Limited(Scope::Request, Wait::LimitsOrMessage)),
    // If a 429 names no limit, or states that a retry may succeed at once, the key is not paused.
    Rule::when(&[When::Status(429, 429)]).means(Meaning::Limited(Scope::AsStated, Wait::LimitsOrMessage)),
    Rule::when(&[When::Status(OVERLOADED_STATUS, OVERLOADED_STATUS)])
        .means(Meaning::Overloaded(Wait::Headers)),
    // For an overload, the type of the error counts, with every status of a failure.
    Rule::when(&[When::Status(500, 599), When::Type(&["overloaded_error"])])
        .means(Meaning::Overloaded(Wait::Headers)),
    Rule::when(&[When::Status(500, 599)]).means(Meaning::Failed),
];

impl Judgement {
    /// Judges `error` by Anthropic's table of errors: by status, `error.type`, and rate-limit headers. A status that is not
    /// in it means that the request is at fault.
    #[must_use]
    pub fn by_anthropic_table(error: &UpstreamError) -> Self {
        let judgement = rules::outcome(RULES, &Subject::new(error));
        judgement.unwrap_or_else(|| Self::new(Outcome::Refused))
    }
}

/// Judges an error by the `rules` of its kind; by Anthropic's table if none of them states an outcome.
pub(crate) fn judge(rules: &[Rule], subject: &Subject<'_>) -> Judgement {
    let judgement = rules::outcome(rules, subject);
    let judgement = judgement.unwrap_or_else(|| Judgement::by_anthropic_table(subject.error()));
    Judgement { api_error: rules::api_error(rules, subject), ..judgement }
}

/// Judges an error in answer to a request with the relay's own key, by the `rules` of its kind, the rules for an account
/// that cannot pay, and Anthropic's table.
pub(crate) fn judge_own_key(rules: &[Rule], subject: &Subject<'_>) -> Judgement {
    let judgement = judge(rules, subject);
    let account = match rules::outcome(rules, subject) {
        Some(_) => None,
        None => rules::outcome(ACCOUNT, subject),
    };
    match account {
        Some(account) => Judgement { api_error: judgement.api_error, ..account },
        None => judgement,
    }
}

/// Returns `true` if a 429 means that money is used up, so that a retry is of no use.
pub(crate) fn is_spend_cap(error: &UpstreamError) -> bool {
    error.code().is_some_and(|code| SPEND_CAPS.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Headers, error_with};
    use super::*;
    use crate::outcome::LimitScope;

    fn limited(retry_after: Option<u64>, scope: LimitScope) -> Outcome {
        Outcome::RateLimited { retry_after: retry_after.map(Duration::from_secs), scope }
    }

    #[test]
    fn a_status_has_one_meaning() {
        #[track_caller]
        fn check(status: u16, headers: Headers<'_>, expected: Outcome) {
            assert_eq!(
                Judgement::by_anthropic_table(&error_with(status, headers, "")).outcome,
                expected,
                "{status}"
            );
        }
        for status in [400, 405, 409, 412, 413, 422, 499] {
            check(status, &[], Outcome::Refused);
        }
        for status in [401, 402, 403] {
            check(status, &[], Outcome::CredentialRejected);
        }
        check(404, &[], Outcome::ModelUnavailable);
        for status in [408, 500, 501, 502, 503, 504, 505, 520] {
            check(status, &[], Outcome::Failed);
        }
        let retry_after = Some(Duration::from_secs(3));
        check(529, &[("retry-after", "3")], Outcome::Overloaded { retry_after });
        let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        for status in [500, 503] {
            let found = Judgement::by_anthropic_table(&error_with(status, &[], overloaded)).outcome;
            assert_eq!(found, Outcome::Overloaded { retry_after: None }, "{status}");
        }
        check(429, &[], limited(None, LimitScope::Request));
        check(429, &[("retry-after", "7")], limited(Some(7), LimitScope::Key));
        check(429, &[("anthropic-ratelimit-requests-remaining", "0")], limited(None, LimitScope::Key));
        check(
            429,
            &[("anthropic-ratelimit-requests-limit", "50"), ("x-should-retry", "true")],
            limited(None, LimitScope::Request),
        );
    }

    #[test]
    fn a_limit_is_as_long_and_as_wide_as_the_upstream_states() {
        #[track_caller]
        fn check(headers: Headers<'_>, body: &str, retry_after: Option<u64>, scope: LimitScope) {
            let found = Judgement::by_anthropic_table(&error_with(429, headers, body)).outcome;
            assert_eq!(found, limited(retry_after, scope), "{body}");
        }
        let error = |message: &str| format!(r#"{{"error":{{"message":"{message}"}}}}"#);
        check(&[], "<html>", None, LimitScope::Request);
        check(&[], &error("Please try again in 20s."), Some(20), LimitScope::Key);
        check(&[("retry-after", "7")], &error("Please try again in 20s."), Some(7), LimitScope::Key);
        let date = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
        let used_up = ("anthropic-ratelimit-tokens-remaining", "0");
        let reset = ("anthropic-ratelimit-tokens-reset", "2026-11-22T12:00:09Z");
        check(&[date, used_up, reset], "", Some(9), LimitScope::Key);
        let long = error("Extra usage is required for long context requests.");
        check(&[date, used_up, reset], &long, Some(9), LimitScope::Request);
        for code in SPEND_CAPS {
            let cap =
                format!(r#"{{"type":"error","error":{{"type":"t","details":{{"error_code":"{code}"}}}}}}"#);
            check(&[], &cap, Some(3600), LimitScope::Key);
            let error = error_with(429, &[], &cap);
            assert!(is_spend_cap(&error));
            assert_eq!(
                Judgement::by_anthropic_table(&error).retry_after,
                None,
                "the pause is the relay's own"
            );
        }
    }

    #[test]
    fn an_account_that_cannot_pay_is_a_failure_of_the_key_and_its_look_alikes_are_not() {
        #[track_caller]
        fn check(status: u16, kind: &str, message: &str, expected: Outcome) {
            let body = serde_json::json!({"type": "error", "error": {"type": kind, "message": message}});
            let error = error_with(status, &[], &body.to_string());
            assert_eq!(judge_own_key(&[], &Subject::new(&error)).outcome, expected, "{status} {message}");
        }
        let invalid = "invalid_request_error";
        for message in [
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
             purchase credits.",
            "Your credit balance is too low to access the Claude API.",
            "This organization has been disabled.",
            "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
            "You have reached your specified workspace API usage limits.",
        ] {
            check(400, invalid, message, Outcome::CredentialRejected);
            check(403, "permission_error", message, Outcome::CredentialRejected);
            check(400, "api_error", message, Outcome::Refused);
            check(404, invalid, &format!("messages.0: {message}"), Outcome::ModelUnavailable);
        }
        for message in [
            "messages.0.content.0.text: \"Your credit balance is too low\" is not valid here",
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$', not 'credit balance is too low'",
            "messages.2: `tool_use` ids were found without `tool_result` blocks: This organization has been disabled",
            "system: the text \"You have reached your specified API usage limits\" is too long",
            "Credit balances are no valid input",
            "prompt is too long: 200001 tokens > 200000 maximum. Your credit balance is too low",
        ] {
            check(400, invalid, message, Outcome::Refused);
        }
        let no_access = "Your organization does not have access to model claude-fable-5-2.";
        check(403, "permission_error", no_access, Outcome::ModelUnavailable);
        check(403, "permission_error", "Your API key does not have permission", Outcome::CredentialRejected);
    }
}
