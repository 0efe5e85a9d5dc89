//! Checks that the work on a request grows no faster than its size: twice the input takes at most about twice the steps.

use bytes::Bytes;
use http::{HeaderValue, Request};

use crate::body::{Edits, MessagesBody, Payload, steps};
use crate::headers::ANTHROPIC_BETA;
use crate::{Adapter, RefusalMemory, RefusalScope, SignatureOwner, ThinkingProvenance, estimate_tokens};

const KINDS: [&str; 6] = ["bedrock", "bedrock_messages", "vertex", "azure", "ollama", "vendor"];
/// A model without deferred tools, effort, lifetimes of caches and messages of the role `system`: most rules apply to it.
const MODEL: &str = "anthropic.claude-3-haiku";

fn repeat(item: &str, count: usize) -> String {
    vec![item; count].join(",")
}

/// Adapts a request, and removes refused fields from it. Returns the number of steps and of pieces of the payload.
fn work(kind: &str, json: &str, betas: &[String]) -> (usize, usize) {
    let adapter = Adapter::of(kind);
    let mut pieces = 0;
    let steps = steps::count(|| {
        let body = MessagesBody::parse(json.to_owned().into()).unwrap();
        let mut edits = Edits::default();
        let _ = adapter.unsupported(MODEL, &body);
        let _ = adapter.adapt(MODEL, &body, betas, &mut edits);
        let _ = estimate_tokens(&body);
        let payload = edits.apply(&body);
        pieces = payload.pieces().count();
        remove_refused(&adapter, payload);
    });
    (steps, pieces)
}

fn remove_refused(adapter: &Adapter, payload: Payload) {
    let memory = RefusalMemory::new(None, adapter, SignatureOwner::CLAUDE, ThinkingProvenance::default());
    let mut request = Request::new(payload);
    request.headers_mut().insert(ANTHROPIC_BETA, HeaderValue::from_static("advanced-tool-use-2025-11-20"));
    let texts = [
        "tools.0.custom.defer_loading: Extra inputs are not permitted",
        "system.0.cache_control.ephemeral.scope: Extra inputs are not permitted",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ];
    let (scope, now) = (RefusalScope { model: MODEL, is_count: false }, std::time::Instant::now());
    for text in texts {
        if let Some(retry) = memory.retry_without(&request, &[text]) {
            memory.remember(scope, &retry, now);
        }
    }
    memory.strip_known(scope, &mut request, now);
}

#[track_caller]
fn check(name: &str, body: impl Fn(usize) -> String) {
    check_with_betas(name, &[], body);
}

#[track_caller]
fn check_with_betas(name: &str, betas: &[String], body: impl Fn(usize) -> String) {
    let (once, twice) = (body(100), body(200));
    for kind in KINDS {
        let ((first, _), (second, pieces)) = (work(kind, &once, betas), work(kind, &twice, betas));
        assert!(second * 10 <= first * 23, "{name} at {kind}: {first} steps, then {second}");
        assert!(second <= twice.len() * 250, "{name} at {kind}: {second} steps for {} bytes", twice.len());
        assert!(pieces <= twice.len() / 1024 * 2 + 3, "{name} at {kind}: {pieces} pieces");
    }
}

#[test]
fn tools_take_linear_work() {
    let tools =
        |item: &str, count| format!(r#"{{"model":"m","tools":[{}],"messages":[]}}"#, repeat(item, count));
    for item in [
        r#"{"defer_loading":true}"#,
        r#"{"name":"a","defer_loading":true}"#,
        r#"{"name":"DeferredToolPlaceholder","defer_loading":true}"#,
        r#"{"name":"a","custom":{"defer_loading":true,"x":1}}"#,
        r#"{"name":"a","cache_control":{"type":"ephemeral","ttl":"1h","scope":"global"}}"#,
        r#"{"type":"web_search_20250305"}"#,
    ] {
        check(item, |count| tools(item, count));
    }
    check("members of one tool", |count| {
        let members =
            |prefix: &str| (0..count).map(|n| format!("\"{prefix}{n}\":1")).collect::<Vec<_>>().join(",");
        format!(r#"{{"model":"m","tools":[{{{},"custom":{{{}}}}}]}}"#, members("a"), members("b"))
    });
}

#[test]
fn messages_take_linear_work() {
    let messages = |items: String| format!(r#"{{"model":"m","messages":[{items}]}}"#);
    for item in [
        r#"{"role":"system","content":"x"}"#,
        r#"{"role":"system","content":[]},{"role":"user","content":"x"}"#,
        r#"{"role":"user","content":"x"},{"role":"system","content":"x"}"#,
        r#"{"role":"assistant","content":"x"},{"role":"system","content":[{"type":"text","text":"x"}]}"#,
        r#"{"role":"system","content":"x","output_config":{"effort":"low"}}"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"x"},{"type":"text","text":"y"}]}"#,
    ] {
        check(item, |count| messages(repeat(item, count)));
    }
    let block = |item: &str, count| format!(r#"{{"role":"user","content":[{}]}}"#, repeat(item, count));
    for item in [
        r#"{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"1h","scope":"global"}}"#,
        r#"{"type":"image","source":{"type":"url","url":"https://example.com"}}"#,
        r#"{"type":"tool_result","content":[{"type":"document","source":{"type":"url","url":"x"}}]}"#,
        r#"{"type":"thinking","thinking":"","signature":"x"}"#,
    ] {
        check(item, |count| messages(block(item, count)));
        check(item, |count| messages(repeat(&block(item, 1), count)));
    }
}

#[test]
fn other_fields_take_linear_work() {
    check("edits of a context", |count| {
        let edits = repeat(r#"{"type":"clear_thinking_20251015"}"#, count);
        format!(r#"{{"model":"m","context_management":{{"edits":[{edits}]}}}}"#)
    });
    check("mixed edits of a context", |count| {
        let edits =
            repeat(r#"{"type":"clear_thinking_20251015"},{"type":"clear_tool_uses_20250919"}"#, count);
        format!(r#"{{"model":"m","context_management":{{"edits":[{edits}]}}}}"#)
    });
    check("blocks of the system prompt", |count| {
        let block =
            r#"{"type":"text","text":"x-anthropic-billing-header: x","cache_control":{"scope":"global"}}"#;
        format!(r#"{{"model":"m","system":[{}],"messages":[]}}"#, repeat(block, count))
    });
    check("members of the top level", |count| {
        let members: Vec<_> = (0..count).map(|number| format!("\"unknown{number}\":{{}}")).collect();
        format!(r#"{{"model":"m",{}}}"#, members.join(","))
    });
    check("nested values", |count| {
        let value = format!("{}{}", "[".repeat(count), "]".repeat(count));
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":{value}}}]}}"#)
    });
    check("members called like fields", |count| {
        let config = repeat(r#""effort":"low""#, count);
        format!(r#"{{"model":"m","output_config":{{{config}}},"tools":[{{"defer_loading":true}}]}}"#)
    });
}

#[test]
fn the_number_of_betas_does_not_multiply_the_work() {
    let body = |count| {
        let tools = repeat(r#"{"name":"a","defer_loading":true}"#, count);
        format!(r#"{{"model":"m","output_config":{{"effort":"low"}},"tools":[{tools}]}}"#)
    };
    let betas = |count| -> Vec<String> {
        let names = ["effort", "advanced-tool-use", "compact", "fast-mode"];
        (0..count).map(|n| format!("{}-{n}", names[n % names.len()])).collect()
    };
    check_with_betas("few betas", &betas(4), body);
    check_with_betas("many betas", &betas(256), body);
    for kind in KINDS {
        let [few, many] = [4, 256].map(|count| work(kind, &body(100), &betas(count)).0);
        assert!(many <= few * 2, "{kind}: {few} steps with few betas, {many} with many");
    }
}

#[test]
fn many_edits_of_one_body_make_few_pieces() {
    let item = r#"{"name":"a","defer_loading":true}"#;
    let text = Bytes::from(format!(r#"{{"model":"m","tools":[{}]}}"#, repeat(item, 10_000)));
    let body = MessagesBody::parse(text.clone()).unwrap();
    let mut edits = Edits::default();
    Adapter::of("bedrock").adapt(MODEL, &body, &[], &mut edits);
    let payload = edits.apply(&body);
    assert!(payload.pieces().count() <= 3, "{}", payload.pieces().count());
    let expected = text.len() - r#""model":"m","#.len() - 10_000 * r#","defer_loading":true"#.len();
    assert_eq!(payload.remaining(), expected);
}
