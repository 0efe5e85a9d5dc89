//! Anthropic's Messages API.

use serde_json::{Value, json};

use super::Reply;
use crate::answer::Answer;
use crate::request::Request;
use crate::rule::{self, Rule};

/// The `request-id` of every answer.
pub const REQUEST_ID: &str = "req_011CSHoEeqs5C35K2UUqR7Fy";

/// The credential that the upstream requires.
#[derive(Debug, Clone, Copy)]
pub enum Credential {
    /// This key in `x-api-key`, and no `authorization`.
    Key(&'static str),
    /// This token as `Bearer TOKEN` in `authorization`, and no `x-api-key`.
    Bearer(&'static str),
}

/// Returns the rules for every request of a relay: `credential` and no other, one `anthropic-version`, no header about the
/// client's connection, and no `accept-encoding` that would make the relay decode the answer.
#[must_use]
pub fn rules(credential: Credential) -> Vec<Rule> {
    let mut rules = vec![rule::exactly_one("anthropic-version")];
    rules.extend(match credential {
        Credential::Key(key) => [rule::header("x-api-key", key), rule::without("authorization")],
        Credential::Bearer(token) => [bearer(token), rule::without("x-api-key")],
    });
    rules.extend(
        ["cookie", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"].map(rule::without),
    );
    rules.push(Rule::new(|request| match request.headers.get("accept-encoding") {
        None | Some("identity") => Ok(()),
        Some(other) => Err(format!("accept-encoding: {other:?}")),
    }));
    rules
}

fn bearer(token: &'static str) -> Rule {
    Rule::new(move |request| {
        let found: Vec<_> = request.headers.all("authorization").collect();
        if found == [format!("Bearer {token}")] { Ok(()) } else { Err(format!("authorization is {found:?}")) }
    })
}

/// Answers like the API: a message (streamed if requested), a token count, the list of models, else 404.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    match (request.method.as_str(), request.path()) {
        ("POST", "/v1/messages") => {
            let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
            message(request, &Reply::new(model).text("Hello! How can I help you today?"))
        }
        ("POST", "/v1/messages/count_tokens") => success(Answer::json(200, &json!({"input_tokens": 2095}))),
        ("GET", "/v1/models") => success(Answer::json(200, &models())),
        _ => error(404),
    }
}

/// Returns `reply` as a stream if `request` has `"stream": true`, else as JSON.
#[must_use]
pub fn message(request: &Request, reply: &Reply) -> Answer {
    if request.json()["stream"] == true {
        success(Answer::sse(reply.events()))
    } else {
        success(Answer::json(200, &reply.json()))
    }
}

/// Returns a script that answers every request with a message with this text, streamed if requested.
pub fn answer_with(text: &str) -> impl Fn(&Request) -> Answer + use<> {
    let reply = Reply::new("claude-opus-5-5").text(text);
    move |request| message(request, &reply)
}

/// Adds the headers of every successful answer of the API.
#[must_use]
pub fn success(answer: Answer) -> Answer {
    answer
        .with_header("request-id", REQUEST_ID)
        .with_header("anthropic-organization-id", "0ce7ab52-6c6c-4a6d-8b3a-3f0e51f8a1f5")
        .with_header("anthropic-ratelimit-requests-limit", "4000")
        .with_header("anthropic-ratelimit-requests-remaining", "3999")
        .with_header("anthropic-ratelimit-requests-reset", "2026-11-22T18:00:00Z")
}

/// The errors of the API: status, type and message.
pub const ERRORS: [(u16, &str, &str); 16] = [
    (400, "invalid_request_error", "messages: at least one message is required"),
    (401, "authentication_error", "invalid x-api-key"),
    (402, "billing_error", "Your organization has no payment method on file."),
    (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    (404, "not_found_error", "model: claude-nonesuch-1"),
    (408, "api_error", "Request timeout"),
    (409, "conflict_error", "The resource was changed meanwhile."),
    (412, "invalid_request_error", "Precondition failed"),
    (413, "request_too_large", "Request exceeds the maximum size"),
    (422, "invalid_request_error", "Unprocessable request"),
    (
        429,
        "rate_limit_error",
        "This request would exceed your organization’s rate limit of 50,000 input tokens per minute.",
    ),
    (500, "api_error", "Internal server error"),
    (501, "api_error", "Not implemented"),
    (503, "overloaded_error", "Service unavailable"),
    (504, "timeout_error", "The request timed out while processing."),
    (529, "overloaded_error", "Overloaded"),
];

/// Returns the error of the API with this status.
/// # Panics
/// If [`ERRORS`] has no such status.
#[must_use]
#[track_caller]
pub fn error(status: u16) -> Answer {
    let known = ERRORS.iter().find(|(known, ..)| *known == status);
    let (_, kind, message) = known.expect("a status of the API");
    let answer = error_with(status, kind, message);
    if status == 429 { answer.with_header("retry-after", "30") } else { answer }
}

/// Returns an error with this status, type and message.
#[must_use]
pub fn error_with(status: u16, kind: &str, message: &str) -> Answer {
    let error = json!({"type": kind, "message": message});
    let body = json!({"type": "error", "error": error, "request_id": REQUEST_ID});
    Answer::json(status, &body).with_header("request-id", REQUEST_ID)
}

fn models() -> Value {
    let model = |id: &str, name: &str| json!({"type": "model", "id": id, "display_name": name, "created_at": "2026-10-01T00:00:00Z"});
    json!({
        "data": [model("claude-opus-5-5", "Claude Opus 5.5"), model("claude-haiku-5-5", "Claude Haiku 5.5")],
        "first_id": "claude-opus-5-5",
        "last_id": "claude-haiku-5-5",
        "has_more": false,
    })
}
