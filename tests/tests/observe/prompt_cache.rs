//! The diagnosis of prompt caches: a session is sent through a relay to an upstream with a cache.

use std::sync::Mutex;

use relay_admin::prompt_cache::{CacheVerdict, PromptCache, SessionReport};
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Relay, Request, Upstream, provider};
use serde_json::{Value, json};

const MODEL: &str = "claude-opus-5-5";
const SESSION: &str = "5f0c1c8e-6e5e-4a52-b0a5-6c1d2f3e4a5b";

/// The `turn`th request of a session of Claude Code: the breakpoint of the messages moves to the newest one.
fn request(system: &str, turn: usize) -> Value {
    let text = |text: String| json!({"type": "text", "text": text});
    let mut messages = vec![json!({"role": "user", "content": "write a relay"})];
    for turn in 1..turn {
        messages.push(json!({"role": "assistant", "content": [text(format!("answer {turn}"))]}));
        messages.push(json!({"role": "user", "content": format!("question {turn}")}));
    }
    let last = messages.last_mut().unwrap();
    let mut newest = text(last["content"].as_str().unwrap().to_owned());
    newest["cache_control"] = json!({"type": "ephemeral"});
    last["content"] = json!([newest]);
    json!({
        "model": MODEL, "max_tokens": 64, "messages": messages,
        "system": [text("x-anthropic-billing-header: cc_version=2.1.330".to_owned()),
                   {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Read", "input_schema": {"type": "object"}}],
    })
}

/// The text of each block in the order of the prompt, without breakpoints.
fn blocks(body: &Value) -> Vec<String> {
    let texts = |content: &Value| match content.as_array() {
        Some(blocks) => blocks.iter().map(|block| block["text"].to_string()).collect(),
        None => vec![content.to_string()],
    };
    let messages = body["messages"].as_array().unwrap().iter().flat_map(|message| texts(&message["content"]));
    let tools = body["tools"].as_array().unwrap().iter().map(Value::to_string);
    tools.chain(texts(&body["system"])).chain(messages).collect()
}

/// An upstream that caches the prompt of the last request. A block has a thousand tokens.
fn caching() -> impl Fn(&Request) -> Answer + Send + Sync + 'static {
    let cached = Mutex::new(Vec::new());
    move |request| {
        let blocks = blocks(&request.json());
        let mut cached = cached.lock().unwrap();
        let read = blocks.iter().zip(&*cached).take_while(|(block, cached)| block == cached).count();
        let mut message = Reply::new(MODEL).text("done").json();
        message["usage"] = json!({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": read * 1000,
            "cache_creation_input_tokens": (blocks.len() - read) * 1000});
        *cached = blocks;
        anthropic::success(Answer::json(200, &message))
    }
}

/// Sends the requests of a session one after the other, and returns its report.
async fn report(requests: &[Value]) -> SessionReport {
    let upstream = Upstream::answering(caching()).await;
    let config = json!({"providers": [provider("a", "anthropic", &upstream.url())]});
    let cache = PromptCache::new(10);
    let relay = Relay::start_with(&config, |relay| relay.on_finished(cache.clone())).await;
    for request in requests {
        let call = Call::messages(request.to_string()).header("x-claude-code-session-id", SESSION);
        assert_eq!(call.send(relay.address()).await.status, 200);
    }
    let mut sessions = cache.sessions();
    assert_eq!(sessions.len(), 1);
    sessions.remove(0)
}

#[tokio::test]
async fn a_system_prompt_that_changes_at_turn_5_is_named() {
    let requests: Vec<_> = (1..=7)
        .map(|turn| request(if turn < 5 { "Today is Monday." } else { "Today is Tuesday." }, turn))
        .collect();
    let report = report(&requests).await;
    assert_eq!((report.session.as_str(), report.turns, report.model.as_str()), (SESSION, 7, MODEL));
    let verdicts: Vec<_> = report.recent.iter().map(|turn| turn.verdict).collect();
    use CacheVerdict::{Broken, First, Hit};
    assert_eq!(verdicts, [First, Hit, Hit, Hit, Broken, Hit, Hit]);
    let turn = &report.recent[4];
    assert_eq!(turn.detail.as_deref(), Some("system[1] changed since the turn before"));
    let broken = turn.broken.as_ref().unwrap();
    assert_eq!((broken.part, broken.index, broken.detail.as_str()), ("system", 1, "system[1] changed"));
    // The tool and the first block were read: 2 of 12 blocks.
    assert_eq!(turn.cache_read_share, Some(0.1665));
    assert!(report.recent.iter().enumerate().all(|(at, turn)| (at == 4) == turn.broken.is_some()));
    assert!(!report.is_cache_lost);
}

#[tokio::test]
async fn a_message_that_is_edited_is_named() {
    let mut requests = [1, 2, 3, 4].map(|turn| request("You are Claude.", turn));
    requests[3]["messages"][2]["content"] = json!("another question 1");
    let report = report(&requests).await;
    let last = report.recent.last().unwrap();
    assert_eq!(
        last.broken.as_ref().map(|broken| broken.detail.as_str()),
        Some("messages[2] block 0 changed")
    );
    assert!(report.is_cache_lost);
}

#[tokio::test]
async fn counted_and_refused_requests_are_no_turns() {
    let upstream = Upstream::answering(|_| anthropic::error(400)).await;
    let config = json!({"providers": [provider("a", "anthropic", &upstream.url())]});
    let cache = PromptCache::new(10);
    let relay = Relay::start_with(&config, |relay| relay.on_finished(cache.clone())).await;
    for call in [
        Call::messages(request("s", 1).to_string()),
        Call::post("/v1/messages/count_tokens").body(request("s", 1).to_string()),
    ] {
        call.header("x-claude-code-session-id", SESSION).send(relay.address()).await;
    }
    assert_eq!(cache.session_count(), 0);
}
