//! Resolves `providers`: the settings of every upstream.

mod address;
mod azure;
mod bedrock;
mod capabilities;
mod fallback;
mod headers;
mod keys;
mod kind;
mod limits;
#[cfg(test)]
mod tests;
mod vertex;
mod wrong_address;

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Pooling, ProviderConfig};
use crate::error::{Concern, Fault};
use crate::names::{ModelMapping, ProviderName};
use crate::raw;
use crate::resolve::pem;
use crate::resolve::reporter::{Reporter, millis};
use crate::rules;
use crate::tree::KeyPath;

pub(super) fn resolve_all(
    raw: Vec<raw::Provider>,
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> Vec<ProviderConfig> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut providers = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let own = path.index(index);
        if let Some(name) = &raw.name {
            rules::check_name(name, &own.key("name"), to);
            if let Some(first) = names.get(name) {
                let first = path.index(*first).to_string();
                to.problem(&own.key("name"), Fault::Taken { what: format!("{name:?}"), first });
            } else {
                names.insert(name.clone(), index);
            }
        }
        providers.extend(resolve(raw, &own, to));
    }
    providers
}

fn resolve(mut raw: raw::Provider, path: &KeyPath, to: &mut Reporter<'_>) -> Option<ProviderConfig> {
    let enabled = raw.enabled.unwrap_or(true);
    let kind = kind::resolve(&mut raw, enabled, path, to)?;
    let priority = raw.priority.unwrap_or(1);
    let keys = keys::resolve(raw.keys, priority, enabled, &kind, &path.key("keys"), to);
    let headers = headers::resolve(raw.headers, raw.forward_headers, &kind, path, to);
    let default = ProviderConfig::new(ProviderName::new(raw.name.unwrap_or_default()), kind);
    let provider = ProviderConfig {
        enabled,
        keys,
        headers,
        priority,
        weight: raw.weight.unwrap_or(default.weight),
        pooling: match raw.pooling.strategy {
            Some(raw::PoolingStrategy::LeastLoaded) => Pooling::LeastLoaded,
            Some(raw::PoolingStrategy::RoundRobin) => Pooling::RoundRobin,
            Some(raw::PoolingStrategy::Random) => Pooling::Random,
            Some(raw::PoolingStrategy::Weighted) => Pooling::Weighted,
            None => default.pooling,
        },
        max_wait: millis(raw.pooling.max_wait_ms, default.max_wait),
        models: raw.models,
        discover_models: raw.discover_models.unwrap_or(default.discover_models),
        model_mapping: mapping(raw.model_mapping, &path.key("model_mapping"), to),
        capabilities: capabilities::resolve(raw.capabilities, &path.key("capabilities"), to),
        fetch_images: raw.fetch_images.unwrap_or(default.fetch_images),
        ca_file: raw.ca_file.inspect(|file| check_ca_file(file, enabled, &path.key("ca_file"), to)),
        connect_timeout: millis(raw.connect_timeout_ms, default.connect_timeout),
        first_byte_timeout: millis(raw.first_byte_timeout_ms, default.first_byte_timeout),
        idle_timeout: millis(raw.idle_timeout_ms, default.idle_timeout),
        ..default
    };
    if enabled {
        if raw.weight.is_some() && provider.keys.iter().any(|key| key.key.is_some()) {
            to.warning(&path.key("weight"), Concern::Overridden { by: "keys" });
        }
        address::check_cleartext(&provider, path, to);
    }
    Some(provider)
}

fn mapping(raw: BTreeMap<String, String>, path: &KeyPath, to: &mut Reporter<'_>) -> ModelMapping {
    for (name, target) in &raw {
        rules::check_mapping(name, target, &path.key(name), to);
    }
    raw.into_iter().collect()
}

/// Refuses a file without certificates. A file of a disabled provider may be missing.
fn check_ca_file(file: &Path, enabled: bool, path: &KeyPath, to: &mut Reporter<'_>) {
    match enabled {
        true => pem::check_certificates(file, path, to),
        false => drop(to.check_path(file, path)),
    }
}
