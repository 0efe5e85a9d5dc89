//! The entries of providers that were found.

use relay_config::{
    AwsCredentials, CloudFiles, Discovery, DiscoverySource, Document, KINDS, ModelRule, ProviderConfig,
    ProviderKind,
};

use super::entry::Entry;
use super::lines;
use crate::settings::variable;

/// Returns the entry of a discovered provider, with comments about its sources.
pub(super) fn entry(provider: &ProviderConfig, discovery: &Discovery, cloud: &CloudFiles) -> Entry {
    let (name, kind) = (provider.name.as_str(), provider.kind.as_str());
    let mut entry =
        Entry::new(name, kind, true).with("priority", Document::Number(provider.priority.to_string()));
    let spec = KINDS.iter().find(|spec| spec.name == kind);
    entry.comments.extend(spec.map(|spec| spec.description.to_owned()));
    // The other lines are about the models, which the mapping shows.
    let about = discovery.found.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    entry.comments.extend(about.map(|line| format!("Found: {}.", lines::with_sources(line, cloud))));
    let faults = discovery.faults.iter().filter(|line| lines::is_about(line, name));
    entry.comments.extend(faults.map(|line| format!("Attention: {line}.")));
    if let (true, Some(variable)) = (provider.keys.is_empty(), key_variable(provider)) {
        let line =
            format!("For a key of its own, set {variable} and add `keys: [{{ key: ${{{variable}}} }}]`.");
        entry.comments.push(line);
    }
    let entry = of_kind(entry, provider, cloud);
    let entry = match key_variable(provider) {
        Some(variable) if !provider.keys.is_empty() => entry.with_key_of(&variable),
        _ => entry,
    };
    entry.with_mapping(mapping(provider))
}

/// Adds the settings that only the kind of the provider has.
fn of_kind(entry: Entry, provider: &ProviderConfig, cloud: &CloudFiles) -> Entry {
    match &provider.kind {
        ProviderKind::Ollama { base_url, .. } => entry.with_text("base_url", base_url.to_string()),
        ProviderKind::Bedrock(config) => {
            let entry =
                config.region.iter().fold(entry, |entry, region| entry.with_text("aws_region", region));
            let selected = variable("AWS_PROFILE").map(|profile| profile.trim().to_owned());
            let selected =
                selected.filter(|profile| !profile.is_empty()).or_else(|| cloud.aws_profile.clone());
            let has_keys = variable("AWS_ACCESS_KEY_ID").is_some_and(|key| !key.trim().is_empty());
            let is_selected = config.credentials == AwsCredentials::DefaultChain && !has_keys;
            match selected.filter(|_| is_selected) {
                Some(profile) => other_profiles(entry, cloud, &profile).with_text("aws_profile", profile),
                None => entry,
            }
        }
        ProviderKind::Vertex(config) => {
            let entry = config
                .project
                .iter()
                .fold(entry, |entry, project| entry.with_text("gcp_project_id", project));
            entry.with_text("gcp_region", &config.region)
        }
        ProviderKind::Azure(_) => {
            let resource = variable("AZURE_RESOURCE_NAME").unwrap_or_default();
            entry.with_text("azure_resource_name", resource.trim())
        }
        _ => entry,
    }
}

fn other_profiles(entry: Entry, cloud: &CloudFiles, profile: &str) -> Entry {
    let others: Vec<_> =
        cloud.aws_profiles.iter().map(String::as_str).filter(|other| *other != profile).collect();
    match others.is_empty() {
        true => entry,
        false => entry.with_comment(format!("Other AWS profiles with credentials: {}.", others.join(", "))),
    }
}

/// Returns the variable that holds the key of a discovered provider.
fn key_variable(provider: &ProviderConfig) -> Option<String> {
    let spec = KINDS.iter().find(|spec| spec.name == provider.kind.as_str())?;
    match spec.discovery {
        DiscoverySource::Key(variable) => Some(variable.to_owned()),
        DiscoverySource::CloudCredentials if spec.name == "azure" => Some("AZURE_API_KEY".to_owned()),
        _ => None,
    }
}

/// Returns the names of models with those of the upstream.
fn mapping(provider: &ProviderConfig) -> Vec<(String, String)> {
    let mapping = &provider.model_mapping;
    let entries = mapping.entries().map(|(name, target)| (name.to_owned(), target.to_owned()));
    let made = mapping.rule().into_iter().flat_map(ModelRule::known_names);
    entries.chain(made.map(|(name, target)| (name.to_owned(), target))).collect()
}
