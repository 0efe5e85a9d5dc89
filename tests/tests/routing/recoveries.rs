//! Tests that the Claude Code CLI recovers from errors through the relay, and that the relay handles some of them
//! itself.

use relay_tests::fakes::{Reply, anthropic, bedrock, ollama};
use relay_tests::{Answer, ClaudeCode, ProcessOutput, Relay, Request, Upstream, in_turn, provider, sse};
use serde_json::{Value, json};

const MODEL: &str = "claude-opus-5-5";

fn refusal(message: &str) -> Answer {
    anthropic::error_with(400, "invalid_request_error", message)
}

async fn relay_before(upstream: &Upstream) -> Relay {
    Relay::start(&json!({"providers": [provider("gateway", "anthropic", &upstream.url())]})).await
}

#[track_caller]
fn assert_printed(finished: &ProcessOutput, text: &str) {
    assert!(finished.status.success(), "{finished:#?}");
    assert_eq!(finished.stdout.trim(), text);
}

fn answer_with(request: &Request, text: &str) -> Answer {
    anthropic::message(request, &Reply::new(MODEL).text(text))
}

fn has_result(request: &Request) -> bool {
    request.json()["messages"].to_string().contains("\"tool_result\"")
}

#[tokio::test]
async fn a_refused_signature_does_not_end_the_session() {
    let Some(claude) = ClaudeCode::find() else { return };
    let upstream = Upstream::answering(|request| {
        if !has_result(request) {
            return anthropic::success(Answer::sse(sse::recorded("anthropic/thinking_tool_use.sse")));
        }
        match request.mentions("\"type\":\"thinking\"") {
            true => refusal("messages.1.content.0: Invalid `signature` in `thinking` block"),
            false => answer_with(request, "There is one file."),
        }
    });
    let upstream = upstream.await;
    let relay = relay_before(&upstream).await;
    let finished = claude.print(&relay.url(), ["what is here?", "--allowedTools", "Bash"]).await;
    assert_printed(&finished, "There is one file.");
    assert_eq!(upstream.requests().len(), 3, "expected two turns, one of them repeated by the relay");
}

#[tokio::test]
async fn an_unknown_beta_is_removed_by_the_relay() {
    let Some(claude) = ClaudeCode::find() else { return };
    let beta = "context-management-2025-06-27";
    let upstream = Upstream::answering(move |request| {
        let betas: Vec<&str> =
            request.headers.all("anthropic-beta").flat_map(|value| value.split(',')).collect();
        if betas.contains(&beta) {
            return refusal(&format!(
                "Unexpected value(s) `{beta}` for the `anthropic-beta` header. Please consult our documentation at \
                 docs.anthropic.com or try again without the header."
            ));
        }
        match request.json().get("context_management") {
            Some(_) => refusal("context_management: Extra inputs are not permitted"),
            None => answer_with(request, "hello"),
        }
    });
    let upstream = upstream.await;
    let relay = relay_before(&upstream).await;
    for count in [2, 3] {
        assert_printed(&claude.print(&relay.url(), ["hello"]).await, "hello");
        assert_eq!(
            upstream.requests().len(),
            count,
            "field and beta must be removed together, and stay removed"
        );
    }
}

#[tokio::test]
async fn the_cli_retries_after_an_overload_within_a_stream() {
    let Some(claude) = ClaudeCode::find() else { return };
    let events = || Reply::new(MODEL).text("The whole answer.").events();
    let start = events().into_iter().take(1);
    let overloaded = Answer::sse(start.chain([sse::error("overloaded_error", "Overloaded")]));
    let upstream = Upstream::answering(in_turn([overloaded, Answer::sse(events())])).await;
    let relay = relay_before(&upstream).await;
    assert_printed(&claude.print(&relay.url(), ["go on"]).await, "The whole answer.");
}

#[tokio::test]
async fn the_cli_repeats_a_request_with_a_smaller_max_tokens() {
    let Some(claude) = ClaudeCode::find() else { return };
    let max_tokens = |request: &Request| request.json()["max_tokens"].as_u64().unwrap_or_default();
    let upstream = Upstream::answering(move |request| match max_tokens(request) {
        most if most > 12_000 => refusal(&format!(
            "input length and `max_tokens` exceed context limit: 188240 + {most} > 200000, decrease input length or \
             `max_tokens` and try again"
        )),
        _ => answer_with(request, "hello"),
    });
    let upstream = upstream.await;
    let relay = relay_before(&upstream).await;
    assert_printed(&claude.print(&relay.url(), ["hello"]).await, "hello");
    let sent: Vec<u64> = upstream.requests().iter().map(max_tokens).collect();
    assert!(sent.len() == 2 && sent[0] > 12_000 && sent[1] <= 12_000, "{sent:?}");
}

/// Runs the CLI with a conversation that is too long for `provider`, and returns its output.
async fn too_long(claude: &ClaudeCode, provider: Value) -> ProcessOutput {
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    claude.print(&relay.url(), ["hello"]).await
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_reported_as_such_by_every_provider() {
    let Some(claude) = ClaudeCode::find() else { return };
    let bedrock =
        |_: &Request| bedrock::error(400, "ValidationException", "Input is too long for requested model.");
    let bedrock = Upstream::answering(bedrock).await;
    let ollama = |_: &Request| {
        let message = "the input length exceeds the context length";
        ollama::error(400, "invalid_request_error", message)
    };
    let ollama = Upstream::answering(ollama).await;
    let providers = [
        json!({"name": "aws", "type": "bedrock", "base_url": bedrock.url(), "aws_region": "us-east-1",
               "aws_bearer_token": "token", "model_mapping": {"*": "us.anthropic.claude-opus-5-5"}}),
        json!({"name": "local", "type": "ollama", "base_url": ollama.url(), "model_mapping": {"*": "qwen3"}}),
    ];
    for provider in providers {
        let finished = too_long(&claude, provider.clone()).await;
        assert!(!finished.status.success());
        assert!(finished.stdout.starts_with("Prompt is too long"), "{provider}: {finished:#?}");
    }
}
