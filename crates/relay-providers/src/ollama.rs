//! Ollama: Anthropic's format, without a credential, on a server of the operator's own.
//!
//! # Source
//! ollama `server/routes.go`, `anthropic/anthropic.go` and `middleware/anthropic.go`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt;
use relay_config::BaseUrl;
use relay_messages::{Edits, MessagesBody, Payload, headers};
use relay_stream::body::MessageStartBody;
use relay_transport::{Start, full, read_start};

use crate::answer::{AnswerBody, BodyError};
use crate::anthropic_format;
use crate::failure::{self, Form, Judgement, Meaning, Rule, Subject, UpstreamError, When};
use crate::provider::{AuthorizeError, PrepareError, Provider};
use crate::request::{Attempt, Endpoint};

/// The size of a message up to which it is collected and completed. A larger message passes as it is. The longest answers
/// of today's models are below 1 MiB.
const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// The members that Ollama may omit from a message, and the value that each gets.
const MEMBERS: [(&str, &str); 4] = [
    ("content", "[]"),
    ("stop_reason", "null"),
    ("stop_sequence", "null"),
    ("usage", r#"{"input_tokens":0,"output_tokens":0}"#),
];

const RULES: &[Rule] = &[
    // Ollama's check of the `host` header; its answer has no body.
    Rule::when(&[When::Status(403, 403), When::Form(Form::Empty)]).means(Meaning::Failed).says(
        "Ollama listens on loopback alone and refuses requests that call it `{authority}`: set base_url to an address \
         or a name of this machine, or OLLAMA_HOST=0.0.0.0 where Ollama runs",
    ),
    // A path that its router does not know: gin's "404 page not found".
    Rule::when(&[When::Status(404, 404), When::Form(Form::Text)])
        .says("Ollama has no {path} here: it takes Ollama 0.14 or newer, and base_url without a path"),
    // The request carried no credential, so none was refused.
    Rule::when(&[When::Status(401, 403)]).means(Meaning::Failed),
];

/// An Ollama server.
#[derive(Debug, Clone)]
pub struct Ollama {
    base_url: BaseUrl,
}

impl Ollama {
    /// Creates the provider for the server at `base_url`.
    #[must_use]
    pub fn new(base_url: BaseUrl) -> Self {
        Self { base_url }
    }
}

impl Provider for Ollama {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        anthropic_format::prepare(&self.base_url, attempt)
    }

    async fn authorize(
        &self,
        mut request: Request<Payload>,
        _: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        headers::remove_oauth_beta(request.headers_mut());
        Ok(request)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        Some(&self.base_url)
    }

    fn judge(&self, error: &UpstreamError, attempt: &Attempt) -> Judgement {
        let authority = self.base_url.authority().as_str();
        let facts = [("authority", authority), ("path", attempt.request().endpoint().path())];
        failure::judge(RULES, &Subject::new(error).with_facts(&facts))
    }

    async fn convert(
        &self,
        endpoint: Endpoint,
        response: Response<AnswerBody>,
    ) -> Result<Response<AnswerBody>, BodyError> {
        if endpoint != Endpoint::Messages {
            return Ok(response);
        }
        let (mut head, body) = response.into_parts();
        let media_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let body = if media_type.starts_with(b"text/event-stream") {
            MessageStartBody::complete(body).boxed_unsync()
        } else {
            match read_start(body, MESSAGE_LIMIT, Duration::MAX).await {
                Start::Whole(bytes) => completed(bytes),
                Start::Part(_, body) => body,
            }
        };
        head.headers.remove(CONTENT_LENGTH);
        Ok(Response::from_parts(head, body))
    }
}

/// Completes a message: replaces a `content` of `null`, which Ollama writes for an answer without text, by `[]`, and adds the
/// members that it omits.
fn completed(bytes: Bytes) -> AnswerBody {
    let Ok(message) = MessagesBody::parse(bytes.clone()) else { return full(bytes) };
    let mut edits = Edits::default();
    if message.get("content").is_some_and(|content| content == "null") {
        edits.replace(&message, "content", &Bytes::from_static(b"[]"));
    }
    for (name, value) in MEMBERS {
        if message.get(name).is_none() {
            edits.insert(&message, name, value);
        }
    }
    edits.apply(&message).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::failure::testing;
    use crate::outcome::Outcome;
    use crate::request::RelayRequest;

    fn ollama() -> Ollama {
        Ollama::new(BaseUrl::parse("http://gpu.example:11434").unwrap())
    }

    #[tokio::test]
    async fn a_message_gets_its_missing_members() {
        async fn check(before: &str, after: &str) {
            let body = completed(Bytes::from(before.to_owned())).collect().await.unwrap().to_bytes();
            assert_eq!(std::str::from_utf8(&body).unwrap(), after);
        }
        check(
            r#"{"id":"m","model":"q","content": null,"stop_reason":"end_turn","usage":{"input_tokens":1}}"#,
            r#"{"stop_sequence":null,"id":"m","model":"q","content": [],"stop_reason":"end_turn","usage":{"input_tokens":1}}"#,
        )
        .await;
        check(
            r#"{"model":"q"}"#,
            r#"{"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0},"model":"q"}"#,
        )
        .await;
        for whole in [
            r#"{"model":"q","content":[1],"stop_reason":1,"stop_sequence":1,"usage":1}"#,
            r#"{"model":"q","content":"#,
            "[]",
        ] {
            check(whole, whole).await;
        }
    }

    #[test]
    fn a_wrong_setting_is_named() {
        #[track_caller]
        fn check(status: u16, body: &str, outcome: Outcome, message: Option<&str>) {
            let request = MessagesBody::parse(r#"{"model":"m"}"#.into()).unwrap();
            let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), request);
            let judgement = ollama().judge(&testing::error(status, body), &Attempt::new(request));
            assert_eq!(judgement.outcome, outcome, "{body}");
            let found = judgement.api_error.map(|error| (error.status.as_u16(), error.message));
            match message {
                Some(part) => {
                    assert!(found.as_ref().is_some_and(|found| found.1.contains(part)), "{found:?}");
                    assert!(found.is_some_and(|found| found.0 == status));
                }
                None => assert_eq!(found, None, "{body}"),
            }
        }
        check(403, "", Outcome::Failed, Some("`gpu.example:11434`"));
        check(404, "404 page not found", Outcome::ModelUnavailable, Some("no /v1/messages here"));
        check(404, "404 page not found", Outcome::ModelUnavailable, Some("0.14 or newer"));
        let error = r#"{"type":"error","error":{"type":"not_found_error","message":"model 'x' not found"}}"#;
        check(404, error, Outcome::ModelUnavailable, None);
        check(401, r#"{"error":"unauthorized"}"#, Outcome::Failed, None);
        check(500, "llama runner process has terminated", Outcome::Failed, None);
    }
}
