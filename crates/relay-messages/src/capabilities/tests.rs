//! Tests of the requests that each kind of upstream receives.

use proptest::prelude::*;
use relay_config::{Format, Loader};

use serde_json::{Value, json};

use super::*;

fn parse(body: &str) -> MessagesBody {
    MessagesBody::parse(body.to_owned().into()).unwrap()
}

fn list(betas: &str) -> Vec<String> {
    betas.split(',').map(str::trim).filter(|beta| !beta.is_empty()).map(str::to_owned).collect()
}

fn adapted(adapter: &Adapter, model: &str, betas: &str, body: &str) -> (String, String) {
    let (body, requested, mut edits) =
        (parse(&format!(r#"{{"model":"{model}",{body}}}"#)), list(betas), Edits::default());
    let betas = match adapter.adapt(model, &body, &requested, &mut edits) {
        Some(betas) => betas.join(","),
        None => requested.join(","),
    };
    let body = edits.apply(&body).pieces().flat_map(|piece| piece.to_vec()).collect();
    let body = String::from_utf8(body).unwrap();
    let rest = body.strip_prefix(&format!(r#"{{"model":"{model}""#)).unwrap_or(&body).trim_start_matches(',');
    (rest.strip_suffix('}').unwrap().to_owned(), betas)
}

/// Checks the members of the adapted body, and the betas. `model` is the model's name at the upstream.
#[track_caller]
fn check(kind: &str, model: &str, betas: &str, body: &str, expected: (&str, &str)) {
    let (body, betas) = adapted(&Adapter::of(kind), model, betas, body);
    let body = body.strip_prefix(&format!(r#"{{"model":"{model}""#)).unwrap_or(&body).to_owned();
    assert_eq!((body.as_str(), betas.as_str()), expected);
}

/// Checks the adapted `messages` of a request without betas.
#[track_caller]
fn check_messages(kind: &str, model: &str, messages: &str, expected: &str) {
    let text = |messages| format!(r#""max_tokens":1,"messages":{messages}"#);
    let (body, _) = adapted(&Adapter::of(kind), model, "", &text(messages));
    assert!(body.ends_with(&text(expected)), "{body}");
}

const OLD: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
const WITHOUT_EFFORT: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
const NEW: &str = "us.anthropic.claude-opus-5-5";

#[test]
fn requests_to_upstreams_of_anthropics_format_are_not_changed() {
    let betas = "a, b,safeguards-x";
    let body = r#""safeguards":[{}] ,"x":1.50,"messages":[{"role":"system","content":[{"cache_control":{"scope":"g"}}]}]"#;
    for kind in ["anthropic", "anthropic_compatible", "mock"] {
        let adapter = Adapter::of(kind);
        assert!(adapter.known.is_empty());
        let (body, mut edits) = (parse(&format!(r#"{{"model":"m",{body}}}"#)), Edits::default());
        assert_eq!(adapter.adapt("m", &body, &list(betas), &mut edits), None);
        assert_eq!(edits.apply(&body).pieces().count(), 1);
    }
}

#[test]
fn fields_private_to_anthropic_are_sent_to_no_other_upstream() {
    let betas = "dangerous-tool-use-2026-09-03,afk-mode-2026-01-31,effort-2025-11-24";
    let system = r#""system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2;"} ,{"type":"text","text":"You"}]"#;
    let body =
        format!(r#"{system},"safeguards":[{{"classifier_context":{{"cwd":"/home/me"}}}}],"max_tokens":1"#);
    let kept = r#""system":[{"type":"text","text":"You"}],"max_tokens":1"#;
    check("vendor", "glm-5.3", betas, &body, (kept, "effort-2025-11-24"));
    check("vendor", "MiniMax-M3", betas, &body, (kept, "effort-2025-11-24"));
    check("ollama", "qwen", betas, &body, (kept, ""));
    let kept = format!(r#"{system},"max_tokens":1"#);
    for kind in ["azure", "vertex", "bedrock_messages"] {
        check(kind, NEW, betas, &body, (&kept, "effort-2025-11-24"));
    }
    check("bedrock", NEW, betas, &body, (&format!("{{{kept}"), "effort-2025-11-24"));
}

#[test]
fn a_list_that_becomes_empty_is_removed() {
    let billing = r#"{"type":"text","text":"x-anthropic-billing-header: a"}"#;
    check("vendor", "glm", "", &format!(r#""system":[{billing}],"x":1"#), (r#""x":1"#, ""));
}

#[test]
fn a_beta_and_its_field_are_removed_together() {
    // Vertex does not accept the beta, so its field is removed.
    check(
        "vertex",
        NEW,
        "per-turn-control-2026-07-01,a",
        r#""messages":[{"role":"user","output_config":{"effort":"low"},"content":"c"}]"#,
        (r#""messages":[{"role":"user","content":"c"}]"#, "a"),
    );
    // Bedrock accepts a beta of the same field.
    let body = r#""messages":[{"role":"user","output_config":{"effort":"low"},"content":"c"}]"#;
    let betas = "per-turn-control-2026-07-01,mid-conversation-output-config-2026-07-01";
    check("bedrock", NEW, betas, body, (&format!("{{{body}"), "mid-conversation-output-config-2026-07-01"));
    // The field is removed, and its beta with it.
    check(
        "bedrock",
        WITHOUT_EFFORT,
        "effort-2025-11-24",
        r#""output_config":{"effort":"low"},"max_tokens":1"#,
        (r#"{"max_tokens":1"#, ""),
    );
    // Only a part of the object is removed.
    check(
        "bedrock",
        WITHOUT_EFFORT,
        "",
        r#""output_config":{"effort":"low","format":{}},"max_tokens":1"#,
        (r#"{"output_config":{"format":{}},"max_tokens":1"#, ""),
    );
    let body = r#""output_config":{"effort":"low"}"#;
    check("bedrock", NEW, "effort-2025-11-24", body, (&format!("{{{body}"), "effort-2025-11-24"));
    // A field that the client sent without its beta is not changed.
    let body = r#""messages":[{"role":"user","output_config":{},"content":"c"}]"#;
    check("vertex", NEW, "", body, (body, ""));
}

#[test]
fn the_scope_of_a_cache_is_only_sent_to_anthropic() {
    let body = |cache: &str| {
        format!(
            r#""system":[{{"type":"text","text":"a","cache_control":{cache}}}],"tools":[{{"name":"t","cache_control":{cache}}}],"messages":[{{"role":"user","content":[{{"type":"tool_result","content":[{{"type":"text","text":"t","cache_control":{cache}}}],"cache_control":{cache}}}]}}]"#
        )
    };
    let before = body(r#"{ "scope" : "global", "type":"ephemeral", "ttl":"1h"}"#);
    let betas = "prompt-caching-scope-2026-01-05,extended-cache-ttl-2025-04-11";
    let after = body(r#"{ "type":"ephemeral", "ttl":"1h"}"#);
    for kind in ["azure", "vertex"] {
        check(kind, NEW, betas, &before, (&after, "extended-cache-ttl-2025-04-11"));
    }
    for kind in ["ollama", "bedrock_messages"] {
        check(kind, NEW, betas, &before, (&after, ""));
    }
    check("bedrock", NEW, betas, &before, (&format!("{{{after}"), ""));
    let old = body(r#"{ "type":"ephemeral"}"#);
    check("bedrock", OLD, betas, &before, (&format!("{{{old}"), ""));
    let empty = r#""system":[{"type":"text","text":"a"}]"#;
    check(
        "vertex",
        NEW,
        "",
        r#""system":[{"type":"text","text":"a","cache_control":{"scope":"g"}}]"#,
        (empty, ""),
    );
}

#[test]
fn deferred_tools_are_only_sent_to_models_that_support_them() {
    let before = r#""tools":[{"name":"a"},{"name":"b","defer_loading":true},{"name":"DeferredToolPlaceholder","defer_loading":true}]"#;
    let betas = "advanced-tool-use-2025-11-20";
    check("bedrock", NEW, betas, before, (&format!("{{{before}"), "tool-search-tool-2025-10-19"));
    check("vertex", NEW, betas, before, (before, "tool-search-tool-2025-10-19"));
    let after = r#""tools":[{"name":"a"},{"name":"b"}]"#;
    check("bedrock", OLD, betas, before, (&format!("{{{after}"), ""));
    check("vertex", "claude-opus-4-1@20250805", betas, before, (after, ""));
    check("ollama", "qwen", betas, before, (after, ""));
}

#[test]
fn the_members_of_custom_are_moved_into_the_tool() {
    check(
        "bedrock",
        NEW,
        "",
        r#""tools":[{"name":"a","custom":{"defer_loading" : true,"name":"b"}},{"type":"custom","custom":{}}]"#,
        (r#"{"tools":[{"name":"a","defer_loading" : true},{"type":"custom"}]"#, ""),
    );
    check(
        "bedrock",
        OLD,
        "",
        r#""tools":[{"custom":{"defer_loading":true,"x":1}}]"#,
        (r#"{"tools":[{"x":1}]"#, ""),
    );
}

#[test]
fn system_messages_become_part_of_an_adjacent_turn() {
    #[track_caller]
    fn folded(before: &str, after: &str) {
        check_messages("bedrock", OLD, before, after);
        check_messages("bedrock", NEW, before, before);
    }
    let user = r#"{"role":"user","content":[{"type":"text","text":"a"}]}"#;
    let assistant = r#"{"role":"assistant","content":"b"}"#;
    let system = r#"{"role":"system","content":"s\u00e9"}"#;
    // After a turn of the user, as Claude Code sends them.
    folded(
        &format!("[{user}, {system},{assistant}]"),
        &format!(
            r#"[{{"role":"user","content":[{{"type":"text","text":"a"}},{{"type":"text","text":"s\u00e9"}}]}}, {assistant}]"#
        ),
    );
    folded(
        &format!("[{user},{system},{system} ]"),
        r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"s\u00e9"},{"type":"text","text":"s\u00e9"}]} ]"#,
    );
    // Blocks are not changed.
    folded(
        r#"[{"role":"user","content":"a\n"},{"role":"system","content":[ {"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}} ]}]"#,
        r#"[{"role":"user","content":[{"type":"text","text":"a\n"}, {"type":"text","text":"s","cache_control":{"type":"ephemeral"}} ]}]"#,
    );
    // Before a turn of the user.
    folded(
        &format!("[{system},{user}]"),
        r#"[{"role":"user","content":[{"type":"text","text":"s\u00e9"},{"type":"text","text":"a"}]}]"#,
    );
    folded(
        &format!(r#"[{assistant},{system},{{"role":"user","content":[{{"type":"tool_result"}}]}}]"#),
        &format!(
            r#"[{assistant},{{"role":"user","content":[{{"type":"tool_result"}},{{"type":"text","text":"s\u00e9"}}]}}]"#
        ),
    );
    // Without an adjacent turn of the user.
    folded(
        &format!("[{assistant},{system},{assistant}]"),
        &format!(r#"[{assistant},{{"role":"user","content":"s\u00e9"}},{assistant}]"#),
    );
    folded(
        r#"[{"role":"user","content":""},{"role":"system","content":""}]"#,
        r#"[{"role":"user","content":""}]"#,
    );
    folded(
        r#"[{"role":"user","content":[]},{"role":"system","content":[]}]"#,
        r#"[{"role":"user","content":[]}]"#,
    );
    folded(
        r#"[{"role":"user","content":[]},{"role":"system","content":"s"}]"#,
        r#"[{"role":"user","content":[{"type":"text","text":"s"}]}]"#,
    );
}

#[test]
fn a_field_that_the_rules_refuse_is_reported_as_unsupported() {
    #[track_caller]
    fn check(kind: &str, body: &str, expected: &str) {
        let body = parse(&format!(r#"{{"model":"m",{body}}}"#));
        let found = Adapter::of(kind).unsupported("m", &body).map(|found| found.to_string());
        assert_eq!(found.unwrap_or_default(), expected, "{kind} {body:?}");
    }
    let block = |block: &str| {
        format!(r#""messages":[{{"role":"user","content":[{{"type":"tool_result","content":[{block}]}}]}}]"#)
    };
    let pdf = block(r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf"}}"#);
    let url = block(r#"{"type":"image","source":{"type":"url","url":"https://x"}}"#);
    let file = block(r#"{"type":"image","source":{"type":"file"}}"#);
    for kind in ["anthropic", "vendor", "azure"] {
        [&pdf, &url, &file].into_iter().for_each(|body| check(kind, body, ""));
    }
    check("ollama", &pdf, "takes no documents such as PDFs");
    for kind in ["ollama", "bedrock", "vertex"] {
        check(kind, &url, "takes no images by URL");
        check(kind, &file, "takes no `image` blocks with a source of the type `file`");
        check(kind, &block(r#"{"type":"image","source":{"type":"base64"}}"#), "");
    }
    check("bedrock", &pdf, "");
    let tool = r#""tools":[{"name":"a"},{"type":"web_search_20250305","name":"web_search"}]"#;
    check("bedrock", tool, "takes no tools of the type `web_search_20250305`");
    check("vertex", tool, "");
    check("ollama", &block(r#"{"type":"search_result"}"#), "takes no `search_result` blocks");
}

#[test]
fn rules_of_the_operator_take_precedence_over_the_table() {
    let config = "\
providers:
  - name: a
    type: bedrock
    aws_region: us-east-1
    capabilities:
      '*':
        betas: { new-2027-*: pass, effort-*: drop }
        fields: { new_field: pass, 'blocks[image].source[url]': refuse, 'blocks[image|document].source[url|file]': pass }
      my-alias:
        fields: { new_field: drop, metadata: refuse }
";
    let config = Loader::new().with_text("c.yaml", Format::Yaml, config).load().unwrap().config;
    let adapter = Adapter::of("bedrock").with_capabilities(&config.providers[0].capabilities);
    let betas = "new-2027-01-01,other,effort-2025-11-24";
    let body = r#""new_field":1,"output_config":{"effort":"low"},"max_tokens":1"#;
    let expected = |body: &str| (format!("{{{body}"), "new-2027-01-01".to_owned());
    assert_eq!(adapted(&adapter, NEW, betas, body), expected(r#""new_field":1,"max_tokens":1"#));
    assert_eq!(adapted(&adapter, "my-alias", betas, body), expected(r#""max_tokens":1"#));
    let body = parse(
        r#"{"model":"m","metadata":{},"messages":[{"content":[{"type":"image","source":{"type":"file"}}]}]}"#,
    );
    assert_eq!(adapter.unsupported(NEW, &body), None);
    assert_eq!(adapter.unsupported("my-alias", &body).unwrap().to_string(), "takes no field `metadata`");
}

/// Collects the texts in `value` that begin with `!`, except those in a `cache_control`, which rules remove
/// from messages, and those of an image by URL, which a text may replace.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(_) if value["type"] == "image" && value["source"]["type"] == "url" => {}
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "cache_control");
            members.for_each(|(_, member)| texts(member, found));
        }
        Value::String(text) if text.starts_with('!') => found.push(text.clone()),
        _ => {}
    }
}

/// Returns the texts in `messages`: of system messages those in the content, of other messages those in all
/// members.
fn texts_of(messages: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for message in messages.as_array().into_iter().flatten() {
        let content = &message["content"];
        match message["role"] == "system" {
            false => texts(message, &mut found),
            true if content.is_array() || content.is_string() => texts(content, &mut found),
            true => {}
        }
    }
    found
}

/// Generates objects with names that occur in rules, and with values of valid and invalid kinds.
fn odd_object(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let names = [
        "type",
        "role",
        "content",
        "text",
        "cache_control",
        "scope",
        "ttl",
        "custom",
        "defer_loading",
        "source",
    ];
    let words = [
        "system",
        "user",
        "assistant",
        "text",
        "tool_result",
        "clear_thinking_20251015",
        "url",
        "image",
        "!a",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(Value::from);
    let member = (prop::sample::select(names.to_vec()), prop_oneof![word, inner]);
    prop::collection::vec(member, 0..6)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn odd() -> BoxedStrategy<Value> {
    let leaf = prop::sample::select(vec![json!("!b"), json!(""), json!(1), json!(null)]);
    leaf.prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            odd_object(inner.boxed())
        ]
    })
    .boxed()
}

/// Generates messages with a role, some content and arbitrary other members.
fn odd_message() -> impl Strategy<Value = Value> {
    let role = prop::sample::select(vec!["system", "user", "assistant"]);
    let text = prop::sample::select(vec![json!("!text"), json!("")]);
    let blocks = prop::collection::vec(odd_object(odd()), 0..3).prop_map(Value::from);
    (odd_object(odd()), role, prop_oneof![2 => text, 3 => blocks, 1 => odd()]).prop_map(
        |(mut message, role, content)| {
            (message["role"], message["content"]) = (role.into(), content);
            message
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_adapted_body_is_json_and_keeps_the_texts_of_its_messages(
        messages in prop::collection::vec(odd_message(), 0..6), tools in odd(), system in odd(), context in odd(),
    ) {
        let body = json!({
            "model": "m", "messages": messages, "tools": tools, "system": system, "context_management": context,
            "output_format": context, "output_config": tools,
        });
        for kind in ["vendor", "ollama", "bedrock", "bedrock_messages", "azure", "vertex"] {
            let betas = "per-turn-control-2026-07-01,prompt-caching-scope-2026-01-05,advanced-tool-use-2025-11-20";
            let (parsed, mut edits) = (parse(&body.to_string()), Edits::default());
            edits.set_model(&parsed, OLD);
            Adapter::of(kind).adapt(OLD, &parsed, &list(betas), &mut edits);
            let adapted: Vec<u8> = edits.apply(&parsed).pieces().flat_map(|piece| piece.to_vec()).collect();
            let adapted: Value = serde_json::from_slice(&adapted).unwrap();
            let mut kept = Vec::new();
            texts(&adapted["messages"], &mut kept);
            for text in texts_of(&body["messages"]) {
                let at = kept.iter().position(|other| *other == text);
                prop_assert!(at.is_some(), "{}: {} of {} is missing in {}", kind, text, body, adapted);
                kept.swap_remove(at.unwrap());
            }
        }
    }
}

#[test]
fn rules_are_compiled_once_for_all_models_that_match_the_same_patterns() {
    let adapter = Adapter::of("bedrock");
    let rules = |model: &str| adapter.clone().rules(model).unwrap();
    let first = rules(OLD);
    assert!(Arc::ptr_eq(&first, &rules(OLD)));
    assert!(Arc::ptr_eq(&first, &rules("anthropic.claude-opus-4-20250514-v1:0")));
    assert!(!Arc::ptr_eq(&first, &rules(NEW)));
    assert!(!Arc::ptr_eq(&first, &adapter.clone().with_fetched_images(true).rules(OLD).unwrap()));
}
