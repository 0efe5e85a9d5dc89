//! Anthropic's table of errors, which also judges what no kind's own table knows.
//!
//! # Source
//! platform.claude.com/docs, "Errors" and "Rate limits".

use std::time::Duration;

use relay_messages::OVERLOADED_STATUS;

use super::meaning::{Meaning, Scope, Wait};
use super::rules::{self, Rule, Subject, When};
use super::{Judgement, UpstreamError};
use crate::outcome::Outcome;

/// `error.details.error_code` of a 429 that no waiting ends: money is used up.
const SPEND_CAPS: &[&str] =
    &["contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded"];
/// The pause of a key whose money is used up: an operator has to raise the cap, or a month has to end.
const SPEND_CAP_PAUSE: Duration = Duration::from_secs(60 * 60);

const RULES: &[Rule] = &[
    Rule::when(&[When::Status(401, 403)]).means(Meaning::CredentialRejected),
    Rule::when(&[When::Status(404, 404)]).means(Meaning::ModelUnavailable),
    Rule::when(&[When::Status(408, 408)]).means(Meaning::Failed),
    Rule::when(&[When::Status(429, 429), When::Code(SPEND_CAPS)])
        .means(Meaning::Limited(Scope::Key, Wait::Pause(SPEND_CAP_PAUSE))),
    // The size of this one request is what is limited.
    Rule::when(&[When::Status(429, 429), When::Says("extra usage is required for long context requests")])
        .means(Meaning::Limited(Scope::Request, Wait::LimitsOrMessage)),
    // A 429 that names no limit, or states that a retry is fine, is no reason to rest the key.
    Rule::when(&[When::Status(429, 429)]).means(Meaning::Limited(Scope::AsStated, Wait::LimitsOrMessage)),
    Rule::when(&[When::Status(OVERLOADED_STATUS, OVERLOADED_STATUS)])
        .means(Meaning::Overloaded(Wait::Headers)),
    // Neither is a failure of the upstream: it does not do what the request is for.
    Rule::when(&[When::Status(501, 501)]).means(Meaning::Refused),
    Rule::when(&[When::Status(505, 505)]).means(Meaning::Refused),
    // Whatever the status, the error's own word for it counts.
    Rule::when(&[When::Status(500, 599), When::Type("overloaded_error")])
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
        for status in [400, 405, 409, 412, 413, 422, 499, 501, 505] {
            check(status, &[], Outcome::Refused);
        }
        for status in [401, 402, 403] {
            check(status, &[], Outcome::CredentialRejected);
        }
        check(404, &[], Outcome::ModelUnavailable);
        for status in [408, 500, 502, 503, 504, 520] {
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
}
