//! The adaptation of requests: for every kind of upstream, an adapted body is valid JSON with the client's model, if the
//! upstream reads the model from the body. The first byte selects the rules' model.

use bytes::Bytes;
use relay_messages::{Adapter, Edits, MessagesBody, estimate_tokens};
use serde::de::IgnoredAny;

const KINDS: [&str; 10] = [
    "anthropic",
    "zai",
    "ollama",
    "bedrock",
    "azure",
    "vertex",
    "minimax",
    "deepseek",
    "moonshot",
    "openrouter",
];
const MODELS: [&str; 4] =
    ["claude-opus-5-5", "us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-haiku-4-5@20251001", "qwen3"];

fn adapt(adapter: &Adapter, model: &str, body: &MessagesBody, betas: &[String]) -> Option<Bytes> {
    let mut edits = Edits::default();
    adapter.adapt(model, body, betas, &mut edits)?;
    Some(edits.apply(body).pieces().flat_map(|piece| piece.to_vec()).collect::<Vec<u8>>().into())
}

/// Checks one input of the fuzzer.
///
/// # Panics
/// If a rule above does not hold.
pub fn check(input: &[u8]) {
    let Some((&first, text)) = input.split_first() else { return };
    let Ok(body) = MessagesBody::parse(Bytes::copy_from_slice(text)) else { return };
    let _ = estimate_tokens(&body);
    let model = MODELS[usize::from(first) % MODELS.len()];
    let betas = ["context-management-2025-06-27".to_owned(), "advanced-tool-use-2025-11-20".to_owned()];
    for kind in KINDS {
        let adapter = Adapter::of(kind);
        let _ = adapter.unsupported(model, &body);
        let Some(adapted) = adapt(&adapter, model, &body, &betas) else { continue };
        serde_json::from_slice::<IgnoredAny>(&adapted).expect("an adapted body is JSON");
        // The clouds have the model in the path.
        if !["bedrock", "vertex"].contains(&kind) {
            let again = MessagesBody::parse(adapted).expect("an adapted body is a body");
            assert_eq!(again.model(), body.model());
        }
    }
}
