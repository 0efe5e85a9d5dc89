//! Tests that the seals of a body, which the scan collects, show no less thinking than a walk over its messages.

use std::cell::Cell;

use proptest::prelude::*;
use relay_stream::thinking::ThinkingId;

use super::thinking::{ThinkingBlock, strip};
use crate::body::{Edits, MessagesBody, Node, Payload};

const GOOD: &[u8] = b"good";

/// Returns `true` if a walk over the messages of `payload` finds thinking without the signature `good`.
fn walk_finds_bad(payload: &Payload) -> bool {
    let text = payload.to_bytes();
    let is_bad = Cell::new(false);
    strip(Node::parse(&text).unwrap(), |block| {
        let takes = block == ThinkingBlock::Signed(ThinkingId::of(GOOD));
        is_bad.set(is_bad.get() || !takes);
        takes
    });
    is_bad.get()
}

fn all_good(payload: &Payload) -> Option<bool> {
    payload.seals().all(|seal| seal == GOOD)
}

fn body(content: &str) -> MessagesBody {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"assistant","content":[{content}]}}]}}"#);
    MessagesBody::parse(body.into()).unwrap()
}

#[track_caller]
fn check(content: &str, expected: Option<bool>) {
    let payload = Edits::default().apply(&body(content));
    assert_eq!(all_good(&payload), expected, "{content}");
    assert!(!walk_finds_bad(&payload) || expected != Some(true), "{content}");
}

#[test]
fn the_seals_of_thinking_blocks_are_found_in_any_order_of_members() {
    let text = r#"{"type":"text","text":"thinking","signature":"bad"}"#;
    let good = r#"{"type":"thinking","thinking":"a","signature":"good"}"#;
    check(text, Some(true));
    check(good, Some(true));
    check(
        r#"{"signature":"good","thinking":"a","type":"thinking"},{"type":"redacted_thinking","data":"good"}"#,
        Some(true),
    );
    check(&format!(r#"{good},{text},{{"type":"thinking","signature":"bad"}}"#), Some(false));
    check(&format!(r#"{good},{{"type":"redacted_thinking","data":"bad","signature":"good"}}"#), Some(false));
}

#[test]
fn the_seals_are_unknown_beside_a_block_without_one_or_with_an_unusual_one() {
    for block in [
        r#"{"type":"thinking","thinking":"a"}"#,
        r#"{"type":"thinking","data":"good"}"#,
        r#"{"type":"thinking","signature":""}"#,
        r#"{"type":"thinking","signature":null}"#,
        r#"{"type":"thinking","signature":["good"]}"#,
        r#"{"type":"thinking","signature":"\ud800"}"#,
        r#"{"type":"thinking","signature":"good","signature":null}"#,
        r#"{"signature":"good","sign\u0061ture":"bad","type":"thinking"}"#,
        r#"{"type":"th\u0069nking","thinking":"a"}"#,
        r#"{"type":"thinking","a":{"type":"thinking","signature":"good"},"signature":"bad"}"#,
    ] {
        check(block, None);
    }
}

#[test]
fn the_seals_are_unknown_after_an_edit_of_a_block_and_known_after_other_edits() {
    let body = body(r#"{"type":"thinking","signature":"good","a":{"b":1}},{"type":"text","text":"a"}"#);
    let message = body.view("messages").and_then(|messages| messages.elements().next()).unwrap();
    let blocks: Vec<_> = message.get("content").unwrap().elements().collect();
    let check = |change: &dyn Fn(&mut Edits), expected| {
        let mut edits = Edits::default();
        change(&mut edits);
        assert_eq!(all_good(&edits.apply(&body)), expected);
    };
    let [signature, other] = ["signature", "a"].map(|name| blocks[0].get(name).unwrap());
    check(&|edits| edits.set_model(&body, "n"), Some(true));
    check(&|edits| edits.remove_at(other), Some(true));
    check(&|edits| edits.remove_at(blocks[1]), Some(true));
    check(&|edits| edits.remove_at(signature), None);
    check(&|edits| edits.remove_at(blocks[0]), None);
    check(&|edits| edits.replace_at(signature, "\"bad\"".into()), None);
    check(&|edits| edits.push_at(message.get("content").unwrap(), r#"{"type":"thinking"}"#.into()), None);
}

fn member() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        r#""type":"thinking""#,
        r#""type":"redacted_thinking""#,
        r#""type":"text""#,
        r#""type":null"#,
        r#""typ\u0065":"thinking""#,
        r#""type":"th\u0069nking""#,
        r#""signature":"good""#,
        r#""signature":"bad""#,
        r#""signature":"""#,
        r#""signature":null"#,
        r#""signature":["good"]"#,
        r#""sign\u0061ture":"bad""#,
        r#""data":"good""#,
        r#""data":"bad""#,
        r#""cache_control":{"type":"ephemeral"}"#,
        r#""a":{"signature":"good","data":"good"}"#,
        r#""a":[{"type":"thinking","signature":"good"}]"#,
        r#""a":[{"type":"thinking"}]"#,
    ])
}

proptest! {
    #[test]
    fn no_thinking_that_a_walk_finds_is_missed(
        blocks in prop::collection::vec(prop::collection::vec(member(), 0..5), 0..4), changes: [u8; 8],
    ) {
        let blocks: Vec<_> = blocks.iter().map(|members| format!("{{{}}}", members.join(","))).collect();
        let body = body(&blocks.join(","));
        let mut edits = Edits::default();
        let message = body.view("messages").and_then(|messages| messages.elements().next()).unwrap();
        let members = message.get("content").into_iter().flat_map(Node::elements).flat_map(Node::members);
        for (member, change) in members.zip(changes) {
            match change {
                0..40 => edits.remove_at(member),
                40..60 => edits.replace_at(member, "\"thinking\"".into()),
                _ => {}
            }
        }
        for payload in [Edits::default().apply(&body), edits.apply(&body)] {
            prop_assert!(!walk_finds_bad(&payload) || all_good(&payload) != Some(true), "{:?}", payload.to_bytes());
        }
    }
}
