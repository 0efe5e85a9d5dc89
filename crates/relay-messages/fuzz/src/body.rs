//! Request bodies: each accepted body is valid JSON for `serde_json` too, and an edit at any depth changes only the values
//! that it names.

use std::collections::BTreeMap;

use bytes::Bytes;
use relay_messages::{Edits, MessagesBody, Node};
use serde::de::IgnoredAny;

/// Checks one input of the fuzzer.
///
/// # Panics
/// If a rule above does not hold.
pub fn check(data: &[u8]) {
    let Ok(body) = MessagesBody::parse(Bytes::copy_from_slice(data)) else { return };
    let text = std::str::from_utf8(data).expect("an accepted body is UTF-8");
    // The grammar of JSON allows half a surrogate pair in a key, but a map of strings cannot hold such a key.
    if !text.contains("\\u") {
        serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text)
            .expect("an accepted body is a JSON object");
    }
    let mut edits = Edits::default();
    edits.set_model(&body, "another \"model\"");
    edits.insert(&body, "first", "null");
    edits.remove(&body, "stream");
    let edited: Vec<u8> = edits.apply(&body).pieces().flat_map(|piece| piece.to_vec()).collect();
    let edited = MessagesBody::parse(edited.into()).expect("an edited body is a body");
    assert_eq!(&**edited.model(), "another \"model\"");
    assert!(!edited.is_stream());
    assert_eq!(edited.messages(), body.messages());

    let mut edits = Edits::default();
    if let Some(messages) = body.view("messages") {
        thin(messages, data.len(), &mut edits);
        let rendered = edits.render(&body, messages);
        serde_json::from_slice::<IgnoredAny>(&rendered).expect("a value stays one");
        let edited: Vec<u8> = edits.apply(&body).pieces().flat_map(|piece| piece.to_vec()).collect();
        let edited = MessagesBody::parse(edited.into()).expect("an edited body is a body");
        assert_eq!(edited.messages(), Some(rendered));
        assert_eq!(edited.system(), body.system());
    }
}

/// Removes, replaces or adds an item at about every third place, without recursion since bodies may nest
/// deeply.
fn thin(root: Node<'_>, seed: usize, edits: &mut Edits) {
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        let children = node.elements().chain(node.members());
        for child in children {
            match (child.span().start ^ seed) % 9 {
                0 => edits.remove_at(child),
                1 => edits.replace_at(child, Bytes::from_static(b"[{}]")),
                _ => open.push(child),
            }
        }
        match node.text()[0] {
            b'[' if seed.is_multiple_of(2) => edits.push_at(node, Bytes::from_static(b"{}")),
            b'{' if !seed.is_multiple_of(2) => edits.push_at(node, Bytes::from_static(b"\"added\":[]")),
            _ => {}
        }
    }
}
