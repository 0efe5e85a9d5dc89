//! The rules of the capability table apply to a model in every vendor's spelling of its name.

use relay_messages::{Adapter, Edits, MessagesBody};

/// A request with everything that the table decides by the generation of the model.
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}],
    "output_config":{"effort":"low"},"tools":[{"name":"t","defer_loading":true}],
    "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#;

const MODELS: [&str; 20] = [
    "claude-3-haiku",
    "claude-3-5-haiku",
    "claude-3-7-sonnet",
    "claude-opus-4",
    "claude-sonnet-4",
    "claude-opus-4-1",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
    "claude-opus-4-5",
    "claude-sonnet-4-6",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-sonnet-5",
    "claude-opus-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-fable-5",
    "claude-fable-5-2",
    "claude-mythos-5-1",
];

const PREFIXES: [&str; 7] = [
    "",
    "anthropic.",
    "us.anthropic.",
    "eu.anthropic.",
    "apac.anthropic.",
    "global.anthropic.",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.",
];

const SUFFIXES: [&str; 8] =
    ["", "-20260115", "@20260115", "@latest", "-v1", "-v1:0", "-20260115-v1:0", "[1m]"];

/// Returns the body and the betas that the upstream of `adapter` receives for `model`.
fn adapted(adapter: &Adapter, model: &str) -> (String, Vec<String>) {
    let body = MessagesBody::parse(BODY.into()).expect("a request");
    let betas: Vec<String> =
        ["advanced-tool-use-2025-11-20", "effort-2025-11-24"].map(str::to_owned).to_vec();
    let mut edits = Edits::default();
    let sent = adapter.adapt(model, &body, &betas, &mut edits).unwrap_or_default();
    let sent = sent.into_iter().map(str::to_owned).collect();
    let bytes = edits.apply(&body).pieces().flat_map(|piece| piece.to_vec()).collect();
    (String::from_utf8(bytes).expect("UTF-8"), sent)
}

#[test]
fn the_spelling_of_a_model_does_not_change_its_rules() {
    for kind in ["bedrock", "vertex", "azure"] {
        let adapter = Adapter::of(kind);
        for model in MODELS {
            let expected = adapted(&adapter, model);
            for prefix in PREFIXES {
                for suffix in SUFFIXES {
                    let name = format!("{prefix}{model}{suffix}");
                    assert_eq!(adapted(&adapter, &name), expected, "{kind} {name}");
                }
            }
        }
    }
}

#[test]
fn generations_differ_as_the_vendors_document() {
    for kind in ["bedrock", "vertex"] {
        let adapter = Adapter::of(kind);
        for (model, expected) in [
            ("claude-3-5-haiku", (true, false)),
            ("claude-opus-4-1", (true, false)),
            ("claude-sonnet-4-5", (true, false)),
            ("claude-opus-4-5", (true, true)),
            ("claude-sonnet-4-6", (true, true)),
            ("claude-sonnet-5", (true, true)),
            ("claude-opus-4-7", (false, true)),
            ("claude-sonnet-5-5", (false, true)),
            ("claude-fable-5", (false, true)),
            ("claude-mythos-5-1", (false, true)),
        ] {
            let (body, _) = adapted(&adapter, model);
            let (folds, has_effort) = (!body.contains(r#""role":"system""#), body.contains("effort"));
            assert_eq!((folds, has_effort), expected, "{kind} {model}");
        }
    }
}
