//! The failure of the last attempt at a provider, for status pages. No decision depends on it.

use std::sync::Mutex;

use relay_providers::{Answer, AttemptError, Outcome};

use crate::lock::lock;

/// The failure of the last attempt, if it failed.
#[derive(Debug, Default)]
pub(super) struct LastFailure(Mutex<Option<String>>);

impl LastFailure {
    /// Returns the failure in one line, or `None` if the last attempt did not fail or there was none.
    pub(super) fn get(&self) -> Option<String> {
        lock(&self.0).clone()
    }

    /// Records an attempt that has brought an answer.
    pub(super) fn record_answer(&self, answer: &Answer) {
        let failure = match answer.outcome {
            // The provider works: the request itself was at fault, if anything was.
            Outcome::Success | Outcome::Refused | Outcome::Unsupported | Outcome::ModelUnavailable => None,
            outcome => Some(format!("answered {} ({})", answer.response.status().as_u16(), outcome.as_str())),
        };
        *lock(&self.0) = failure;
    }

    /// Records an attempt that has failed without an answer.
    pub(super) fn record_error(&self, error: &AttemptError) {
        *lock(&self.0) = Some(error.in_one_line());
    }
}

#[cfg(test)]
mod tests {
    use relay_providers::{AnswerBody, LimitScope};

    use super::*;

    fn answer(status: u16, outcome: Outcome) -> Answer {
        let body = AnswerBody::default();
        Answer::new(outcome, http::Response::builder().status(status).body(body).unwrap())
    }

    #[track_caller]
    fn check(status: u16, outcome: Outcome, expected: Option<&str>) {
        let last = LastFailure::default();
        last.record_error(&AttemptError::Scripted);
        last.record_answer(&answer(status, outcome));
        assert_eq!(last.get().as_deref(), expected);
    }

    #[test]
    fn an_answer_replaces_the_failure_and_a_refused_request_is_not_one() {
        check(200, Outcome::Success, None);
        check(400, Outcome::Refused, None);
        check(404, Outcome::ModelUnavailable, None);
        check(500, Outcome::Failed, Some("answered 500 (failed)"));
        check(401, Outcome::CredentialRejected, Some("answered 401 (credential_rejected)"));
        let limited = Outcome::RateLimited { retry_after: None, scope: LimitScope::Key };
        check(429, limited, Some("answered 429 (rate_limited)"));
        check(529, Outcome::Overloaded { retry_after: None }, Some("answered 529 (overloaded)"));
    }

    #[test]
    fn an_attempt_without_an_answer_is_a_failure_in_one_line() {
        let last = LastFailure::default();
        assert_eq!(last.get(), None);
        let error = AttemptError::Connect("Connection refused".into());
        last.record_error(&error);
        assert_eq!(last.get(), Some(error.in_one_line()));
    }
}
