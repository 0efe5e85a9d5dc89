//! Claude on Google Vertex AI.
//!
//! # Source
//! Anthropic's SDKs for Vertex; Claude Code's own Vertex mode; public reports of Google's errors.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Reply, content};
use crate::answer::Answer;
use crate::request::Request;
use crate::rule::{self, Rule};
use crate::sse::event;

/// Returns the configuration of a provider in the region `global` with this credentials file.
#[must_use]
pub fn provider(upstream: &str, credentials_file: &Path) -> Value {
    json!({
        "name": "vertex", "type": "vertex", "base_url": upstream, "gcp_region": "global",
        "credentials_file": credentials_file,
    })
}

/// Returns the path prefix of the models in this project and region.
#[must_use]
pub fn models_path(project: &str, region: &str) -> String {
    format!("/v1/projects/{project}/locations/{region}/publishers/anthropic/models/")
}

/// Returns the rules for every request: no credential but Google's, the version in the body and not in a header, no query,
/// and no beta or field that Vertex refuses.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let mut rules = vec![rule::exactly_one("authorization")];
    rules.extend(["x-api-key", "anthropic-version", "cookie", "accept-encoding"].map(rule::without));
    rules.push(Rule::new(check_target));
    rules.push(Rule::new(check_body));
    rules.push(Rule::new(check_betas));
    rules.push(Rule::new(|request| {
        let body = request.json();
        content::without_scope(&body)?;
        content::without_urls(&body)?;
        let model = request.target.split("/models/").nth(1).unwrap_or_default();
        content::for_generation(model.split(':').next().unwrap_or_default(), &body)
    }));
    rules.push(content::no_safeguards());
    rules.push(Rule::new(|request| {
        if request.mentions("sk-ant-") { Err("a key of Anthropic was sent".to_owned()) } else { Ok(()) }
    }));
    rules
}

fn check_target(request: &Request) -> Result<(), String> {
    let problem = || Err(format!("{} {}", request.method, request.target));
    let Some((_, model)) = request.target.split_once("/publishers/anthropic/models/") else {
        return problem();
    };
    let Some((model, operation)) = model.rsplit_once(':') else { return problem() };
    let known = ["rawPredict", "streamRawPredict"].contains(&operation);
    let is_segment = !model.is_empty() && !model.contains(['/', ';', '?', '#']);
    if request.method == "POST" && known && is_segment { Ok(()) } else { problem() }
}

fn check_body(request: &Request) -> Result<(), String> {
    let body = request.json();
    let is_count = request.path().ends_with("/count-tokens:rawPredict");
    let version = &body["anthropic_version"];
    if version != "vertex-2023-10-16" && version != "2026-10-21" {
        return Err(format!("anthropic_version is {version}"));
    }
    match body.get("model") {
        Some(model) if is_count && model.as_str().is_none_or(|model| model.contains('@')) => {
            return Err(format!("{model} is not supported for token counting"));
        }
        None if is_count => return Err("model: Field required".to_owned()),
        Some(_) if !is_count => return Err("model: Extra inputs are not permitted".to_owned()),
        _ => {}
    }
    if (body["stream"] == true) != request.path().ends_with(":streamRawPredict") {
        return Err(format!("stream is {} at {}", body["stream"], request.path()));
    }
    let refused = ["service_tier", "speed", "container", "mcp_servers", "output_format"];
    match refused.into_iter().find(|name| body.get(name).is_some()) {
        Some(name) => Err(format!("{name}: Extra inputs are not permitted")),
        None => Ok(()),
    }
}

fn check_betas(request: &Request) -> Result<(), String> {
    let refused =
        ["advanced-tool-use-", "oauth-", "mcp-", "skills-", "files-api-", "fast-mode-", "code-execution-"];
    let betas: Vec<_> = request.headers.all("anthropic-beta").flat_map(|value| value.split(',')).collect();
    let found = betas.iter().find(|beta| refused.iter().any(|start| beta.trim().starts_with(start)));
    found.map_or(Ok(()), |beta| Err(format!("Unexpected value(s) `{beta}` for the `anthropic-beta` header")))
}

/// Answers like Vertex: a message (streamed if requested), or a token count.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    if request.path().ends_with("/count-tokens:rawPredict") {
        return Answer::json(200, &json!({"input_tokens": 2095}));
    }
    let reply = Reply::new("claude-on-vertex").text("Hello from Vertex!");
    match request.json()["stream"] == true {
        true => Answer::sse(events(&reply)),
        false => Answer::json(200, &reply.json()),
    }
}

/// Encodes `vertex_event`, an event that only Google sends.
#[must_use]
pub fn foreign_event() -> Bytes {
    let usage = json!({"input_tokens": 25, "output_tokens": 42, "tiers": {"standard": 67}});
    event("vertex_event", &json!({"type": "vertex_event", "usage": usage}))
}

/// Returns the events of a stream, with `vertex_event` before the last one.
#[must_use]
pub fn events(reply: &Reply) -> Vec<Bytes> {
    let mut events = reply.events();
    events.insert(events.len() - 1, foreign_event());
    events
}

/// Returns an error in Google's format.
#[must_use]
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"error": {"code": status, "message": message, "status": code}}))
}

/// Returns an error in Google's format for streams: in an array.
#[must_use]
pub fn error_in_array(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!([{"error": {"code": status, "message": message, "status": code}}]))
}
