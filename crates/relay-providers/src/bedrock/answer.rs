//! Converts successful responses of Bedrock into the form of the Messages API.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use memchr::memmem;
use relay_messages::{Edits, MessagesBody, media_type};
use relay_stream::StreamError;
use relay_stream::bedrock::{SseBody, Translator};
use relay_transport::{Start, read_start};
use serde_json::{Value, json};

use crate::answer::{AnswerBody, AnswerBodyError};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const AWS_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const AWS_CONTENT_TYPE: HeaderName = HeaderName::from_static("x-amzn-bedrock-content-type");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The member that Bedrock may add to a message. The Messages API does not define it.
const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// The size of a message up to which it is collected and searched for [`METRICS`]. A larger message passes as it is. The
/// longest answers of today's models are below 1 MiB.
const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;
/// The largest body of a token count, which is one number.
const COUNT_LIMIT: usize = 64 * 1024;

/// Adds `request-id`, Anthropic's header for the id of a request, with AWS's id.
pub(super) fn name_request_id(headers: &mut HeaderMap) {
    if let Some(id) = headers.get(AWS_REQUEST_ID).cloned() {
        headers.entry(REQUEST_ID).or_insert(id);
    }
}

/// Converts the response to `InvokeModel` or `InvokeModelWithResponseStream`.
pub(super) async fn message(response: Response<AnswerBody>) -> Response<AnswerBody> {
    let (mut head, body) = response.into_parts();
    head.headers.remove(AWS_CONTENT_TYPE);
    head.headers.remove(CONTENT_LENGTH);
    let body = if media_type::is(&head.headers, media_type::AWS_EVENTS) {
        head.headers.insert(CONTENT_TYPE, media_type::EVENTS_IN_UTF8);
        events(body)
    } else if media_type::is(&head.headers, media_type::EVENTS) {
        body
    } else {
        without_metrics(body).await
    };
    Response::from_parts(head, body)
}

/// Converts the response to `CountTokens`.
pub(super) async fn count(response: Response<AnswerBody>) -> Result<Response<AnswerBody>, AnswerBodyError> {
    let (mut head, body) = response.into_parts();
    let Start::Whole(bytes) = read_start(body, COUNT_LIMIT, Duration::MAX).await else {
        return Err(AnswerBodyError::Incomplete);
    };
    let count: Option<Value> = serde_json::from_slice(&bytes).ok();
    let Some(tokens) = count.as_ref().and_then(|count| count["inputTokens"].as_u64()) else {
        return Err(AnswerBodyError::Malformed("a token count without inputTokens".into()));
    };
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, JSON);
    let body = Bytes::from(json!({ "input_tokens": tokens }).to_string());
    Ok(Response::from_parts(head, AnswerBody::from(body)))
}

fn events(body: AnswerBody) -> AnswerBody {
    body.adapt(|body| {
        SseBody::new(body, Translator::new()).map_err(|error| match error {
            StreamError::Inner(error) => error,
            StreamError::Incomplete => AnswerBodyError::Incomplete,
            error => AnswerBodyError::Malformed(error.into()),
        })
    })
}

async fn without_metrics(body: AnswerBody) -> AnswerBody {
    // An upstream sends a message when it is complete. Only the idle timeout of the body limits the wait.
    let bytes = match read_start(body, MESSAGE_LIMIT, Duration::MAX).await {
        Start::Whole(bytes) => bytes,
        Start::Part(_, body) => return body,
    };
    if memmem::find(&bytes, METRICS.as_bytes()).is_none() {
        return AnswerBody::from(bytes);
    }
    let Ok(message) = MessagesBody::parse(bytes.clone()) else { return AnswerBody::from(bytes) };
    let mut edits = Edits::default();
    edits.remove(&message, METRICS);
    AnswerBody::new(edits.apply(&message).map_err(|never| match never {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(content_type: &str, body: &'static [u8]) -> Response<AnswerBody> {
        Response::builder()
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, body.len())
            .header(AWS_REQUEST_ID, "id-1")
            .header(AWS_CONTENT_TYPE, "application/json")
            .body(AnswerBody::from(Bytes::from_static(body)))
            .unwrap()
    }

    async fn text(response: Response<AnswerBody>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn only_the_metrics_are_removed_from_a_message() {
        async fn check(body: &'static str, expected: &'static str) {
            let answer = message(response("application/json", body.as_bytes())).await;
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
            assert!(!answer.headers().contains_key(AWS_CONTENT_TYPE));
            assert_eq!(text(answer).await, expected);
        }
        let plain = r#"{ "model":"m", "usage":{"input_tokens":1.0} }"#;
        check(plain, plain).await;
        check(
            r#"{"model":"m","amazon-bedrock-invocationMetrics":{"inputTokenCount":1},"x":"\u00e9"}"#,
            r#"{"model":"m","x":"\u00e9"}"#,
        )
        .await;
        let quoted = r#"{"model":"m","text":"amazon-bedrock-invocationMetrics"}"#;
        check(quoted, quoted).await;
        check("no JSON amazon-bedrock-invocationMetrics", "no JSON amazon-bedrock-invocationMetrics").await;
    }

    #[tokio::test]
    async fn the_member_of_a_count_is_renamed() {
        let answer = count(response("application/json", br#"{"inputTokens":2095}"#)).await.unwrap();
        assert_eq!(text(answer).await, r#"{"input_tokens":2095}"#);
        for odd in [&b"{}"[..], b"", b"<html>", br#"{"inputTokens":-1}"#] {
            assert!(matches!(
                count(response("application/json", odd)).await,
                Err(AnswerBodyError::Malformed(_))
            ));
        }
    }

    #[tokio::test]
    async fn a_stream_that_cannot_be_read_breaks_off() {
        let answer = message(response("application/vnd.amazon.eventstream", b"")).await;
        assert_eq!(answer.headers()[CONTENT_TYPE], media_type::EVENTS_IN_UTF8);
        assert!(!answer.headers().contains_key(CONTENT_LENGTH));
        assert!(matches!(answer.into_body().collect().await, Err(AnswerBodyError::Incomplete)));
        let answer =
            message(response("application/vnd.amazon.eventstream", b"\0\0\0\x10garbage that is long")).await;
        assert!(matches!(answer.into_body().collect().await, Err(AnswerBodyError::Malformed(_))));
    }

    #[test]
    fn the_id_of_a_request_is_sent_in_both_headers() {
        let (mut head, _) = response("application/json", b"").into_parts();
        name_request_id(&mut head.headers);
        assert_eq!(
            (&head.headers[REQUEST_ID], &head.headers[AWS_REQUEST_ID]),
            (&"id-1".parse().unwrap(), &"id-1".parse().unwrap())
        );
    }
}
