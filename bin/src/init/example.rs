//! The examples of kinds that were not found.

use relay_config::{Discovery, DiscoverySource, KINDS, KindSpec};

use super::entry::{Entry, Value};

/// Returns an example of each kind, in the order of priority, with the way to have it found.
pub(super) fn entries(discovery: &Discovery) -> Vec<Entry> {
    let listed = KINDS.iter().filter(|spec| spec.name != "mock");
    listed.map(|spec| commented(example(spec), spec, discovery)).collect()
}

fn commented(entry: Entry, spec: &KindSpec, discovery: &Discovery) -> Entry {
    let missing =
        discovery.missing.iter().find(|line| line.split([' ', ',', ';']).any(|word| word == spec.name));
    let mut comments = vec![spec.description.to_owned()];
    comments.extend(missing.map(|line| format!("Not found: {line}.")));
    Entry { comments, ..entry }
}

fn example(spec: &KindSpec) -> Entry {
    let entry = Entry::new(spec.name, spec.name, false);
    let key = |variable: &str| Value::Key(variable.to_owned());
    let mapped = |target: &str| Value::Map(vec![("claude-*".to_owned(), target.to_owned())]);
    match (spec.name, spec.discovery) {
        ("bedrock", _) => entry
            .with("aws_region", Value::text("us-east-1"))
            .with("aws_profile", Value::text("work"))
            .with("model_mapping", mapped("us.anthropic.claude-opus-5-5")),
        ("azure", _) => {
            entry.with("azure_resource_name", Value::text("my-resource")).with("keys", key("AZURE_API_KEY"))
        }
        ("vertex", _) => {
            entry.with("gcp_project_id", Value::text("my-project")).with("gcp_region", Value::text("global"))
        }
        ("ollama", _) => entry.with("model_mapping", mapped("qwen3-coder")),
        ("anthropic_compatible", _) => Entry::new("other", spec.name, false)
            .with("base_url", Value::text("https://llm.example.com/anthropic"))
            .with("auth", Value::text("bearer"))
            .with("keys", key("OTHER_API_KEY")),
        (_, DiscoverySource::Key(variable)) => entry.with("keys", key(variable)),
        _ => entry,
    }
}
