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

/// A local host name (bound to loopback, Ollama answers 403 with an empty body to any other), and nothing secret: Ollama
/// takes no key, so none may be sent.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let local_host = Rule::new(|request| {
        let host = request.headers.get("host").unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let local = ["127.0.0.1", "[::1]", "localhost"].contains(&name);
        if local { Ok(()) } else { Err(format!("host {host:?} is answered with 403")) }
    });
    let no_claude_key = Rule::new(|request| {
        if request.mentions("sk-ant-") { Err("a key of Anthropic's was sent".to_owned()) } else { Ok(()) }
    });
    let whole = Rule::on_body(|body| {
        content::without_urls(body)?;
        match content::blocks(body).iter().find(|block| block["type"] == "document") {
            Some(_) => Err("a document vanishes without an error".to_owned()),
            None => Ok(()),
        }
    });
    let rules = [local_host, no_claude_key, whole, rule::without("anthropic-beta"), content::no_billing()];
    rules.into_iter().chain([content::nothing_private()]).collect()
}

/// Answers as Ollama does.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    match (request.method.as_str(), request.path()) {
        ("POST", "/v1/messages") => message(&request.json()),
        ("GET" | "HEAD", "/") => Answer::text(200, "text/plain; charset=utf-8", "Ollama is running"),
        ("GET", "/api/version") => Answer::json(200, &json!({"version": "0.14.2"})),
        // gin's answer for a route that does not exist, count_tokens included
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

/// An answer without text: `content` is null where Anthropic has a list, and `stop_sequence` is left out.
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

/// An error: Anthropic's envelope, with the request id in the body alone.
#[must_use]
pub fn error(status: u16, kind: &str, message: &str) -> Answer {
    let error = json!({"type": kind, "message": message});
    Answer::json(status, &json!({"type": "error", "error": error, "request_id": "req_87d5c2c1ab"}))
}
