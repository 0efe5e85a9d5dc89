//! Calls Ollama: Anthropic's format, without a credential, on a server of the operator.
//!
//! # Source
//! ollama `server/routes.go`, `server/sched.go`, `llm/server.go`, `anthropic/anthropic.go` and `middleware/anthropic.go`;
//! github.com/ollama/ollama, issues 15990 and 16773 (403 for a cloud model) and 16065 (401).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body_util::BodyExt;
use relay_config::BaseUrl;
use relay_messages::{Edits, MessagesBody, Payload, headers, media_type};
use relay_stream::body::MessageStartBody;
use relay_transport::{Start, read_start};

use crate::answer::{AnswerBody, AnswerBodyError};
use crate::anthropic_format;
use crate::failure::{self, Form, Judgement, Meaning, Rule, Scope, Subject, UpstreamError, Wait, When};
use crate::provider::{AuthorizeError, FreeRequest, PrepareError, Provider};
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

const SIGN_IN: &str = "{message} (Ollama: run `ollama signin` on its machine to use `{model}`)";
const PROXY: &str = "a server before Ollama answered 401: it requires a credential, and Ollama gets none";

/// The condition that the model runs at ollama.com.
const CLOUD: When = When::Fact("place", "cloud");

const RULES: &[Rule] = &[
    // Ollama's check of the `host` header; its answer has no body.
    Rule::when(&[When::Status(403, 403), When::Form(Form::Empty)]).means(Meaning::Failed).says(
        "Ollama listens on loopback alone and refuses requests that call it `{authority}`: set base_url to an address \
         or a name of this machine, or OLLAMA_HOST=0.0.0.0 where Ollama runs",
    ),
    // The router of Ollama, gin, answers an unknown path with "404 page not found".
    Rule::when(&[When::Status(404, 404), When::Form(Form::Text)])
        .says("Ollama has no {path} here: it takes Ollama 0.14 or newer, and base_url without a path"),
    // A `:cloud` model runs at ollama.com, with the account of the machine that Ollama runs on. Its failures do not
    // concern Ollama and its local models.
    Rule::when(&[When::Status(401, 403), When::Form(Form::Anthropic)]).means(Meaning::ModelUnavailable),
    Rule::when(&[When::Status(401, 403), When::Form(Form::Json)]).means(Meaning::ModelUnavailable),
    Rule::when(&[When::Status(401, 401), When::Form(Form::Anthropic)]).answers(502).says(SIGN_IN),
    Rule::when(&[When::Status(401, 401), When::Form(Form::Json)]).answers(502).says(SIGN_IN),
    Rule::when(&[When::Status(429, 429)]).means(Meaning::Limited(Scope::ModelIfTimed, Wait::LimitsOrMessage)),
    // The model does not fit into the memory of the machine.
    Rule::when(&[When::Status(500, 599), When::Says("requires more system memory")])
        .means(Meaning::ModelUnavailable),
    Rule::when(&[When::Status(500, 599), When::Type(&["overloaded_error"])])
        .means(Meaning::Overloaded(Wait::Headers)),
    Rule::when(&[When::Status(500, 599), CLOUD]).means(Meaning::ModelFailed),
    // Ollama itself answers 502 only for a model at ollama.com, whose name may be a copy without `cloud`.
    Rule::when(&[When::Status(502, 502), When::Form(Form::Anthropic)]).means(Meaning::ModelFailed),
    Rule::when(&[When::Status(502, 502), When::Form(Form::Json)]).means(Meaning::ModelFailed),
    Rule::when(&[When::Status(400, 400), When::Says("does not support tools")]).means(Meaning::ModelUnavailable),
    Rule::when(&[When::Status(400, 400), When::Says("does not support chat")]).means(Meaning::ModelUnavailable),
    Rule::when(&[When::Status(503, 503), When::Says("server busy")]).means(Meaning::Overloaded(Wait::Headers)),
    // The process that runs one model has failed, or could not load it.
    Rule::when(&[When::Status(500, 599), When::Says("llama runner")]).means(Meaning::ModelFailed),
    Rule::when(&[When::Status(500, 599), When::Says("model runner")]).means(Meaning::ModelFailed),
    Rule::when(&[When::Status(500, 599), When::Says("load model")]).means(Meaning::ModelFailed),
    Rule::when(&[When::Status(500, 599), When::Says("loading model")]).means(Meaning::ModelFailed),
    Rule::when(&[When::Status(500, 599), When::Says("out of memory")]).means(Meaning::ModelFailed),
    // The request had no credential, so none was refused. A proxy in between has answered.
    Rule::when(&[When::Status(401, 403)]).means(Meaning::Failed),
    Rule::when(&[When::Status(401, 401)]).answers(502).says(PROXY).or_without_message(PROXY),
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

    fn free_request(&self) -> FreeRequest {
        FreeRequest::Get("/api/tags")
    }

    fn judge(&self, error: &UpstreamError, attempt: &Attempt) -> Judgement {
        let authority = self.base_url.authority().as_str();
        let model = attempt.model();
        let place = if model.ends_with("cloud") { "cloud" } else { "here" };
        let path = attempt.request().endpoint().path();
        let facts = [("authority", authority), ("path", path), ("model", model), ("place", place)];
        failure::judge(RULES, &Subject::new(error).with_facts(&facts))
    }

    async fn convert(
        &self,
        endpoint: Endpoint,
        response: Response<AnswerBody>,
    ) -> Result<Response<AnswerBody>, AnswerBodyError> {
        if endpoint != Endpoint::Messages {
            return Ok(response);
        }
        let (mut head, body) = response.into_parts();
        let body = if media_type::is(&head.headers, media_type::EVENTS) {
            body.adapt(MessageStartBody::complete)
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
    let Ok(message) = MessagesBody::parse(bytes.clone()) else { return AnswerBody::from(bytes) };
    let mut edits = Edits::default();
    if message.get("content").is_some_and(|content| content == "null") {
        edits.replace(&message, "content", &Bytes::from_static(b"[]"));
    }
    for (name, value) in MEMBERS {
        if message.get(name).is_none() {
            edits.insert(&message, name, value);
        }
    }
    AnswerBody::new(edits.apply(&message).map_err(|never| match never {}))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::failure::testing;
    use crate::outcome::{LimitScope, Outcome};
    use crate::request::RelayRequest;

    fn ollama() -> Ollama {
        Ollama::new(BaseUrl::parse("http://gpu.example:11434").unwrap())
    }

    #[tokio::test]
    async fn missing_members_are_added_to_a_message() {
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
    fn the_error_for_a_wrong_setting_names_the_setting() {
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
        check(502, "<html>", Outcome::Failed, None);
        check(500, "llama runner process has terminated", Outcome::ModelFailed, None);
        check(500, "internal error", Outcome::Failed, None);
    }

    #[test]
    fn a_failure_of_one_model_does_not_count_as_a_failure_of_ollama() {
        #[track_caller]
        fn check(model: &str, status: u16, body: &str, expected: Outcome) {
            let request = MessagesBody::parse(format!(r#"{{"model":"{model}"}}"#).into()).unwrap();
            let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), request);
            let judgement = ollama().judge(&testing::error(status, body), &Attempt::new(request));
            assert_eq!(judgement.outcome, expected, "{model} {status} {body}");
        }
        let error = |kind: &str, message: &str| {
            serde_json::json!({"type": "error", "error": {"type": kind, "message": message}}).to_string()
        };
        let (local, cloud) = ("qwen3:8b", "kimi-k2.7:cloud");
        let unavailable = Outcome::ModelUnavailable;
        let subscription =
            error("permission_error", "this model requires a subscription, upgrade for access");
        for model in [local, cloud, "gpt-oss:120b-cloud"] {
            check(model, 403, &subscription, unavailable);
            check(model, 401, &error("authentication_error", "unauthorized"), unavailable);
            check(model, 401, r#"{"error":"unauthorized"}"#, unavailable);
            let memory = "model requires more system memory (49.5 GiB) than is available (13.0 GiB)";
            check(model, 500, &error("api_error", memory), unavailable);
            check(model, 400, &error("invalid_request_error", "x does not support tools"), unavailable);
            let limited = |retry_after, scope| Outcome::RateLimited { retry_after, scope };
            check(model, 429, &error("rate_limit_error", "weekly limit"), limited(None, LimitScope::Request));
            let seconds = Some(Duration::from_secs(20));
            let timed = error("rate_limit_error", "try again in 20s");
            check(model, 429, &timed, limited(seconds, LimitScope::Model));
        }
        for status in [500, 502, 503, 504] {
            check(cloud, status, &error("api_error", "upstream"), Outcome::ModelFailed);
            let expected = if status == 502 { Outcome::ModelFailed } else { Outcome::Failed };
            check(local, status, &error("api_error", "upstream"), expected);
            check(local, status, "<html><title>nginx</title></html>", Outcome::Failed);
        }
        check(local, 502, r#"{"error":"upstream error"}"#, Outcome::ModelFailed);
        let failed = Outcome::ModelFailed;
        check(local, 500, &error("api_error", "model runner has unexpectedly stopped"), failed);
        check(local, 500, &error("api_error", "unable to load model: /x"), failed);
        check(
            local,
            503,
            &error("api_error", "server busy, please try again"),
            Outcome::Overloaded { retry_after: None },
        );
    }
}
