//! A failed response whose error has been read, and the answer made of it.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Response, StatusCode, response};
use relay_messages::{ApiError, RateLimits, error_body, error_type};
use relay_stream::watch::ErrorReport;
use relay_transport::{Start, read_start};

use crate::answer::{Answer, AnswerBody};
use crate::failure::{self, ERROR_BODY_LIMIT, Form, Judgement, UpstreamError};
use crate::outcome::Outcome;
use crate::request::Attempt;

/// The time in which the body of an error is read.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The prefix of the headers that state the limits of a key.
const RATE_LIMITS: &str = "anthropic-ratelimit-";

/// A failed response, whose error has been read.
pub(crate) struct FailedResponse {
    pub(crate) error: UpstreamError,
    /// The response head, with the status that the failure means.
    head: response::Parts,
    /// The body from its first byte.
    body: AnswerBody,
}

impl FailedResponse {
    /// Creates the failure of a response whose error has been read. `body` gives all of its bytes.
    pub(crate) fn new(error: UpstreamError, mut head: response::Parts, body: AnswerBody) -> Self {
        head.status = error.status();
        Self { error, head, body }
    }

    /// Reads the error of `response`.
    pub(crate) async fn read(response: Response<AnswerBody>) -> Self {
        let (head, body) = response.into_parts();
        let (start, body, is_whole) = match read_start(body, ERROR_BODY_LIMIT, ERROR_BODY_TIMEOUT).await {
            Start::Whole(bytes) => (bytes.clone(), AnswerBody::from(bytes), true),
            Start::Part(start, body) => (start, body, false),
        };
        Self { error: UpstreamError::read(&head, start, is_whole), head, body }
    }

    /// Makes the failure of a response with a status of success that no client can use.
    pub(crate) fn unusable(mut head: response::Parts, message: &str) -> Self {
        // The headers of a success: that they name limits does not mean that one of them is used up.
        head.headers = without_limits(&head.headers);
        let error = UpstreamError::unusable(&head, message);
        Self::new(error, head, AnswerBody::default())
    }

    /// Makes the failure of a stream that begins with an `error` event. The client has received nothing, so that it can get
    /// the status that the event means.
    pub(crate) fn of_event(mut head: response::Parts, event: &ErrorReport, own_id: Option<&str>) -> Self {
        let status = failure::status_of(&event.kind);
        let message = match &*event.message {
            "" => "the upstream's stream began with an error",
            message => message,
        };
        let mut seen = head.clone();
        // The headers of a success: that they name limits does not mean that one of them is used up.
        seen.headers = without_limits(&head.headers);
        let error =
            UpstreamError::read(&seen, error_body(&event.kind, message, None), true).with_status(status);
        for name in [CONTENT_ENCODING, CONTENT_LENGTH] {
            head.headers.remove(name);
        }
        let shown = ApiError::new(status, error_type(status), message);
        let body = failure::write_error(&shown, own_id, &mut head);
        Self { error, head, body: AnswerBody::from(body) }
    }

    /// Returns the answer for the client, and the error if the request itself is at fault.
    pub(crate) fn into_answer(
        self,
        attempt: &Attempt,
        judgement: Judgement,
    ) -> (Answer, Option<Box<UpstreamError>>) {
        let Self { error, mut head, mut body } = self;
        let limits = RateLimits::read(&head.headers);
        let outcome = judgement.outcome;
        let is_account_rejected = outcome == Outcome::CredentialRejected && judgement.is_account_rejected;
        if outcome == Outcome::CredentialRejected {
            // The client learns that the credential is the relay's, and the operator what is wrong with it.
            let message = judgement.api_error.as_ref().map(|error| error.message.as_str());
            let reason = message.or(error.message()).unwrap_or_default();
            let client = attempt.request().client_credential();
            let reason = client.map_or(reason.into(), |client| client.redact(reason));
            tracing::warn!(status = %head.status, reason = &*reason, "an upstream refuses the relay's credential");
        }
        failure::write_retry(&mut head.headers, &error, &judgement);
        let is_foreign_error = judgement.api_error.is_none() && error.form() != Form::Anthropic;
        if let Some(error) = judgement.api_error {
            body = AnswerBody::from(failure::write_error(&error, attempt.request().id(), &mut head));
        }
        let answer = Answer::new(outcome, Response::from_parts(head, body));
        let is_refusal = matches!(error.status(), StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
        (
            Answer { is_foreign_error, is_account_rejected, limits, ..answer },
            is_refusal.then(|| Box::new(error)),
        )
    }
}

/// Returns `headers` without those that state limits.
fn without_limits(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !name.as_str().starts_with(RATE_LIMITS));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
