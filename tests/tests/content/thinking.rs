//! Thinking is sent only to upstreams that accept its signature; the rest of a conversation is sent to all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use relay_tests::fakes::{Reply, SignatureOwner, anthropic, azure, bedrock, google, ollama, vertex, zai};
use relay_tests::{Answer, Call, PROVIDER_KEY, Relay, Request, Response, Upstream, provider};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const MODEL: &str = "claude-opus-4-6";
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
const KINDS: [&str; 6] = ["anthropic", "bedrock", "vertex", "azure", "zai", "ollama"];

/// An upstream of one kind that checks every conversation, and fails while it is set down.
struct Strict {
    upstream: Upstream,
    provider: Value,
    is_down: Arc<AtomicBool>,
    _tokens: Upstream,
    _credentials: NamedTempFile,
}

impl Strict {
    async fn start(kind: &'static str) -> Self {
        let is_down = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_down);
        let rules = match kind {
            "bedrock" => bedrock::rules(),
            "vertex" => vertex::rules(),
            "azure" => azure::key_rules(PROVIDER_KEY),
            "zai" => zai::rules(PROVIDER_KEY),
            "ollama" => ollama::rules(),
            _ => anthropic::rules(anthropic::Credential::Key(PROVIDER_KEY)),
        };
        let answer = move |request: &Request| {
            if flag.load(Ordering::Relaxed) {
                return anthropic::error(529);
            }
            let refusal = signer(kind).refusal(&request.json());
            refusal.map_or_else(|| reply(kind, request), |message| refuse(kind, &message))
        };
        let upstream = Upstream::builder().require(rules).answering(answer).await;
        let tokens = Upstream::answering(|request| google::answer(request, "token", 3600)).await;
        let credentials = google::credentials_file(&google::service_account(&tokens.url()));
        let url = upstream.url();
        let mut provider = match kind {
            "bedrock" => json!({
                "name": kind, "type": kind, "base_url": url, "aws_region": "eu-west-1", "aws_bearer_token": "token",
            }),
            "vertex" => json!({
                "name": kind, "type": kind, "base_url": url, "gcp_project_id": "p", "gcp_region": "eu",
                "credentials_file": credentials.path(),
            }),
            "azure" => provider(kind, kind, &format!("{url}{}", azure::PREFIX)),
            "zai" => provider(kind, kind, &format!("{url}{}", zai::PREFIX)),
            "ollama" => json!({"name": kind, "type": kind, "base_url": url}),
            _ => provider(kind, kind, &url),
        };
        provider["model_mapping"] = match kind {
            "bedrock" => json!({"*": "eu.anthropic.claude-opus-4-6-v1"}),
            "zai" => json!({"*": "glm-5.3"}),
            "ollama" => json!({"*": "qwen3"}),
            _ => json!({}),
        };
        Self { upstream, provider, is_down, _tokens: tokens, _credentials: credentials }
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// The last request that it received.
    fn last(&self) -> Value {
        self.upstream.requests().last().expect("a request").json()
    }
}

fn signer(kind: &str) -> SignatureOwner {
    match kind {
        "zai" => SignatureOwner::Zai,
        "ollama" => SignatureOwner::Ollama,
        _ => SignatureOwner::Claude,
    }
}

/// An answer of thinking and a text, with a tool call if the request has no tool result.
fn reply(kind: &str, request: &Request) -> Answer {
    let body = request.json();
    let reply = signer(kind).with_thinking(Reply::new(MODEL)).text(format!("from {kind}"));
    let reply = match body["messages"].as_array().map_or(0, Vec::len) {
        1 => reply.tool_use("toolu_1", "look", json!({"signature": "of a tool's own"})),
        _ => reply,
    };
    match kind {
        "bedrock" => bedrock::message(request, &reply),
        _ => anthropic::message(request, &reply),
    }
}

fn refuse(kind: &str, message: &str) -> Answer {
    match kind {
        "bedrock" => bedrock::error(400, "ValidationException", message),
        _ => anthropic::error_with(400, "invalid_request_error", message),
    }
}

async fn relay(first: &Strict, second: &Strict) -> Relay {
    Relay::start(&json!({"providers": [first.provider, second.provider]})).await
}

/// Sends `messages`, and appends the answer to them.
async fn send(relay: &Relay, messages: &mut Vec<Value>, thinking: &Value, stream: bool) -> Response {
    let tools = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    let body = json!({
        "model": MODEL, "max_tokens": 4096, "thinking": thinking, "tools": tools, "messages": messages, "stream": stream,
    });
    let response = Call::messages(body.to_string()).send(relay.address()).await;
    if response.status == 200 {
        let content = if stream { gathered(&response) } else { response.json()["content"].clone() };
        messages.push(json!({"role": "assistant", "content": content}));
    }
    response
}

/// Assembles the blocks of a stream as an SDK does.
fn gathered(response: &Response) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let mut input = String::new();
    for event in response.events() {
        let data = event.json();
        let delta = &data["delta"];
        let text = |key: &str| delta[key].as_str().unwrap_or_default().to_owned();
        let add =
            |to: &mut Value, more: String| *to = json!(to.as_str().unwrap_or_default().to_owned() + &more);
        match (data["type"].as_str(), delta["type"].as_str(), blocks.last_mut()) {
            (Some("content_block_start"), ..) => blocks.push(data["content_block"].clone()),
            (_, Some("text_delta"), Some(block)) => add(&mut block["text"], text("text")),
            (_, Some("thinking_delta"), Some(block)) => add(&mut block["thinking"], text("thinking")),
            (_, Some("signature_delta"), Some(block)) => block["signature"] = json!(text("signature")),
            (_, Some("input_json_delta"), _) => input.push_str(&text("partial_json")),
            (Some("content_block_stop"), _, Some(block)) if !input.is_empty() => {
                block["input"] = serde_json::from_str(&std::mem::take(&mut input)).expect("a tool's input");
            }
            _ => {}
        }
    }
    json!(blocks)
}

fn question() -> Value {
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    json!({"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]})
}

fn result() -> Value {
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]});
    json!({"role": "user", "content": [result]})
}

fn count(body: &Value, kind: &str) -> usize {
    body["messages"].to_string().matches(&format!("\"type\":\"{kind}\"")).count()
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "what has been tried is worth reading")]
async fn a_conversation_continues_between_any_two_kinds() {
    let mut moved = 0;
    for from in KINDS {
        for to in KINDS.into_iter().filter(|to| *to != from) {
            for (thinking, stream) in [
                (json!({"type": "adaptive"}), true),
                (json!({"type": "enabled", "budget_tokens": 1024}), false),
            ] {
                let (first, second) = (Strict::start(from).await, Strict::start(to).await);
                let relay = relay(&first, &second).await;
                let mut messages = vec![question()];
                let started = send(&relay, &mut messages, &thinking, stream).await;
                assert_eq!(started.status, 200, "{from}: {:?}", started.body());
                assert_eq!(second.upstream.requests().len(), 0);

                first.set_down(true);
                messages.push(result());
                let continued = send(&relay, &mut messages, &thinking, stream).await;
                assert_eq!(continued.status, 200, "{from} to {to}: {:?}", continued.body());
                let sent = second.last();
                assert_eq!(second.upstream.requests().len(), 1, "{from} to {to}: accepted at once");
                let shares = signer(from) == signer(to);
                assert_eq!(count(&sent, "thinking"), usize::from(shares), "{from} to {to}: {sent}");
                for kept in ["text", "tool_use", "tool_result"] {
                    assert!(count(&sent, kept) > 0, "{from} to {to}: {kept} is gone from {sent}");
                }
                assert_eq!(count(&sent, "image"), 2, "{from} to {to}");
                let has_budget = thinking["type"] == "enabled";
                let goes_off = has_budget && signer(to) == SignatureOwner::Claude && !shares;
                assert_eq!(sent.get("thinking").is_none(), goes_off, "{from} to {to}: {sent}");

                // The conversation continues with the thinking of both in it.
                first.set_down(false);
                messages.push(json!({"role": "user", "content": "And now?"}));
                let back = send(&relay, &mut messages, &thinking, stream).await;
                assert_eq!(back.status, 200, "{from} to {to} and back: {:?}", back.body());
            }
            moved += 1;
            println!("{moved:2}. {from} to {to}: accepted, as a stream and in one piece");
        }
    }
    assert_eq!(moved, 30);
}

/// A conversation that began before this relay was started.
fn from_elsewhere(content: &Value) -> Vec<Value> {
    vec![question(), json!({"role": "assistant", "content": content}), result()]
}

#[tokio::test]
async fn thinking_of_unknown_origin_is_sent_once_and_removed_after_its_refusal() {
    let claude = Strict::start("anthropic").await;
    let relay = Relay::start(&json!({"providers": [claude.provider]})).await;
    let foreign = json!({"type": "thinking", "thinking": "t", "signature": "Z2xtLTUuMw/of-another-relay"});
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}});
    let mut messages = from_elsewhere(&json!([foreign, {"type": "text", "text": "a"}, call]));
    let adaptive = json!({"type": "adaptive"});
    assert_eq!(send(&relay, &mut messages, &adaptive, true).await.status, 200);
    let requests = claude.upstream.requests();
    assert_eq!(requests.len(), 2, "expected the request unchanged, then without the thinking");
    assert_eq!(requests[0].json()["messages"][1]["content"][0], foreign);
    assert_eq!(requests[1].json()["messages"][1]["content"], json!([{"type": "text", "text": "a"}, call]));

    messages.push(json!({"role": "user", "content": "And now?"}));
    assert_eq!(send(&relay, &mut messages, &adaptive, true).await.status, 200);
    assert_eq!(claude.upstream.requests().len(), 3, "accepted at once");
    let sent = claude.last();
    assert_eq!(count(&sent, "thinking"), 1, "its own thinking must stay: {sent}");
    assert_eq!(sent["messages"][3]["content"][0]["type"], "thinking");
}

#[tokio::test]
async fn thinking_provenance_is_inherited_by_a_new_configuration() {
    let (zai, claude) = (Strict::start("zai").await, Strict::start("anthropic").await);
    let before = Relay::start(&json!({"providers": [zai.provider]})).await;
    let mut messages = vec![question()];
    let adaptive = json!({"type": "adaptive"});
    assert_eq!(send(&before, &mut messages, &adaptive, true).await.status, 200);
    messages.push(result());
    let after = before.with_inherited_state(&json!({"providers": [claude.provider]})).await;
    assert_eq!(send(&after, &mut messages, &adaptive, true).await.status, 200);
    assert_eq!(claude.upstream.requests().len(), 1, "accepted at once");
}

#[tokio::test]
async fn a_turn_that_began_without_thinking_continues_without_it() {
    let claude = Strict::start("bedrock").await;
    let relay = Relay::start(&json!({"providers": [claude.provider]})).await;
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}});
    let mut messages = from_elsewhere(&json!([call]));
    let budget = json!({"type": "enabled", "budget_tokens": 1024});
    assert_eq!(send(&relay, &mut messages, &budget, false).await.status, 200);
    let requests = claude.upstream.requests();
    assert_eq!((requests.len(), requests[1].json().get("thinking")), (2, None));
    messages.push(json!({"role": "user", "content": "And now?"}));
    assert_eq!(send(&relay, &mut messages, &budget, false).await.status, 200);
    assert_eq!(claude.last()["thinking"], budget, "the next turn must have thinking again");
}

#[tokio::test]
async fn a_message_of_foreign_thinking_only_is_removed_as_a_whole() {
    let (zai, claude) = (Strict::start("zai").await, Strict::start("azure").await);
    let relay = relay(&zai, &claude).await;
    let mut messages = vec![question()];
    let adaptive = json!({"type": "adaptive"});
    assert_eq!(send(&relay, &mut messages, &adaptive, true).await.status, 200);
    // The message looks as if its answer was cut off within the thinking.
    let thinking = messages[1]["content"][0].clone();
    messages[1]["content"] = json!([thinking, {"type": "text", "text": ""}]);
    messages.push(json!({"role": "user", "content": "Go on"}));
    zai.set_down(true);
    assert_eq!(send(&relay, &mut messages, &adaptive, true).await.status, 200);
    let sent = claude.last();
    let roles: Vec<_> =
        sent["messages"].as_array().into_iter().flatten().map(|m| m["role"].clone()).collect();
    assert_eq!(roles, ["user", "user"]);
}

#[tokio::test]
async fn a_second_refusal_of_a_signature_is_passed_on_to_the_client() {
    let message = "messages.1.content.0: Invalid `signature` in `thinking` block";
    let upstream = Upstream::answering(move |_| refuse("anthropic", message)).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let thinking = json!({"type": "thinking", "thinking": "t", "signature": "s"});
    for (content, requests) in
        [(json!([{"type": "text", "text": "a"}]), 1), (json!([thinking, {"type": "text", "text": "a"}]), 3)]
    {
        let mut messages = vec![question(), json!({"role": "assistant", "content": content}), question()];
        let response = send(&relay, &mut messages, &json!({"type": "adaptive"}), false).await;
        assert_eq!((response.status, &response.json()["error"]["message"]), (400, &json!(message)));
        assert_eq!(upstream.requests().len(), requests);
    }
}
