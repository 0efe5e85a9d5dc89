//! The examples of kinds that were not found.

use relay_config::{Discovery, DiscoverySource, KINDS, KindSpec};

use super::entry::Entry;
use super::lines;

/// Returns an example of each kind, in the order of priority, with the way to have it found.
pub(super) fn entries(discovery: &Discovery) -> Vec<Entry> {
    let listed = KINDS.iter().filter(|spec| spec.name != "mock");
    listed.map(|spec| commented(example(spec), spec, discovery)).collect()
}

fn commented(entry: Entry, spec: &KindSpec, discovery: &Discovery) -> Entry {
    let about = discovery.missing.iter().chain(&discovery.faults);
    let missing = about.filter(|line| lines::is_about(line, spec.name));
    let mut comments = vec![spec.description.to_owned()];
    comments.extend(missing.map(|line| format!("Not found: {line}.")));
    Entry { comments, ..entry }
}

fn example(spec: &KindSpec) -> Entry {
    let entry = Entry::new(spec.name, spec.name, false);
    let mapped = |target: &str| [("claude-*".to_owned(), target.to_owned())];
    match (spec.name, spec.discovery) {
        ("bedrock", _) => entry
            .with_text("aws_region", "us-east-1")
            .with_text("aws_profile", "work")
            .with_mapping(mapped("us.anthropic.claude-opus-5-5")),
        ("azure", _) => entry.with_text("azure_resource_name", "my-resource").with_key_of("AZURE_API_KEY"),
        ("vertex", _) => entry.with_text("gcp_project_id", "my-project").with_text("gcp_region", "global"),
        ("ollama", _) => entry.with_mapping(mapped("qwen3-coder")),
        ("anthropic_compatible", _) => Entry::new("other", spec.name, false)
            .with_text("base_url", "https://llm.example.com/anthropic")
            .with_text("auth", "bearer")
            .with_key_of("OTHER_API_KEY"),
        (_, DiscoverySource::Key(variable)) => entry.with_key_of(variable),
        _ => entry,
    }
}
