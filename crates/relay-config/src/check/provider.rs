//! Checks the `providers` settings.

use std::collections::HashMap;

use super::checker::Checker;
use crate::cloud::{aws, azure, google};
use crate::config::{
    AwsCredentials, AzureConfig, BedrockConfig, KeyConfig, KeyLimits, ProviderConfig, ProviderKind,
    VertexConfig,
};
use crate::error::Fault;
use crate::kinds::KeyNeed;
use crate::rules::{self, Problems, headers};
use crate::secret::Secret;
use crate::tree::KeyPath;

/// A limit of a key: the name of the setting, and its value.
type Limit = (&'static str, fn(&KeyLimits) -> Option<u64>);

const LIMITS: [Limit; 4] = [
    ("rpm_limit", |limits| limits.requests.map(Into::into)),
    ("tpm_limit", |limits| limits.tokens.map(Into::into)),
    ("itpm_limit", |limits| limits.input_tokens.map(Into::into)),
    ("otpm_limit", |limits| limits.output_tokens.map(Into::into)),
];

pub(super) fn check_all(providers: &[ProviderConfig], path: &KeyPath, to: &mut Checker) {
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (index, provider) in providers.iter().enumerate() {
        let own = path.index(index);
        let name = provider.name.as_str();
        to.text(&own.key("name"), name);
        rules::check_name(name, &own.key("name"), to);
        let first = *names.entry(name).or_insert(index);
        if first != index {
            let first = path.index(first).to_string();
            to.problem(&own.key("name"), Fault::Taken { what: format!("{name:?}"), first });
        }
        check(provider, &own, to);
    }
}

fn check(provider: &ProviderConfig, path: &KeyPath, to: &mut Checker) {
    let need = provider.kind.key_need();
    let is_empty = provider.keys.is_empty();
    rules::check_need(need, is_empty, provider.enabled, &provider.kind, &path.key("keys"), to);
    check_keys(provider, need, &path.key("keys"), to);
    headers::check(&provider.headers, &provider.kind, path, to);
    to.duration(&path.key("pooling").key("max_wait_ms"), provider.max_wait);
    to.duration(&path.key("connect_timeout_ms"), provider.connect_timeout);
    to.duration(&path.key("first_byte_timeout_ms"), provider.first_byte_timeout);
    to.duration(&path.key("idle_timeout_ms"), provider.idle_timeout);
    for (index, model) in provider.models.iter().enumerate() {
        to.text(&path.key("models").index(index), model);
    }
    for (name, target) in provider.model_mapping.entries() {
        let path = path.key("model_mapping").key(name);
        rules::check_mapping(name, target, &path, to);
        to.text(&path, target);
    }
    if provider.discover_models && provider.kind.spec().model_list.is_none() {
        to.problem(&path.key("discover_models"), Fault::NotForType { kind: provider.kind.as_str() });
    }
    match &provider.kind {
        ProviderKind::Bedrock(config) => check_bedrock(config, provider.enabled, path, to),
        ProviderKind::Azure(config) => check_azure(config, path, to),
        ProviderKind::Vertex(config) => check_vertex(config, path, to),
        _ => {}
    }
}

fn check_keys(provider: &ProviderConfig, need: KeyNeed, path: &KeyPath, to: &mut Checker) {
    let named: Vec<_> =
        provider.keys.iter().map(|key| (key.key.as_ref().map(Secret::expose), key.name.as_deref())).collect();
    rules::keys::check(&named, path, to);
    for (index, KeyConfig { key, limits, organization, .. }) in provider.keys.iter().enumerate() {
        let path = path.index(index);
        let own = path.key("key");
        match key {
            Some(key) => {
                to.secret(&own, key);
                rules::check_key(key.expose(), &own, to);
            }
            None if need != KeyNeed::NeverSent && provider.enabled => {
                to.problem(&own, Fault::Missing { expected: "add the credential".to_owned() });
            }
            None => {}
        }
        for (name, limit) in LIMITS {
            if let Some(limit) = limit(limits) {
                to.number(&path.key(name), limit);
            }
        }
        if let Some(organization) = organization {
            to.text(&path.key("organization"), organization);
        }
    }
    for (name, limit) in LIMITS {
        let limits: Vec<_> =
            provider.keys.iter().map(|key| (key.organization.as_deref(), limit(&key.limits))).collect();
        rules::check_shared_limit(name, &limits, path, to);
    }
}

fn check_bedrock(config: &BedrockConfig, enabled: bool, path: &KeyPath, to: &mut Checker) {
    let check = |key: &str, result: Result<(), Fault>, to: &mut Checker| {
        if let Err(fault) = result {
            to.problem(&path.key(key), fault);
        }
    };
    if let Some(region) = &config.region {
        check("aws_region", aws::check_region(region), to);
    }
    let secrets = match &config.credentials {
        AwsCredentials::Keys { access_key_id, secret_access_key, session_token } => vec![
            ("aws_access_key_id", Some(access_key_id)),
            ("aws_secret_access_key", Some(secret_access_key)),
            ("aws_session_token", session_token.as_ref()),
        ],
        AwsCredentials::BearerToken(token) => vec![("aws_bearer_token", Some(token))],
        _ => Vec::new(),
    };
    for (key, secret) in secrets {
        let Some(secret) = secret else { continue };
        to.secret(&path.key(key), secret);
        rules::check_key(secret.expose(), &path.key(key), to);
    }
    let needs_region = match config.credentials {
        AwsCredentials::Keys { .. } => true,
        AwsCredentials::BearerToken(_) => config.base_url.is_none(),
        // The region may come from the environment or from the profile.
        _ => false,
    };
    if enabled && needs_region && config.region.is_none() {
        let expected = "give the region, as in us-east-1".to_owned();
        to.problem(&path.key("aws_region"), Fault::Missing { expected });
    }
    if let Some(guardrail) = &config.guardrail {
        rules::check_guardrail(&guardrail.id, &guardrail.version, &path.key("bedrock_guardrail"), to);
        rules::check_guardrail_endpoint(config, path, to);
    }
}

fn check_azure(config: &AzureConfig, path: &KeyPath, to: &mut Checker) {
    if let Some(Err(fault)) = config.api_version.as_deref().map(azure::check_api_version) {
        to.problem(&path.key("azure_api_version"), fault);
    }
}

fn check_vertex(config: &VertexConfig, path: &KeyPath, to: &mut Checker) {
    if let Err(fault) = google::check_region(&config.region) {
        to.problem(&path.key("gcp_region"), fault);
    }
    if let Some(Err(fault)) = config.project.as_deref().map(google::check_project) {
        to.problem(&path.key("gcp_project_id"), fault);
    }
}
