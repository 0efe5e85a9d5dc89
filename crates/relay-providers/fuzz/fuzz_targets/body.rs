//! A request body: what is accepted parses elsewhere, and an edit changes the model alone.
#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use relay_providers::{Edits, MessagesBody};
use serde::de::IgnoredAny;

fuzz_target!(|data: &[u8]| {
    let Ok(body) = MessagesBody::parse(Bytes::copy_from_slice(data)) else { return };
    let text = std::str::from_utf8(data).expect("an accepted body is UTF-8");
    // Half a surrogate pair in a key is JSON by its grammar, but no key that a map of strings could hold.
    if !text.contains("\\u") {
        serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text).expect("an accepted body is a JSON object");
    }
    let mut edits = Edits::default();
    edits.set_model(&body, "another \"model\"");
    edits.insert("first", "null");
    edits.remove(&body, "stream");
    let edited: Vec<u8> = edits.apply(&body).pieces().flat_map(|piece| piece.to_vec()).collect();
    let edited = MessagesBody::parse(edited.into()).expect("an edited body is a body");
    assert_eq!(&**edited.model(), "another \"model\"");
    assert!(!edited.is_stream());
    assert_eq!(edited.messages(), body.messages());
});
