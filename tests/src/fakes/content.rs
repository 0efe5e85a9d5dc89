//! Rules for the content of a body that upstreams other than Anthropic refuse or must not receive.
//!
//! # Source
//! Anthropic's pages about each cloud; public reports of the clouds' answers; Claude Code 2.1.330 in its own cloud modes.

use serde_json::Value;

use crate::rule::Rule;

/// Returns all tools, and all content blocks of `system`, of messages and of tool results.
#[must_use]
pub fn blocks(body: &Value) -> Vec<&Value> {
    let list = |name: &str| body[name].as_array().into_iter().flatten();
    let mut blocks: Vec<&Value> = list("system").chain(list("tools")).collect();
    for message in list("messages") {
        for block in message["content"].as_array().into_iter().flatten() {
            blocks.push(block);
            blocks.extend(block["content"].as_array().into_iter().flatten());
        }
    }
    blocks
}

/// Refuses `cache_control.scope`, which only Anthropic accepts.
pub(super) fn without_scope(body: &Value) -> Result<(), String> {
    match blocks(body).iter().any(|block| block["cache_control"].get("scope").is_some()) {
        true => Err("cache_control.scope: Extra inputs are not permitted".to_owned()),
        false => Ok(()),
    }
}

/// Refuses images and documents by URL or file id: only base64 is accepted.
pub(super) fn without_urls(body: &Value) -> Result<(), String> {
    let by_reference =
        |block: &&&Value| block["source"]["type"] == "url" || block["source"]["type"] == "file";
    match blocks(body).iter().find(by_reference) {
        Some(block) => Err(format!("invalid source type: {}", block["source"]["type"])),
        None => Ok(()),
    }
}

/// Refuses content that older models do not support: messages of the role `system`, effort, deferred tools.
pub(super) fn for_generation(model: &str, body: &Value) -> Result<(), String> {
    let is = |parts: &[&str]| parts.iter().any(|part| model.contains(part));
    let roles = body["messages"].as_array().into_iter().flatten().map(|message| &message["role"]);
    let before_4_7 = is(&["claude-3", "-4-2025", "-4@2025", "-4-1-", "-4-1@", "-4-5-", "-4-5@", "-4-6"]);
    if before_4_7 && roles.into_iter().any(|role| role == "system") {
        return Err("messages: Unexpected role \"system\"".to_owned());
    }
    let without_effort = before_4_7 && !is(&["opus-4-5", "-4-6"]);
    if without_effort && body["output_config"].get("effort").is_some() {
        return Err("output_config.effort: Extra inputs are not permitted".to_owned());
    }
    let before_4_5 = is(&["claude-3", "-4-2025", "-4@2025", "-4-1-", "-4-1@"]);
    if before_4_5 && blocks(body).iter().any(|block| block.get("defer_loading").is_some()) {
        return Err("tools.0.defer_loading: Extra inputs are not permitted".to_owned());
    }
    Ok(())
}

/// Forbids `safeguards`, which contains local paths.
pub(super) fn no_safeguards() -> Rule {
    Rule::on_body(|body| {
        let inner = body["input"]["invokeModel"]["body"].is_string();
        match !inner && body.get("safeguards").is_some() {
            true => Err("safeguards were sent to an upstream other than Anthropic".to_owned()),
            false => Ok(()),
        }
    })
}

/// Forbids the billing header in `system`. Anthropic strips it; any other upstream would treat it as part of the prompt.
pub(super) fn no_billing_header() -> Rule {
    Rule::on_body(|body| match body["system"].to_string().contains("x-anthropic-billing-header") {
        true => Err("the billing header was sent to an upstream other than Anthropic".to_owned()),
        false => Ok(()),
    })
}
