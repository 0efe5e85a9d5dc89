//! Claude Code's own request, as it is recorded here, through upstreams that refuse what they do not know: all accept it, and
//! this is all that was changed for each.

use std::collections::BTreeSet;

use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::fakes::{azure, bedrock, google, ollama, vertex, zai};
use relay_tests::{Call, ClaudeCode, PROVIDER_KEY, Relay, Request, Upstream, provider};
use serde_json::{Value, json};

/// The changes that remove the fields private to Anthropic.
const ZAI: &[&str] = &[
    "- beta afk-mode-2026-01-31",
    "- beta dangerous-tool-use-2026-09-03",
    "- safeguards",
    "~ model",
    "~ system: 2 for 3",
];

/// The removal of private fields, of every beta with its fields, and of the references to removed tools.
const OLLAMA: &[&str] = &[
    "- beta advanced-tool-use-2025-11-20",
    "- beta afk-mode-2026-01-31",
    "- beta claude-code-20250219",
    "- beta context-management-2025-06-27",
    "- beta dangerous-tool-use-2026-09-03",
    "- beta effort-2025-11-24",
    "- beta interleaved-thinking-2025-05-14",
    "- beta mid-conversation-tool-changes-2026-07-01",
    "- beta per-turn-control-2026-07-01",
    "- beta prompt-caching-scope-2026-01-05",
    "- beta thinking-token-count-2026-05-13",
    "- context_management",
    "- messages[].output_config",
    "- safeguards",
    "~ model",
    "~ system: 2 for 3",
    "~ tools: 11 for 12",
];

/// The removal of what InvokeModel refuses, and the change to its dialect.
const BEDROCK_NEW: &[&str] = &[
    "+ anthropic_version",
    "+ beta tool-search-tool-2025-10-19",
    "- beta advanced-tool-use-2025-11-20",
    "- beta afk-mode-2026-01-31",
    "- beta claude-code-20250219",
    "- beta context-management-2025-06-27",
    "- beta dangerous-tool-use-2026-09-03",
    "- beta per-turn-control-2026-07-01",
    "- beta prompt-caching-scope-2026-01-05",
    "- context_management",
    "- messages[].output_config",
    "- model",
    "- safeguards",
    "- stream",
    "- system[].cache_control.scope",
];

/// The same for a model without effort and without messages of the role `system`.
const BEDROCK_WITHOUT_EFFORT: &[&str] = &[
    "+ anthropic_version",
    "+ beta tool-search-tool-2025-10-19",
    "- beta advanced-tool-use-2025-11-20",
    "- beta afk-mode-2026-01-31",
    "- beta claude-code-20250219",
    "- beta context-management-2025-06-27",
    "- beta dangerous-tool-use-2026-09-03",
    "- beta effort-2025-11-24",
    "- beta per-turn-control-2026-07-01",
    "- beta prompt-caching-scope-2026-01-05",
    "- context_management",
    "- model",
    "- output_config",
    "- safeguards",
    "- stream",
    "- system[].cache_control.scope",
    "~ messages: 1 for 2",
];

/// The changes for a model on Bedrock without deferred tools and without cache lifetimes.
const BEDROCK_OLD: &[&str] = &[
    "+ anthropic_version",
    "- beta advanced-tool-use-2025-11-20",
    "- beta afk-mode-2026-01-31",
    "- beta claude-code-20250219",
    "- beta context-management-2025-06-27",
    "- beta dangerous-tool-use-2026-09-03",
    "- beta effort-2025-11-24",
    "- beta per-turn-control-2026-07-01",
    "- beta prompt-caching-scope-2026-01-05",
    "- context_management",
    "- model",
    "- output_config",
    "- safeguards",
    "- stream",
    "- system[].cache_control.scope",
    "- system[].cache_control.ttl",
    "~ messages: 1 for 2",
    "~ tools: 11 for 12",
];

/// Anthropic's format without the fields that only Anthropic accepts.
const AZURE: &[&str] = &[
    "- beta afk-mode-2026-01-31",
    "- beta dangerous-tool-use-2026-09-03",
    "- beta prompt-caching-scope-2026-01-05",
    "- safeguards",
    "- system[].cache_control.scope",
];

/// The removal of what Vertex refuses, and the change to its dialect.
const VERTEX_NEW: &[&str] = &[
    "+ anthropic_version",
    "+ beta tool-search-tool-2025-10-19",
    "- beta advanced-tool-use-2025-11-20",
    "- beta afk-mode-2026-01-31",
    "- beta dangerous-tool-use-2026-09-03",
    "- beta per-turn-control-2026-07-01",
    "- beta prompt-caching-scope-2026-01-05",
    "- messages[].output_config",
    "- model",
    "- safeguards",
    "- system[].cache_control.scope",
];

/// The same for a model without effort and without messages of the role `system`.
const VERTEX_WITHOUT_EFFORT: &[&str] = &[
    "+ anthropic_version",
    "+ beta tool-search-tool-2025-10-19",
    "- beta advanced-tool-use-2025-11-20",
    "- beta afk-mode-2026-01-31",
    "- beta dangerous-tool-use-2026-09-03",
    "- beta effort-2025-11-24",
    "- beta per-turn-control-2026-07-01",
    "- beta prompt-caching-scope-2026-01-05",
    "- model",
    "- output_config",
    "- safeguards",
    "- system[].cache_control.scope",
    "~ messages: 1 for 2",
];

/// Records Claude Code's request for the prompt `say hi`, with the fields that its interactive mode and a subscription add.
async fn recorded() -> Option<(Value, String)> {
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

/// Adds one line for each difference between `sent` and `received`. The indexes of array items are not part of a line.
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

#[expect(clippy::print_stdout, reason = "with --nocapture the test shows what becomes of the request")]
fn show(name: &str, lines: &BTreeSet<String>) {
    println!("{name}");
    lines.iter().for_each(|line| println!("    {line}"));
}

/// Sends the request through a relay with `provider` alone; what `upstream` received may differ only by `expected`.
async fn check(
    name: &str,
    upstream: &Upstream,
    provider: Value,
    (body, sent_betas): &(Value, String),
    expected: &[&str],
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
    assert_eq!(lines.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{name}");
}

#[tokio::test]
async fn claude_code_request_is_adapted_to_each_upstream() {
    let Some(request) = recorded().await else { return };

    let upstream = Upstream::builder().require(anthropic::rules(Credential::Key(PROVIDER_KEY)));
    let upstream = upstream.answering(anthropic::answer).await;
    check("anthropic", &upstream, provider("p", "anthropic", &upstream.url()), &request, &[]).await;

    let upstream = Upstream::builder().require(zai::rules(PROVIDER_KEY)).answering(zai::answer).await;
    let mut glm = provider("p", "zai", &format!("{}{}", upstream.url(), zai::PREFIX));
    glm["model_mapping"] = json!({"*": "glm-5.3"});
    check("zai: glm-5.3", &upstream, glm, &request, ZAI).await;

    let upstream = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let local = json!({"name": "p", "type": "ollama", "base_url": upstream.url(), "model_mapping": {"*": "qwen3-coder"}});
    check("ollama: qwen3-coder", &upstream, local, &request, OLLAMA).await;

    for (model, expected) in [
        ("us.anthropic.claude-opus-5-5", BEDROCK_NEW),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", BEDROCK_WITHOUT_EFFORT),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", BEDROCK_OLD),
    ] {
        let upstream = Upstream::builder().require(bedrock::rules()).answering(bedrock::answer).await;
        let bedrock = json!({"name": "p", "type": "bedrock", "base_url": upstream.url(), "aws_region": "us-east-1",
                             "aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret",
                             "model_mapping": {"*": model}});
        check(&format!("bedrock: {model}"), &upstream, bedrock, &request, expected).await;
    }

    let upstream = Upstream::builder().require(azure::key_rules(PROVIDER_KEY)).answering(azure::answer).await;
    let url = format!("{}{}", upstream.url(), azure::PREFIX);
    check("azure", &upstream, provider("p", "azure", &url), &request, AZURE).await;

    let tokens = Upstream::answering(|request| google::answer(request, "a-token", 3600)).await;
    let credentials = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(credentials.path(), google::service_account(&tokens.url()).to_string()).expect("a file");
    for (model, expected) in
        [("claude-opus-5-5", VERTEX_NEW), ("claude-haiku-4-5@20251001", VERTEX_WITHOUT_EFFORT)]
    {
        let upstream = Upstream::builder().require(vertex::rules()).answering(vertex::answer).await;
        let vertex = json!({"name": "p", "type": "vertex", "base_url": upstream.url(), "gcp_region": "global",
                            "credentials_file": credentials.path(), "model_mapping": {"*": model}});
        check(&format!("vertex: {model}"), &upstream, vertex, &request, expected).await;
    }
}
