//! Ollama's Anthropic endpoint.
//!
//! # Source
//! ollama `server/routes.go`, `anthropic/anthropic.go`, `middleware/anthropic.go`, v0.14 and later.

use serde_json::{Value, json};

use super::content;
use crate::answer::Answer;
use crate::request::Request;
use crate::rule::{self, Rule};
use crate::sse;

/// Returns the rules for every request: a local host name, no key of Anthropic's, and content that Ollama supports.
///
/// If Ollama is bound to loopback, it answers 403 with an empty body to any other host name. It needs no key, so none may
/// be sent.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let local_host = Rule::new(|request| {
        let host = request.headers.get("host").unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let local = ["127.0.0.1", "[::1]", "localhost"].contains(&name);
        if local { Ok(()) } else { Err(format!("host {host:?} gets a 403")) }
    });
    let no_claude_key = Rule::new(|request| {
        if request.mentions("sk-ant-") { Err("a key of Anthropic was sent".to_owned()) } else { Ok(()) }
    });
    let whole = Rule::on_body(|body| {
        content::without_urls(body)?;
        match content::blocks(body).iter().find(|block| block["type"] == "document") {
            Some(_) => Err("Ollama drops a document without an error".to_owned()),
            None => Ok(()),
        }
    });
    let rules =
        [local_host, no_claude_key, whole, rule::without("anthropic-beta"), content::no_billing_header()];
    rules.into_iter().chain([content::no_safeguards()]).collect()
}

/// Answers like Ollama.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    match (request.method.as_str(), request.path()) {
        ("POST", "/v1/messages") => message(&request.json()),
        ("GET" | "HEAD", "/") => Answer::text(200, "text/plain; charset=utf-8", "Ollama is running"),
        ("GET", "/api/version") => Answer::json(200, &json!({"version": "0.14.2"})),
        // gin's answer for a route that does not exist, such as count_tokens
        _ => Answer::text(404, "text/plain", "404 page not found"),
    }
}

fn message(body: &Value) -> Answer {
    if body["max_tokens"].as_u64().unwrap_or(0) == 0 {
        return error(400, "invalid_request_error", "max_tokens is required and must be positive");
    }
    if body["stream"] == true {
        return Answer::sse(sse::recorded("ollama/hello.sse"));
    }
    Answer::json(200, &empty_message(body))
}

/// Returns a message without text. `content` is null instead of a list, and `stop_sequence` is missing.
fn empty_message(body: &Value) -> Value {
    json!({
        "id": "msg_4bb2ec7d9d3c1f2a",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": null,
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 12, "output_tokens": 0},
    })
}

/// Returns an error in Anthropic's envelope. Only the body has the request id.
#[must_use]
pub fn error(status: u16, kind: &str, message: &str) -> Answer {
    let error = json!({"type": kind, "message": message});
    Answer::json(status, &json!({"type": "error", "error": error, "request_id": "req_87d5c2c1ab"}))
}
