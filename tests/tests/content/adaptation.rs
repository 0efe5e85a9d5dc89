//! Claude Code's own request through strict upstreams. Each upstream accepts it, and the expected changes are complete.

use std::collections::BTreeSet;

use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::fakes::{azure, bedrock, google, ollama, vertex, zai};
use relay_tests::{Call, ClaudeCode, PROVIDER_KEY, Relay, Request, Upstream, provider};
use serde_json::{Value, json};

/// Changes for every upstream except Anthropic: features that only Anthropic has.
const PRIVATE: &[&str] =
    &["- beta afk-mode-2026-01-31", "- beta dangerous-tool-use-2026-09-03", "- safeguards"];

/// Changes for an upstream without scopes of prompt caches.
const NO_CACHE_SCOPE: &[&str] = &["- beta prompt-caching-scope-2026-01-05", "- system[].cache_control.scope"];

/// Changes for Z.AI and Ollama: another model, and no billing header in `system`.
const OTHER_MODEL: &[&str] = &["~ model", "~ system: 2 for 3"];

/// Changes for Ollama: no betas and none of their fields, and no tool definitions that need a beta.
const OLLAMA: &[&str] = &[
    "- beta advanced-tool-use-2025-11-20",
    "- beta claude-code-20250219",
    "- beta context-management-2025-06-27",
    "- beta effort-2025-11-24",
    "- beta interleaved-thinking-2025-05-14",
    "- beta mid-conversation-tool-changes-2026-07-01",
    "- beta per-turn-control-2026-07-01",
    "- beta prompt-caching-scope-2026-01-05",
    "- beta thinking-token-count-2026-05-13",
    "- context_management",
    "- messages[].output_config",
    "~ tools: 11 for 12",
];

/// Changes for Bedrock and Vertex: the version in the body, the model in the path, and betas that they refuse.
const CLOUD: &[&str] = &[
    "+ anthropic_version",
    "- beta advanced-tool-use-2025-11-20",
    "- beta per-turn-control-2026-07-01",
    "- model",
];

/// Changes for Bedrock's InvokeModel.
const INVOKE_MODEL: &[&str] = &[
    "- beta claude-code-20250219",
    "- beta context-management-2025-06-27",
    "- context_management",
    "- stream",
];

/// Changes for a model with deferred tools: the clouds' own beta for them.
const TOOL_SEARCH: &[&str] = &["+ beta tool-search-tool-2025-10-19"];

/// Changes for a model with effort, on an upstream without control per turn.
const EFFORT: &[&str] = &["- messages[].output_config"];

/// Changes for a model without effort and without messages of the role `system`.
const NO_EFFORT: &[&str] = &["- beta effort-2025-11-24", "- output_config", "~ messages: 1 for 2"];

/// Changes for a model without deferred tools and without lifetimes of caches.
const NO_DEFERRED_TOOLS: &[&str] = &["- system[].cache_control.ttl", "~ tools: 11 for 12"];

/// Records the request of Claude Code for `say hi`, and adds the fields of its interactive mode and of a subscription.
async fn record_request() -> Option<(Value, String)> {
    let claude = ClaudeCode::find()?;
    let upstream = Upstream::answering(anthropic::answer).await;
    let finished = claude.print(&upstream.url(), ["say hi"]).await;
    assert!(finished.status.success(), "{finished:#?}");
    let request = upstream.only_request();
    let mut body = request.json();
    body["safeguards"] = json!([{"type": "dangerous_tool_use", "classifier_context": {"cwd": "/home/me"}}]);
    for block in body["system"].as_array_mut().into_iter().flatten() {
        if let Some(cache) = block.get_mut("cache_control") {
            cache["ttl"] = json!("1h");
            cache["scope"] = json!("global");
        }
    }
    let betas = request.header("anthropic-beta");
    let added = "dangerous-tool-use-2026-09-03,afk-mode-2026-01-31,prompt-caching-scope-2026-01-05";
    Some((body, format!("{betas},{added}")))
}

/// Inserts one line per difference between `sent` and `received`. Indices of array items are omitted.
fn differences(path: &str, sent: &Value, received: &Value, lines: &mut BTreeSet<String>) {
    match (sent, received) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()) {
                let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => differences(&path, a, b, lines),
                    (Some(_), None) => drop(lines.insert(format!("- {path}"))),
                    _ => drop(lines.insert(format!("+ {path}"))),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| differences(&format!("{path}[]"), a, b, lines));
        }
        (Value::Array(a), Value::Array(b)) => {
            lines.insert(format!("~ {path}: {} for {}", b.len(), a.len()));
        }
        (a, b) if a != b => drop(lines.insert(format!("~ {path}"))),
        _ => {}
    }
}

fn betas(list: &str) -> BTreeSet<String> {
    list.split(',').filter(|beta| !beta.is_empty()).map(str::to_owned).collect()
}

#[expect(clippy::print_stdout, reason = "with --nocapture the test shows the changes of the request")]
fn show(name: &str, lines: &BTreeSet<String>) {
    println!("{name}");
    lines.iter().for_each(|line| println!("    {line}"));
}

/// Sends the request through a relay with only `provider`, and asserts that it reaches `upstream` with exactly the
/// differences in all groups of `expected`.
async fn check(
    name: &str,
    upstream: &Upstream,
    provider: Value,
    (body, sent_betas): &(Value, String),
    expected: &[&[&str]],
) {
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    let call = Call::messages(body.to_string()).header("anthropic-beta", sent_betas.as_str());
    let response = call.send(relay.address()).await;
    assert_eq!(response.status, 200, "{name}: {}", String::from_utf8_lossy(&response.body()));
    upstream.assert_clean();

    let request: Request = upstream.only_request();
    let mut received = request.json();
    let in_body = received.as_object_mut().and_then(|members| members.remove("anthropic_beta"));
    let received_betas = match in_body {
        Some(list) => list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|beta| beta.as_str().map(str::to_owned))
            .collect(),
        None => betas(request.headers.get("anthropic-beta").unwrap_or_default()),
    };
    let mut lines = BTreeSet::new();
    differences("", body, &received, &mut lines);
    let sent_betas = betas(sent_betas);
    lines.extend(sent_betas.difference(&received_betas).map(|beta| format!("- beta {beta}")));
    lines.extend(received_betas.difference(&sent_betas).map(|beta| format!("+ beta {beta}")));
    show(name, &lines);
    let expected: BTreeSet<_> = expected.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(lines, expected, "{name}");
}

#[tokio::test]
async fn claude_codes_request_is_adapted_to_each_upstream() {
    let Some(request) = record_request().await else { return };

    let upstream = Upstream::builder().require(anthropic::rules(Credential::Key(PROVIDER_KEY)));
    let upstream = upstream.answering(anthropic::answer).await;
    check("anthropic", &upstream, provider("p", "anthropic", &upstream.url()), &request, &[]).await;

    let upstream = Upstream::builder().require(zai::rules(PROVIDER_KEY)).answering(zai::answer).await;
    let mut glm = provider("p", "zai", &format!("{}{}", upstream.url(), zai::PREFIX));
    glm["model_mapping"] = json!({"*": "glm-5.3"});
    check("zai: glm-5.3", &upstream, glm, &request, &[PRIVATE, OTHER_MODEL]).await;

    let upstream = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let local = json!({"name": "p", "type": "ollama", "base_url": upstream.url(), "model_mapping": {"*": "qwen3-coder"}});
    check("ollama: qwen3-coder", &upstream, local, &request, &[PRIVATE, OTHER_MODEL, OLLAMA]).await;

    for (model, expected) in [
        ("us.anthropic.claude-opus-5-5", [TOOL_SEARCH, EFFORT]),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", [TOOL_SEARCH, NO_EFFORT]),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", [NO_EFFORT, NO_DEFERRED_TOOLS]),
    ] {
        let upstream = Upstream::builder().require(bedrock::rules()).answering(bedrock::answer).await;
        let bedrock = bedrock::provider(&upstream.url(), model);
        let common = [PRIVATE, NO_CACHE_SCOPE, CLOUD, INVOKE_MODEL];
        let expected = [&common[..], &expected[..]].concat();
        check(&format!("bedrock: {model}"), &upstream, bedrock, &request, &expected).await;
    }

    let upstream = Upstream::builder().require(azure::key_rules(PROVIDER_KEY)).answering(azure::answer).await;
    let url = format!("{}{}", upstream.url(), azure::PREFIX);
    check("azure", &upstream, provider("p", "azure", &url), &request, &[PRIVATE, NO_CACHE_SCOPE]).await;

    let tokens = Upstream::answering(|request| google::answer(request, "a-token", 3600)).await;
    let credentials = google::credentials_file(&google::service_account(&tokens.url()));
    for (model, expected) in [("claude-opus-5-5", EFFORT), ("claude-haiku-4-5@20251001", NO_EFFORT)] {
        let upstream = Upstream::builder().require(vertex::rules()).answering(vertex::answer).await;
        let mut vertex = vertex::provider(&upstream.url(), credentials.path());
        vertex["model_mapping"] = json!({"*": model});
        let expected = [PRIVATE, NO_CACHE_SCOPE, CLOUD, TOOL_SEARCH, expected];
        check(&format!("vertex: {model}"), &upstream, vertex, &request, &expected).await;
    }
}
