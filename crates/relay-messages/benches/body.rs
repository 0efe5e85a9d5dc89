//! The cost of scanning a request body and changing its model. The baselines are a copy of the bytes, and the
//! usual way of a proxy: parsing into a tree and serializing it again.
//!
//! ```sh
//! cargo bench -p relay-messages --bench body
//! ```
//! The bodies have the shape of Claude Code's requests: `model` first, `stream` last, and text with many
//! escapes between them.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use relay_messages::{Edits, MessagesBody, Node};
use serde_json::Value;

const SIZES: [usize; 3] = [1_000, 150_000, 1_000_000];

fn main() {
    divan::main();
}

/// Returns a body of about `size` bytes: one third code with escapes, one third prose, one third prose in
/// non-ASCII text.
fn body(size: usize) -> Bytes {
    let code = "fn main() {\n    println!(\"hello, {}\", name);\n}\n";
    let prose = "The relay stands between a client and its upstreams, and makes them look like one. ";
    let foreign = "Größe, naïveté, 中文字符, и немного кириллицы. ";
    let text = [code, prose, foreign].map(|part| part.repeat(1 + size / 3 / part.len())).concat();
    let messages = serde_json::json!([{ "role": "user", "content": [{ "type": "text", "text": text }] }]);
    format!(r#"{{"model":"claude-opus-5-5","messages":{messages},"max_tokens":64000,"stream":true}}"#).into()
}

#[divan::bench(args = SIZES)]
fn copy(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher.counter(BytesCount::new(body.len())).bench(|| black_box(&body).to_vec());
}

#[divan::bench(args = SIZES)]
fn scan_and_edit(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let body = MessagesBody::parse(black_box(&body).clone()).expect("a Messages body");
        let mut edits = Edits::default();
        edits.set_model(&body, "glm-5.3");
        edits.apply(&body)
    });
}

#[divan::bench(args = SIZES)]
fn tree_and_print(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let mut body: Value = serde_json::from_slice(black_box(&body)).expect("a Messages body");
        body["model"] = "glm-5.3".into();
        serde_json::to_vec(&body)
    });
}

/// The cost of edits that have to visit every block of every message.
#[divan::bench(args = SIZES)]
fn scan_and_edit_within(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let body = MessagesBody::parse(black_box(&body).clone()).expect("a Messages body");
        let mut edits = Edits::default();
        let messages = body.view("messages").into_iter().flat_map(Node::elements);
        for block in messages.filter_map(|message| message.get("content")).flat_map(Node::elements) {
            block
                .members()
                .filter(|member| member.is_called("type"))
                .for_each(|member| edits.remove_at(member));
        }
        edits.apply(&body)
    });
}
