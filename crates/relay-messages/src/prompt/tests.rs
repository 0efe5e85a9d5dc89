use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::MessagesBody;

fn digest(body: &Value) -> PromptDigest {
    PromptDigest::of(&MessagesBody::parse(body.to_string().into()).unwrap())
}

#[track_caller]
fn check(before: &Value, next: &Value, expected: Option<&str>) {
    let change = digest(before).change_in(&digest(next));
    assert_eq!(change.map(|change| change.to_string()).as_deref(), expected);
}

fn cached(text: &str) -> Value {
    json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}})
}

fn plain(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A turn of a conversation as Claude Code writes it: the breakpoint of the messages is in the last one, whose content is an
/// array.
fn turn(turns: usize) -> Value {
    let mut messages = vec![json!({"role": "user", "content": "question 0"})];
    for turn in 1..turns {
        messages.push(json!({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "x".repeat(90)}, plain("answer"),
            {"type": "tool_use", "id": format!("toolu_{turn}"), "name": "Read", "input": {"path": "a"}}]}));
        let result = json!({"tool_use_id": format!("toolu_{turn}"), "type": "tool_result", "content": "x".repeat(turn * 200)});
        messages.push(json!({"role": "user", "content": [result]}));
    }
    let last = messages.last_mut().unwrap();
    match turns {
        1 => last["content"] = json!([cached("question 0")]),
        _ => last["content"][0]["cache_control"] = json!({"type": "ephemeral"}),
    }
    json!({
        "model": "claude-opus-5-5", "messages": messages,
        "system": [plain("x-anthropic-billing-header: cc_version=2.1.330"), cached("You are"), cached("Long prompt")],
        "tools": [{"name": "Read", "input_schema": {"type": "object"}}, {"name": "Edit", "input_schema": {}}],
        "thinking": {"type": "adaptive"}, "stream": true,
    })
}

fn with(mut body: Value, change: impl Fn(&mut Value)) -> Value {
    change(&mut body);
    body
}

#[test]
fn a_conversation_that_grows_keeps_its_prefix_while_the_breakpoint_moves() {
    for turns in 1..6 {
        check(&turn(turns), &turn(turns + 1), None);
        check(&turn(turns), &turn(turns), None);
    }
}

#[test]
fn the_first_part_that_differs_is_reported() {
    let next = || turn(4);
    check(
        &turn(3),
        &with(next(), |body| body["system"][0]["text"] = json!("cc_version=2.1.331")),
        Some("system[0] changed"),
    );
    check(
        &turn(3),
        &with(next(), |body| body["system"][2]["text"] = json!("Long prompT")),
        Some("system[2] changed"),
    );
    check(&turn(3), &with(next(), |body| body["tools"][1]["name"] = json!("Exit")), Some("tools[1] changed"));
    check(&turn(3), &with(next(), |body| body["model"] = json!("claude-haiku-5-5")), Some("model changed"));
    check(
        &turn(3),
        &with(next(), |body| body["thinking"] = json!({"type": "disabled"})),
        Some("thinking changed"),
    );
    check(
        &turn(3),
        &with(next(), |body| body["tool_choice"] = json!({"type": "any"})),
        Some("tool_choice added"),
    );
    check(&turn(3), &with(next(), |body| body["speed"] = json!("fast")), Some("speed added"));
    check(
        &turn(3),
        &with(next(), |body| body["messages"][1]["content"][1]["text"] = json!("a")),
        Some("messages[1] block 1 changed"),
    );
    check(
        &turn(3),
        &with(next(), |body| body["messages"][0]["role"] = json!("assistant")),
        Some("messages[0] block 0 changed"),
    );
    // A tool comes before the system prompt, and that before a setting of the messages.
    let all = with(next(), |body| {
        body["messages"][0]["content"] = json!("other");
        body["thinking"] = json!(null);
        body["system"][1] = json!(1);
        body["tools"][0] = json!(2);
    });
    check(&turn(3), &all, Some("tools[0] changed"));
}

#[test]
fn parts_that_come_and_go_are_reported() {
    let next = || turn(4);
    let tool = json!({"name": "New"});
    check(
        &turn(3),
        &with(next(), |body| body["tools"].as_array_mut().unwrap().push(tool.clone())),
        Some("tools[2] added"),
    );
    check(
        &turn(3),
        &with(next(), |body| drop(body["tools"].as_array_mut().unwrap().pop())),
        Some("tools[1] removed"),
    );
    check(&turn(3), &with(next(), |body| body["system"] = json!(null)), Some("system[0] changed"));
    check(
        &turn(3),
        &with(next(), |body| drop(body.as_object_mut().unwrap().remove("system"))),
        Some("system[0] removed"),
    );
    // A shorter history, as after a rewind.
    check(&turn(4), &turn(2), Some("messages[3] block 0 removed"));
    let grown =
        with(next(), |body| body["messages"][1]["content"].as_array_mut().unwrap().push(plain("more")));
    check(&turn(3), &grown, Some("messages[1] block 3 added"));
}

#[test]
fn a_change_after_the_last_breakpoint_breaks_no_cached_prefix() {
    let body = |second: &str| {
        json!({"model": "m", "system": "s", "messages": [
        {"role": "user", "content": [cached("a"), plain(second)]}]})
    };
    check(&body("b"), &body("c"), None);
    let unmarked = |text: &str| json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    check(&unmarked("b"), &unmarked("c"), Some("messages[0] block 0 changed"));
    let automatic = |second: &str| {
        with(body(second), |body| body["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"}))
    };
    check(&automatic("b"), &automatic("c"), Some("messages[0] block 1 changed"));
    assert_eq!(digest(&automatic("b")).ttl(), CacheTtl::FiveMinutes, "the breakpoint of a block counts");
}

#[test]
fn facts_about_a_prompt_are_read() {
    let first = digest(&turn(1));
    assert!(!first.has_answers() && digest(&turn(2)).has_answers());
    assert!(first.has_setup_of(&digest(&turn(3))));
    assert_eq!(
        (first.common_messages(&digest(&turn(3))), digest(&turn(3)).common_messages(&digest(&turn(4)))),
        (1, 5)
    );
    let other = digest(&with(turn(1), |body| body["model"] = json!("claude-haiku-5-5")));
    assert!(!first.has_setup_of(&other));
    assert_eq!(first.common_messages(&other), 1);
    let other = with(turn(3), |body| body["messages"][0]["content"] = json!("other"));
    let (third, other) = (digest(&turn(3)), digest(&other));
    assert_eq!((third.common_messages(&other), third.common_opening(&other)), (4, 0));
    let hour = json!({"type": "ephemeral", "ttl": "1h"});
    let hourly =
        digest(&with(turn(2), |body| body["messages"][2]["content"][0]["cache_control"] = hour.clone()));
    assert_eq!((hourly.ttl(), first.ttl()), (CacheTtl::OneHour, CacheTtl::FiveMinutes));
    assert!(first.has_breakpoint() && !digest(&json!({"model": "m", "system": "s"})).has_breakpoint());
    assert_eq!(first.cached_blocks(), 2 + 3 + 1);
}

#[test]
fn a_prompt_of_any_shape_is_read_within_the_bound() {
    let many = vec![cached("x"); 5000];
    for body in [
        json!({"model": "m", "tools": many}),
        json!({"model": "m", "system": many, "messages": [{"role": "user", "content": "x"}]}),
        json!({"model": "m", "messages": [{"role": "user", "content": many}, 1, null, [], "x", {}]}),
        json!({"model": "m", "messages": vec![json!({"role": "user", "content": []}); 5000]}),
        json!({"model": "m", "messages": [1, null, [], "x", {}, {"content": {"cache_control": {"cache_control": 1}}}], "tools": 7, "system": {}}),
    ] {
        let digest = digest(&body);
        assert!(digest.blocks.len() <= PromptDigest::MAX_BLOCKS);
        assert!(digest.cached_blocks() <= digest.blocks.len());
        assert_eq!(digest.change_in(&digest), None);
    }
}

/// A prompt of blocks with these texts.
fn prompt(tools: &[String], system: &[String], messages: &[Vec<String>]) -> Value {
    let blocks = |texts: &[String]| texts.iter().map(|text| plain(text)).collect::<Vec<_>>();
    let tools: Vec<_> = tools.iter().map(|text| json!({"name": "n", "description": text})).collect();
    let messages = messages.iter().enumerate().map(|(at, texts)| {
        json!({"role": if at % 2 == 0 { "user" } else { "assistant" }, "content": blocks(texts)})
    });
    json!({"model": "m", "tools": tools, "system": blocks(system), "messages": messages.collect::<Vec<_>>()})
}

fn texts(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab\"\\\\é]{1,40}|[a-z ]{500,700}", count)
}

proptest! {
    #[test]
    fn appended_messages_never_break_a_prefix(
        tools in texts(0..3), system in texts(0..3), messages in prop::collection::vec(texts(1..4), 1..6), kept in 1..6usize,
        marked: bool,
    ) {
        let mut before = prompt(&tools, &system, &messages[..kept.min(messages.len())]);
        if marked {
            let last = before["messages"].as_array_mut().unwrap().last_mut().unwrap();
            last["content"][0]["cache_control"] = json!({"type": "ephemeral"});
        }
        let (before, next) = (digest(&before), prompt(&tools, &system, &messages));
        prop_assert_eq!(before.change_in(&digest(&next)), None);
        let next = MessagesBody::parse(next.to_string().into()).unwrap();
        let unrelated = digest(&prompt(&system, &tools, &messages[1..]));
        let turn = PromptDigest::of_turn(&next, &[&unrelated, &before]);
        prop_assert_eq!(turn, PromptDigest::of(&next), "with and without the turn before");
    }

    #[test]
    fn a_change_of_one_byte_is_found_in_its_block(
        tools in texts(0..3), system in texts(0..3), messages in prop::collection::vec(texts(1..4), 1..5),
        block in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), more in texts(0..2),
    ) {
        let before = digest(&prompt(&tools, &system, &messages));
        let (mut tools, mut system, mut messages) = (tools, system, messages);
        let lengths = [tools.len(), system.len(), messages.iter().map(Vec::len).sum()];
        let block = block.index(lengths.iter().sum());
        let place = before.place(block);
        let text = match place {
            (PromptPart::Tools, index, _) => &mut tools[index],
            (PromptPart::System, index, _) => &mut system[index],
            (_, index, block) => &mut messages[index][block],
        };
        let at = at.index(text.chars().count());
        *text = text.chars().enumerate().map(|(index, char)| if index == at { 'Z' } else { char }).collect();
        messages.push(more);
        let next = MessagesBody::parse(prompt(&tools, &system, &messages).to_string().into()).unwrap();
        let change = before.change_in(&PromptDigest::of_turn(&next, &[&before])).unwrap();
        prop_assert_eq!((change.part, change.index, change.kind), (place.0, place.1, ChangeKind::Changed));
        prop_assert_eq!(change.block, (place.0 == PromptPart::Messages).then_some(place.2));
    }
}
