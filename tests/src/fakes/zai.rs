//! Z.AI's Anthropic endpoint at `/api/anthropic`.
//!
//! # Source
//! docs.z.ai api-code; reports in the issues of zai-org.

use serde_json::json;

use super::anthropic::{self, Credential};
use super::content;
use crate::answer::Answer;
use crate::request::Request;
use crate::rule::Rule;
use crate::sse;

/// The path prefix of the API.
pub const PREFIX: &str = "/api/anthropic";

/// Returns the rules for every request: `key` in `x-api-key`, and no credential of Anthropic.
#[must_use]
pub fn rules(key: &'static str) -> Vec<Rule> {
    let mut rules = anthropic::rules(Credential::Key(key));
    rules.push(Rule::new(|request| {
        if request.mentions("sk-ant-") { Err("a key of Anthropic was sent".to_owned()) } else { Ok(()) }
    }));
    rules.extend([content::no_safeguards(), content::no_billing_header()]);
    rules
}

/// Answers like Z.AI.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    let Some(path) = request.path().strip_prefix(PREFIX) else { return error(404, "404", "Not Found") };
    match (request.method.as_str(), path) {
        ("POST", "/v1/messages") => {
            let body = request.json();
            if body.get("max_tokens").is_none() {
                // Z.AI fails with a 500 instead of a 400.
                return error(500, "500", "[500][Operation failed][20261122180000abcdef]");
            }
            if body["model"].as_str().is_none_or(|model| !model.to_lowercase().starts_with("glm-")) {
                return error(400, "1211", "Unknown Model, please check the model code.");
            }
            if body["stream"] == true {
                return Answer::sse(sse::recorded("zai/hello.sse"));
            }
            let model = body["model"].as_str().unwrap_or_default();
            Answer::json(200, &super::Reply::new(model).text("Hello!").json())
        }
        ("POST", "/v1/messages/count_tokens") => Answer::json(200, &json!({"input_tokens": 17})),
        _ => error(404, "404", "Not Found"),
    }
}

/// Returns an error with a business code in Z.AI's typed form.
#[must_use]
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    let error = json!({"type": "api_error", "code": code, "message": message});
    Answer::json(status, &json!({"type": "error", "error": error}))
}

/// Returns an error with a business code in Z.AI's bare form.
#[must_use]
pub fn bare_error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"error": {"code": code, "message": message}}))
}
