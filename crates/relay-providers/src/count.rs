//! Reads the answers to token counts, and judges their failures.
//!
//! An upstream may serve a model and not count its tokens: the path is unknown, the policy does not permit the operation
//! (`bedrock:CountTokens`), or the server answers every unknown path with 200. If no upstream returns a count, the relay
//! estimates it.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use relay_transport::{Start, read_start};
use serde::Deserialize;

use crate::answer::{Answer, AnswerBody, AnswerBodyError, AttemptError};
use crate::failure::{Judgement, UpstreamError};
use crate::outcome::Outcome;

/// The largest body of a count, which is one number.
const COUNT_LIMIT: usize = 64 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[derive(Deserialize)]
struct Count {
    #[expect(dead_code, reason = "only its presence and its type count")]
    input_tokens: u64,
}

/// Makes the answer of a response with a status of success. Without a number of tokens in it, the outcome is
/// [`Outcome::Unsupported`].
///
/// # Errors
/// [`AttemptError::Broken`] if the body breaks off.
pub(crate) async fn answer(response: Response<AnswerBody>) -> Result<Answer, AttemptError> {
    let (mut head, body) = response.into_parts();
    let (bytes, body) = match read_start(body, COUNT_LIMIT, Duration::MAX).await {
        Start::Whole(bytes) => (bytes.clone(), AnswerBody::from(bytes)),
        Start::Part(start, _) if start.len() < COUNT_LIMIT => {
            return Err(AttemptError::Broken(AnswerBodyError::Incomplete));
        }
        Start::Part(start, body) => (start, body),
    };
    if serde_json::from_slice::<Count>(&bytes).is_err() {
        return Ok(Answer::new(Outcome::Unsupported, Response::from_parts(head, body)));
    }
    head.headers.remove(CONTENT_LENGTH);
    head.headers.entry(CONTENT_TYPE).or_insert(JSON);
    Ok(Answer::new(Outcome::Success, Response::from_parts(head, body)))
}

/// Returns the judgement of a failed count. An error of the client stays [`Outcome::Refused`]. A failure that would
/// occur again with the next count becomes [`Outcome::Unsupported`].
pub(crate) fn judge(error: &UpstreamError, judgement: Judgement) -> Judgement {
    let outcome = match judgement.outcome {
        Outcome::Refused if is_clients_own(error, &judgement) => return judgement,
        // The upstream may accept another body.
        Outcome::Refused if !is_missing(error.status()) && !error.is_about_counting() => Outcome::Failed,
        Outcome::Refused | Outcome::ModelUnavailable | Outcome::Unsupported => Outcome::Unsupported,
        // The status of a page or of another API's error that came with a 200 is not the upstream's.
        Outcome::Failed if error.answered().is_success() => Outcome::Unsupported,
        _ if is_missing(error.status()) => Outcome::Unsupported,
        outcome => outcome,
    };
    let retry_after = judgement.retry_after.filter(|_| outcome != Outcome::Unsupported);
    Judgement { outcome, retry_after, ..judgement }
}

/// Returns `true` for a status of an operation that does not exist, or is not permitted.
fn is_missing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 403 | 404 | 405 | 501)
}

/// Returns `true` if the upstream refuses the client's body, or the client's own credential.
fn is_clients_own(error: &UpstreamError, judgement: &Judgement) -> bool {
    let is_named = |kind: &str| matches!(kind, "invalid_request_error" | "request_too_large");
    let is_about_body = error.kind().is_some_and(|kind| is_named(kind) || kind == "INVALID_ARGUMENT")
        || error.headers().contains_key("x-amzn-errortype")
        || judgement.api_error.as_ref().is_some_and(|error| error.message.starts_with("prompt is too long"));
    match error.status().as_u16() {
        401 | 413 => true,
        400 | 422 => is_about_body && !error.is_about_counting(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::BodyExt;

    use super::*;
    use crate::failure::testing::error;
    use crate::outcome::LimitScope;

    #[tokio::test]
    async fn only_a_number_of_tokens_is_a_count() {
        async fn check(body: &'static str, expected: Outcome) {
            let response = Response::new(AnswerBody::from(Bytes::from_static(body.as_bytes())));
            let answer = answer(response).await.unwrap();
            assert_eq!(answer.outcome, expected, "{body}");
            assert_eq!(answer.response.into_body().collect().await.unwrap().to_bytes(), body);
        }
        check(r#"{"input_tokens":7}"#, Outcome::Success).await;
        check(r#"{"input_tokens":7,"context_management":{"original_input_tokens":9}}"#, Outcome::Success)
            .await;
        for odd in
            ["null", "{}", "[]", "7", r#"{"input_tokens":null}"#, r#"{"input_tokens":"7"}"#, "<html>", ""]
        {
            check(odd, Outcome::Unsupported).await;
        }
    }

    #[test]
    fn a_failure_is_refused_only_if_the_upstream_has_judged_the_body() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: Outcome) {
            let error = error(status, body);
            let found = judge(&error, Judgement::by_anthropic_table(&error)).outcome;
            assert_eq!(found, expected, "{status} {body}");
        }
        let invalid = |message: &str| {
            let error = serde_json::json!({"type": "invalid_request_error", "message": message});
            serde_json::json!({"type": "error", "error": error}).to_string()
        };
        let missing = invalid("messages: Field required");
        check(400, &missing, Outcome::Refused);
        check(422, &missing, Outcome::Refused);
        check(413, "<html>", Outcome::Refused);
        for body in ["<html>", "", "null", r#"{"error":"Unexpected endpoint or method."}"#] {
            for status in [403, 404, 405, 501] {
                check(status, body, Outcome::Unsupported);
            }
            for status in [400, 409, 422] {
                check(status, body, Outcome::Failed);
            }
            check(502, body, Outcome::Failed);
            check(401, body, Outcome::CredentialRejected);
            check(429, body, Outcome::RateLimited { retry_after: None, scope: LimitScope::Request });
        }
        check(400, &invalid("Unknown request URL: POST /v1/messages/count_tokens"), Outcome::Unsupported);
        check(400, &invalid("m is not supported for token counting"), Outcome::Unsupported);
        check(400, &invalid("This model doesn't support counting tokens."), Outcome::Unsupported);
    }
}
