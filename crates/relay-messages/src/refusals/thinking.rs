//! Thinking that an upstream does not take is left out of the conversation's past; all else of it stays.

use relay_stream::thinking::ThinkingId;

use crate::body::Node;

/// Edits of `context_management` that only a request with thinking may ask for: "`clear_thinking_20251015` strategy
/// requires `thinking` to be enabled or adaptive".
const CLEARS_THINKING: &str = "clear_thinking";

/// A block of thinking in a turn of the assistant's.
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

/// What leaves a body.
#[derive(Debug, Default)]
pub(super) struct StrippedThinking<'a> {
    pub(super) gone: Vec<Node<'a>>,
    /// The signatures of what leaves.
    pub(super) ids: Vec<ThinkingId>,
    /// The turn that is to be continued began with thinking, and calls a tool now without it.
    pub(super) breaks_last_turn: bool,
}

/// The blocks of thinking in `body` that `takes` refuses. A message of nothing else leaves as a whole: an empty one is
/// refused, and messages of the same role in a row count as one turn (platform.claude.com/docs, "Messages"). It calls no
/// tool, so that no result loses its call.
pub(super) fn strip<'a>(
    body: Node<'a>,
    mut takes: impl FnMut(ThinkingBlock) -> bool,
) -> StrippedThinking<'a> {
    let mut stripped = StrippedThinking::default();
    let mut is_any_left = false;
    for message in body.get("messages").into_iter().flat_map(Node::elements) {
        // What users and tools say is most of a conversation: it is looked into only where it matters.
        let items = || message.get("content").into_iter().flat_map(Node::elements);
        if !message.get("role").is_some_and(|role| role.is("assistant")) {
            // What is no result of a tool begins a new turn.
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
    // A request without a single message says less than one that is refused.
    if is_any_left { stripped } else { StrippedThinking::default() }
}

/// What has to leave `body` so that it asks for no thinking. A past without thinking takes no part in a turn with it,
/// where thinking has a fixed budget: "Expected `thinking` or `redacted_thinking`, but found `tool_use`". Where the model
/// decides itself, "previous assistant turns don't need to start with thinking blocks" (platform.claude.com/docs,
/// "Adaptive thinking": validation changes); there nothing has to leave.
pub(super) fn switched_off(body: Node<'_>) -> Vec<Node<'_>> {
    let Some(thinking) = body.get("thinking").filter(|thinking| is_of_type(*thinking, "enabled")) else {
        return Vec::new();
    };
    let mut gone = vec![thinking];
    if let Some(management) = body.get("context_management")
        && let Some(edits) = management.get("edits")
    {
        let clears = |edit: &Node<'_>| {
            edit.get("type").and_then(Node::as_str).is_some_and(|kind| kind.starts_with(CLEARS_THINKING))
        };
        let (clearing, others): (Vec<_>, Vec<_>) = edits.elements().partition(clears);
        match others.is_empty() && !clearing.is_empty() {
            true => gone.push(management),
            false => gone.extend(clearing),
        }
    }
    gone
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

/// Whether this is a text of which nothing can be seen. Upstreams other than Claude send such, and Claude refuses a turn
/// that has no other.
fn is_blank(item: Node<'_>) -> bool {
    is_of_type(item, "text")
        && item.get("text").is_none_or(|text| text.as_str().is_some_and(|text| text.trim().is_empty()))
}

fn is_of_type(node: Node<'_>, kind: &str) -> bool {
    node.get("type").is_some_and(|found| found.is(kind))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::body::Edits;

    /// `messages` without the thinking that is signed by `bad`, or by nobody; and whether the last turn is broken.
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
    fn thinking_leaves_and_nothing_else_does() {
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
    fn a_turn_of_thinking_alone_leaves_as_a_whole() {
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
    fn only_the_turn_that_goes_on_has_to_begin_with_thinking() {
        let call = json!({"type": "tool_use", "id": "t", "name": "n", "input": {}});
        let result = user(json!([{"type": "tool_result", "tool_use_id": "t"}]));
        let breaks = |last: Value| left(&json!([user(json!("hi")), turn(last), result])).1;
        assert!(breaks(json!([thinking("bad"), call])));
        assert!(breaks(json!([thinking("bad"), text("a"), thinking("good"), call])));
        assert!(!breaks(json!([thinking("bad"), thinking("good"), call])));
        assert!(!breaks(json!([thinking("good"), thinking("bad"), call])));
        assert!(!breaks(json!([thinking("bad"), text("no tool")])));
        assert!(!breaks(json!([call, thinking("bad")])), "it did not begin with thinking before");
        let first = json!([turn(json!([thinking("bad"), call])), result, turn(json!([call])), result]);
        assert!(left(&first).1, "a turn is all from one question to the next");
        let earlier = json!([turn(json!([thinking("bad"), call])), result, user(json!("go on"))]);
        assert!(!left(&earlier).1);
    }

    #[test]
    fn thinking_is_switched_off_with_what_needs_it() {
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
