//! Resolves the `routing` section.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::config::{Affinity, RoutingConfig, Strategy, StreamBreak};
use crate::error::Concern;
use crate::names::ProviderName;
use crate::raw;
use crate::resolve::reporter::{Reporter, millis};
use crate::rules;
use crate::tree::KeyPath;

/// Resolves the section; `names` are the names of all providers.
pub(super) fn resolve(
    raw: raw::Routing,
    names: &[String],
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> RoutingConfig {
    let default = RoutingConfig::default();
    let strategy = match raw.strategy {
        Some(raw::Strategy::Failover) => Strategy::Failover,
        Some(raw::Strategy::RoundRobin) => Strategy::RoundRobin,
        Some(raw::Strategy::WeightedRoundRobin) => Strategy::WeightedRoundRobin,
        Some(raw::Strategy::Shuffle) => Strategy::Shuffle,
        Some(raw::Strategy::ModelBased) => Strategy::ModelBased,
        Some(raw::Strategy::LeastLoaded) => Strategy::LeastLoaded,
        Some(raw::Strategy::CostBased) => Strategy::CostBased,
        Some(raw::Strategy::LatencyBased) => Strategy::LatencyBased,
        None => default.strategy,
    };
    let mapping_path = path.key("model_mapping");
    let default_path = path.key("default_provider");
    if strategy != Strategy::ModelBased {
        let unread =
            [(&mapping_path, !raw.model_mapping.is_empty()), (&default_path, raw.default_provider.is_some())];
        for (path, _) in unread.into_iter().filter(|(_, is_set)| *is_set) {
            to.warning(path, Concern::OtherStrategy { strategy: strategy.as_str() });
        }
    }
    RoutingConfig {
        strategy,
        failover_timeout: millis(raw.failover_timeout, default.failover_timeout),
        max_attempts: raw.max_attempts.and_then(NonZeroU32::new).unwrap_or(default.max_attempts),
        debug: raw.debug.unwrap_or(default.debug),
        strict_models: raw.strict_models.unwrap_or(default.strict_models),
        restore_model_name: raw.restore_model_name.unwrap_or(default.restore_model_name),
        affinity: match raw.affinity {
            Some(raw::Affinity::Session) => Affinity::Session,
            Some(raw::Affinity::None) => Affinity::None,
            None => default.affinity,
        },
        on_stream_break: match raw.on_stream_break {
            Some(raw::OnStreamBreak::Abort) => StreamBreak::Abort,
            Some(raw::OnStreamBreak::ErrorEvent) => StreamBreak::ErrorEvent,
            None => default.on_stream_break,
        },
        model_mapping: mapping(raw.model_mapping, names, &mapping_path, to),
        default_provider: raw.default_provider.map(|name| provider(name, names, &default_path, to)),
    }
}

fn mapping(
    raw: BTreeMap<String, String>,
    names: &[String],
    path: &KeyPath,
    to: &mut Reporter<'_>,
) -> BTreeMap<String, ProviderName> {
    let mut mapping = BTreeMap::new();
    for (prefix, name) in raw {
        let path = path.key(&prefix);
        rules::check_prefix(&prefix, &path, to);
        let name = provider(name, names, &path, to);
        mapping.insert(prefix, name);
    }
    mapping
}

fn provider(name: String, names: &[String], path: &KeyPath, to: &mut Reporter<'_>) -> ProviderName {
    rules::check_known(&name, names.iter().map(String::as_str), path, to);
    ProviderName::new(name)
}
