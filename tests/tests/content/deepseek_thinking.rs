//! Rules about thinking of vendors such as DeepSeek, which Claude Code's requests break.

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Relay, Request, Upstream, provider};
use serde_json::{Value, json};

/// Answers as DeepSeek does: it thinks by default, and reports its rules in words of its own.
fn deepseek(request: &Request) -> Answer {
    let body = request.json();
    let is_disabled = body["thinking"]["type"] == "disabled";
    let refusal = |message| anthropic::error_with(400, "invalid_request_error", message);
    let messages = body["messages"].to_string();
    if is_disabled && body["output_config"].get("effort").is_some() {
        return refusal("thinking options type cannot be disabled when reasoning_effort is set");
    }
    if !is_disabled && messages.contains("\"tool_use\"") && !messages.contains("\"type\":\"thinking\"") {
        return refusal("The `content[].thinking` in the thinking mode must be passed back to the API.");
    }
    anthropic::message(request, &Reply::new("deepseek-v4-pro").text("hello"))
}

fn body(thinking: &Value, messages: &Value) -> String {
    json!({"model": "deepseek-v4-pro", "max_tokens": 9000, "thinking": thinking, "messages": messages,
           "output_config": {"effort": "max"}})
    .to_string()
}

#[tokio::test]
async fn an_effort_is_removed_only_beside_disabled_thinking() {
    let upstream = Upstream::answering(deepseek).await;
    let relay = Relay::start(&json!({"providers": [provider("ds", "deepseek", &upstream.url())]})).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    for kind in ["disabled", "disabled", "adaptive"] {
        let call = Call::messages(body(&json!({"type": kind}), &messages));
        assert_eq!(call.send(relay.address()).await.status, 200, "{kind}");
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 4, "refused once");
    assert_eq!(requests[2].json().get("output_config"), None);
    assert_eq!(requests[3].json()["output_config"]["effort"], "max");
}

/// A conversation in the middle of a turn of another provider, without thinking.
fn tool_turn() -> Value {
    json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
    ])
}

async fn send(relay: &Relay, body: String) -> u16 {
    Call::messages(body).send(relay.address()).await.status
}

#[tokio::test]
async fn a_tool_turn_of_another_provider_continues_without_thinking() {
    for (kind, calls) in [("deepseek", 2), ("anthropic_compatible", 3)] {
        let upstream = Upstream::answering(deepseek).await;
        let relay = Relay::start(&json!({"providers": [provider("ds", kind, &upstream.url())]})).await;
        for _ in 0..2 {
            assert_eq!(send(&relay, body(&json!({"type": "adaptive"}), &tool_turn())).await, 200, "{kind}");
        }
        let requests = upstream.requests();
        assert_eq!(requests.len(), calls, "{kind}: the rule is learned at most once");
        let last = requests[calls - 1].json();
        assert_eq!(last["thinking"], json!({"type": "disabled"}), "{kind}");
        assert_eq!(last["messages"], tool_turn(), "{kind}: the conversation is not changed");
        let simple = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(send(&relay, body(&json!({"type": "adaptive"}), &simple)).await, 200, "{kind}");
        assert_eq!(upstream.requests()[calls].json()["thinking"], json!({"type": "adaptive"}), "{kind}");
    }
}

/// Refuses every `tool_choice` that forces a call, unless thinking is disabled.
fn no_forced_tool(request: &Request) -> Answer {
    let body = request.json();
    if body["thinking"]["type"] != "disabled"
        && matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool"))
    {
        let message = "Thinking mode does not support this tool_choice";
        return anthropic::error_with(400, "invalid_request_error", message);
    }
    anthropic::message(request, &Reply::new("deepseek-v4-pro").text("hello"))
}

#[tokio::test]
async fn a_forced_tool_disables_thinking_for_that_request_alone() {
    for (kind, calls) in [("deepseek", 2), ("anthropic_compatible", 3)] {
        let upstream = Upstream::answering(no_forced_tool).await;
        let relay = Relay::start(&json!({"providers": [provider("ds", kind, &upstream.url())]})).await;
        let body = |choice: &str| {
            json!({"model": "m", "max_tokens": 9, "tools": [{"name": "t", "input_schema": {}}],
                   "tool_choice": {"type": choice}, "messages": [{"role": "user", "content": "hi"}]})
            .to_string()
        };
        for _ in 0..2 {
            assert_eq!(send(&relay, body("any")).await, 200, "{kind}");
        }
        assert_eq!(send(&relay, body("auto")).await, 200, "{kind}");
        let requests = upstream.requests();
        assert_eq!(requests.len(), calls + 1, "{kind}: the rule is learned at most once");
        let forced = requests[calls - 1].json();
        assert_eq!(forced["thinking"], json!({"type": "disabled"}), "{kind}");
        assert_eq!(forced["tool_choice"], json!({"type": "any"}), "{kind}: the choice of the client stays");
        assert_eq!(requests[calls].json().get("thinking"), None, "{kind}: other requests are not changed");
    }
}

#[tokio::test]
async fn a_model_that_cannot_disable_thinking_gets_the_whole_request() {
    let upstream = Upstream::answering(|request| match request.json()["thinking"]["type"] == "disabled" {
        true => {
            anthropic::error_with(400, "invalid_request_error", "thinking cannot be disabled for this model")
        }
        false => anthropic::message(request, &Reply::new("m").text("hello")),
    })
    .await;
    let relay = Relay::start(&json!({"providers": [provider("ds", "deepseek", &upstream.url())]})).await;
    for _ in 0..2 {
        assert_eq!(send(&relay, body(&json!({"type": "adaptive"}), &tool_turn())).await, 200);
    }
    assert_eq!(upstream.requests().len(), 3, "the refusal of disabled thinking is remembered");
}
