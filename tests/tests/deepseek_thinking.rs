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

#[tokio::test]
async fn a_tool_turn_of_another_provider_continues_without_thinking() {
    let upstream = Upstream::answering(deepseek).await;
    let relay = Relay::start(&json!({"providers": [provider("ds", "deepseek", &upstream.url())]})).await;
    let messages = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
    ]);
    let response = Call::messages(body(&json!({"type": "adaptive"}), &messages)).send(relay.address()).await;
    assert_eq!(response.status, 200, "{:?}", response.body());
    let [_, second] = upstream.requests().try_into().expect("one more attempt");
    assert_eq!(second.json()["thinking"], json!({"type": "disabled"}));
    assert_eq!(second.json()["messages"], messages, "the conversation is not changed");
}
