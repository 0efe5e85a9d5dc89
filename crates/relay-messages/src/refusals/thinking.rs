//! Removes thinking that an upstream does not accept from the earlier turns of a conversation. Everything
//! else stays.

use bytes::Bytes;
use relay_stream::thinking::ThinkingId;

use crate::body::{Edits, Node};

/// The prefix of the edits in `context_management` that are only valid in a request with thinking:
/// "`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive".
const CLEARS_THINKING: &str = "clear_thinking";

/// A thinking block in a turn of the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ThinkingBlock {
    Signed(ThinkingId),
    Unsigned,
}

impl ThinkingBlock {
    fn id(self) -> Option<ThinkingId> {
        match self {
            Self::Signed(id) => Some(id),
            Self::Unsigned => None,
        }
    }
}

/// The parts to remove from a body.
#[derive(Debug, Default)]
pub(super) struct StrippedThinking<'a> {
    pub(super) gone: Vec<Node<'a>>,
    /// The signatures of the removed thinking blocks.
    pub(super) ids: Vec<ThinkingId>,
    /// `true` if the turn to be continued began with thinking before, and now calls a tool without it.
    pub(super) breaks_last_turn: bool,
}

/// Finds the thinking blocks in `body` for which `takes` returns `false`. A message without other content is
/// removed as a whole: an empty message is refused, and consecutive messages of the same role count as one
/// turn (platform.claude.com/docs, "Messages"). Such a message calls no tool, so that no tool result loses
/// its call.
pub(super) fn strip<'a>(
    body: Node<'a>,
    mut takes: impl FnMut(ThinkingBlock) -> bool,
) -> StrippedThinking<'a> {
    let mut stripped = StrippedThinking::default();
    let mut is_any_left = false;
    for message in body.get("messages").into_iter().flat_map(Node::elements) {
        // Messages of users and tools are most of a conversation, so that their items are only read if they
        // matter.
        let items = || message.get("content").into_iter().flat_map(Node::elements);
        if !message.get("role").is_some_and(|role| role.is("assistant")) {
            // A message without a tool result begins a new turn.
            stripped.breaks_last_turn =
                stripped.breaks_last_turn && items().any(|item| is_of_type(item, "tool_result"));
            is_any_left = true;
            continue;
        }
        let refused = |item: &Node<'a>| block(*item).is_some_and(|block| !takes(block));
        let (gone, left): (Vec<_>, Vec<_>) = items().partition(refused);
        if gone.is_empty() {
            is_any_left = true;
            continue;
        }
        stripped.ids.extend(gone.iter().filter_map(|item| block(*item)?.id()));
        let began_with_thinking = items().next().is_some_and(|item| block(item).is_some());
        let begins_with_thinking = left.first().is_some_and(|item| block(*item).is_some());
        let calls_tool = left.iter().any(|item| is_of_type(*item, "tool_use"));
        stripped.breaks_last_turn |= began_with_thinking && !begins_with_thinking && calls_tool;
        if left.iter().all(|item| is_blank(*item)) {
            stripped.gone.push(message);
        } else {
            is_any_left = true;
            stripped.gone.extend(gone);
        }
    }
    // A request without any message is less useful than one that is refused.
    if is_any_left { stripped } else { StrippedThinking::default() }
}

/// Returns the parts to remove from `body` so that it does not request thinking. If thinking has a fixed
/// budget, a turn cannot continue from messages without thinking: "Expected `thinking` or
/// `redacted_thinking`, but found `tool_use`". If thinking is adaptive, "previous assistant turns don't need
/// to start with thinking blocks" (platform.claude.com/docs, "Adaptive thinking": validation changes), so
/// that nothing is removed.
pub(super) fn switched_off(body: Node<'_>) -> Vec<Node<'_>> {
    let Some(thinking) = body.get("thinking").filter(|thinking| is_of_type(*thinking, "enabled")) else {
        return Vec::new();
    };
    let mut gone = vec![thinking];
    gone.extend(clearing_edits(body));
    gone
}

/// Disables thinking in `body`: sets its type, also for an upstream that thinks by default, and removes an effort and the edits
/// that clear thinking, which are refused beside it. Returns `false` if it is disabled already.
pub(super) fn disable(body: Node<'_>, edits: &mut Edits) -> bool {
    const DISABLED: &[u8] = br#"{"type":"disabled"}"#;
    match body.get("thinking") {
        Some(_) if mode(body) == Mode::Disabled => return false,
        Some(thinking) => edits.replace_at(thinking, Bytes::from_static(DISABLED)),
        None => edits.unshift_at(body, [br#""thinking":"#, DISABLED].concat().into()),
    }
    if let Some(config) = body.get("output_config")
        && let Some(effort) = config.get("effort")
    {
        edits.remove_at(if config.members().count() == 1 { config } else { effort });
    }
    clearing_edits(body).into_iter().for_each(|edit| edits.remove_at(edit));
    true
}

/// The state of thinking that a request sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The request does not mention thinking.
    Default,
    Disabled,
    /// Enabled, adaptive, or of a type that is not known here.
    On,
}

/// Returns the state of thinking in `body`.
pub(super) fn mode(body: Node<'_>) -> Mode {
    match body.get("thinking") {
        None => Mode::Default,
        Some(thinking) if is_of_type(thinking, "disabled") => Mode::Disabled,
        Some(_) => Mode::On,
    }
}

/// Returns `true` if a turn of the assistant in `body` calls a tool and holds no thinking. Consecutive messages of the
/// assistant are one turn.
pub(super) fn lacks_thinking_of_tool_turn(body: Node<'_>) -> bool {
    let (mut calls_tool, mut thinks) = (false, false);
    for message in body.get("messages").into_iter().flat_map(Node::elements) {
        if !message.get("role").is_some_and(|role| role.is("assistant")) {
            if calls_tool && !thinks {
                return true;
            }
            (calls_tool, thinks) = (false, false);
            continue;
        }
        for item in message.get("content").into_iter().flat_map(Node::elements) {
            calls_tool |= is_of_type(item, "tool_use");
            thinks |= is_of_type(item, "thinking");
        }
    }
    calls_tool && !thinks
}

/// Returns the edits of `context_management` that clear thinking, or the whole of it if it has no others.
fn clearing_edits(body: Node<'_>) -> Vec<Node<'_>> {
    if let Some(management) = body.get("context_management")
        && let Some(edits) = management.get("edits")
    {
        let clears = |edit: &Node<'_>| {
            edit.get("type").and_then(Node::as_str).is_some_and(|kind| kind.starts_with(CLEARS_THINKING))
        };
        let (clearing, others): (Vec<_>, Vec<_>) = edits.elements().partition(clears);
        return if others.is_empty() && !clearing.is_empty() { vec![management] } else { clearing };
    }
    Vec::new()
}

fn block(item: Node<'_>) -> Option<ThinkingBlock> {
    let seal = match item.get("type")?.as_str()?.as_ref() {
        "thinking" => item.get("signature"),
        "redacted_thinking" => item.get("data"),
        _ => return None,
    };
    let written = seal.filter(|seal| seal.as_str().is_some_and(|text| !text.is_empty())).map(Node::text);
    Some(match written {
        Some(written) => ThinkingBlock::Signed(ThinkingId::of(&written[1..written.len() - 1])),
        None => ThinkingBlock::Unsigned,
    })
}

/// Returns `true` if `item` is a text block that is empty or only white space. Upstreams other than Claude
/// send such blocks, and Claude refuses a turn that has no other content.
fn is_blank(item: Node<'_>) -> bool {
    is_of_type(item, "text")
        && item.get("text").is_none_or(|text| text.as_str().is_some_and(|text| text.trim().is_empty()))
}

fn is_of_type(node: Node<'_>, kind: &str) -> bool {
    node.get("type").is_some_and(|found| found.is(kind))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Returns `messages` without unsigned thinking and thinking with the signature `bad`; and `true` if the
    /// last turn is broken.
    fn left(messages: &Value) -> (Value, bool) {
        let text = json!({ "messages": messages }).to_string();
        let bad = ThinkingId::of(b"bad");
        let stripped = strip(Node::parse(text.as_bytes()).unwrap(), |block| {
            !matches!(block, ThinkingBlock::Unsigned) && block != ThinkingBlock::Signed(bad)
        });
        let breaks = stripped.breaks_last_turn;
        let mut edits = Edits::default();
        stripped.gone.into_iter().for_each(|node| edits.remove_at(node));
        let left = edits.apply_to(&Bytes::from(text.clone())).to_bytes();
        let mut body: Value = serde_json::from_slice(&left).unwrap();
        (body["messages"].take(), breaks)
    }

    #[track_caller]
    fn check(messages: &Value, expected: &Value, breaks: bool) {
        assert_eq!(left(messages), (expected.clone(), breaks), "{messages}");
    }

    fn user(content: Value) -> Value {
        json!({"role": "user", "content": content})
    }

    fn turn(content: Value) -> Value {
        json!({"role": "assistant", "content": content})
    }

    fn thinking(signature: &str) -> Value {
        json!({"type": "thinking", "thinking": "…", "signature": signature})
    }

    fn text(text: &str) -> Value {
        json!({"type": "text", "text": text})
    }

    #[test]
    fn only_thinking_is_removed() {
        let (ask, call) =
            (user(json!("hi")), json!({"type": "tool_use", "id": "t", "name": "n", "input": {}}));
        let result = user(json!([{"type": "tool_result", "tool_use_id": "t", "content": "thinking"}]));
        let both = json!([ask, turn(json!([thinking("good"), thinking("bad"), text("a")])), ask]);
        check(&both, &json!([ask, turn(json!([thinking("good"), text("a")])), ask]), false);
        let redacted = json!({"type": "redacted_thinking", "data": "bad"});
        let unsigned = json!({"type": "thinking", "thinking": "…"});
        check(
            &json!([ask, turn(json!([redacted, text("a"), unsigned, thinking("")])), ask]),
            &json!([ask, turn(json!([text("a")])), ask]),
            false,
        );
        check(
            &json!([ask, turn(json!([thinking("bad"), text("a"), call])), result]),
            &json!([ask, turn(json!([text("a"), call])), result]),
            true,
        );
        let untouched = json!([ask, turn(json!("text")), ask, turn(json!([thinking("good"), call])), result,
            {"role": "user", "content": [thinking("bad")]}, turn(json!([])), {"content": [thinking("bad")]}, 5]);
        check(&untouched, &untouched, false);
    }

    #[test]
    fn a_turn_of_thinking_alone_is_removed_as_a_whole() {
        let ask = user(json!("hi"));
        for content in [
            json!([thinking("bad")]),
            json!([thinking("bad"), text(" \n")]),
            json!([thinking(""), thinking("bad")]),
        ] {
            check(&json!([ask, turn(content), ask]), &json!([ask, ask]), false);
        }
        check(&json!([turn(json!([thinking("bad")]))]), &json!([turn(json!([thinking("bad")]))]), false);
    }

    #[test]
    fn only_the_turn_to_be_continued_has_to_begin_with_thinking() {
        let call = json!({"type": "tool_use", "id": "t", "name": "n", "input": {}});
        let result = user(json!([{"type": "tool_result", "tool_use_id": "t"}]));
        let breaks = |last: Value| left(&json!([user(json!("hi")), turn(last), result])).1;
        assert!(breaks(json!([thinking("bad"), call])));
        assert!(breaks(json!([thinking("bad"), text("a"), thinking("good"), call])));
        assert!(!breaks(json!([thinking("bad"), thinking("good"), call])));
        assert!(!breaks(json!([thinking("good"), thinking("bad"), call])));
        assert!(!breaks(json!([thinking("bad"), text("no tool")])));
        assert!(!breaks(json!([call, thinking("bad")])), "the turn did not begin with thinking before");
        let first = json!([turn(json!([thinking("bad"), call])), result, turn(json!([call])), result]);
        assert!(left(&first).1, "a turn spans all messages from one question to the next");
        let earlier = json!([turn(json!([thinking("bad"), call])), result, user(json!("go on"))]);
        assert!(!left(&earlier).1);
    }

    #[test]
    fn every_turn_that_calls_a_tool_has_to_hold_thinking() {
        let call = json!({"type": "tool_use", "id": "t", "name": "n", "input": {}});
        let result = user(json!([{"type": "tool_result", "tool_use_id": "t"}]));
        let lacks = |messages: Value| {
            let text = json!({ "messages": messages }).to_string();
            lacks_thinking_of_tool_turn(Node::parse(text.as_bytes()).unwrap())
        };
        let ask = user(json!("hi"));
        assert!(lacks(json!([ask, turn(json!([call])), result])));
        assert!(lacks(json!([
            ask,
            turn(json!([call])),
            result,
            turn(json!([thinking("a"), text("b")])),
            ask
        ])));
        assert!(lacks(json!([ask, turn(json!([thinking("a"), call])), result, turn(json!([call])), result])));
        assert!(!lacks(json!([ask, turn(json!([thinking("a"), call])), result])));
        assert!(!lacks(json!([ask, turn(json!([thinking("a")])), turn(json!([call])), result])));
        assert!(!lacks(json!([ask, turn(json!("text")), turn(json!([text("a")])), ask])));
        assert!(!lacks(json!([{"role": "user", "content": [call]}, 5, {"role": "assistant"}])));
        assert!(!lacks(json!(7)));
    }

    #[test]
    fn thinking_is_switched_off_with_the_edits_that_need_it() {
        #[track_caller]
        fn check(body: &Value, expected: &Value) {
            let text = body.to_string();
            let mut edits = Edits::default();
            switched_off(Node::parse(text.as_bytes()).unwrap())
                .into_iter()
                .for_each(|node| edits.remove_at(node));
            let left = edits.apply_to(&Bytes::from(text.clone())).to_bytes();
            assert_eq!(serde_json::from_slice::<Value>(&left).unwrap(), *expected);
        }
        let enabled = json!({"type": "enabled", "budget_tokens": 1024});
        let (clear, other) =
            (json!({"type": "clear_thinking_20251015"}), json!({"type": "clear_tool_uses_20250919"}));
        check(
            &json!({"a": 1, "thinking": enabled, "context_management": {"edits": [clear]}}),
            &json!({"a": 1}),
        );
        check(
            &json!({"thinking": enabled, "context_management": {"edits": [clear, other]}}),
            &json!({"context_management": {"edits": [other]}}),
        );
        let adaptive = json!({"thinking": {"type": "adaptive"}, "context_management": {"edits": [clear]}});
        check(&adaptive, &adaptive);
        check(&json!({}), &json!({}));
    }
}
