//! Builds the configured providers.

use std::cell::OnceCell;
use std::sync::Arc;

use relay_config::{Config, HealthConfig, ProviderKind, ProviderName, ThinkingSignatures};
use relay_messages::{RefusalMemory, SignatureOwner, ThinkingProvenance};
use relay_providers::{ExtraHeaders, Forward, adapter_for};
use relay_routing::{CircuitSettings, ProviderPool};
use relay_transport::{Network, Transport, TransportSettings, TrustRoots};

use super::candidates::ProviderStack;
use super::images::image_layer;
use crate::build_error::BuildError;
use crate::catalog;
use crate::discovery::Discovery;
use crate::options::Options;

/// The parts of the relay that are built per provider.
pub(crate) struct BuiltProviders {
    /// The providers with their candidates, in the order of the configuration.
    pub(crate) pools: Vec<ProviderPool>,
    /// The memory of refused fields of each provider.
    pub(crate) refusals: Vec<(ProviderName, RefusalMemory)>,
    /// The upstreams for the rest of Anthropic's API, highest priority first.
    pub(crate) forwards: Vec<(ProviderName, Forward)>,
    /// The providers whose upstreams list their models.
    pub(crate) discoveries: Vec<Discovery>,
}

/// Builds every provider that is enabled.
///
/// # Errors
/// [`BuildError`] for the first provider that cannot be built.
pub(crate) fn build_providers(
    config: &Config,
    options: &Options,
    signatures: &ThinkingProvenance,
) -> Result<BuiltProviders, BuildError> {
    let roots = TrustRoots::load();
    let mut parts = BuiltProviders {
        pools: Vec::new(),
        refusals: Vec::new(),
        forwards: Vec::new(),
        discoveries: Vec::new(),
    };
    let mut ranked = Vec::new();
    for provider in config.providers.iter().filter(|provider| provider.enabled) {
        let name = || provider.name.to_string();
        let settings = TransportSettings::default()
            .with_connect_timeout(provider.connect_timeout)
            .with_idle_timeout(provider.idle_timeout)
            .with_ca_file(provider.ca_file.clone());
        let transport = Transport::over(&settings, &network(options, &roots, &provider.name))
            .map_err(|source| BuildError::Tls { provider: name(), source })?;
        let adapter = Arc::new(adapter_for(provider));
        let owner = signature_owner(&provider.kind);
        if provider.kind.spec().thinking == ThinkingSignatures::Unsigned {
            signatures.record_unsigned(owner);
        }
        let refusals = RefusalMemory::with_thinking_rules(
            provider.kind.base_url(),
            &adapter,
            owner,
            signatures.clone(),
            provider.kind.spec().is_strict_about_thinking,
        );
        parts.refusals.push((provider.name.clone(), refusals.clone()));
        let stack = ProviderStack {
            provider,
            transport,
            adapter,
            images: image_layer(provider, &roots)?,
            restore_model_name: config.routing.restore_model_name,
            refusals,
            extra_headers: ExtraHeaders::new(&provider.headers)
                .map_err(|source| BuildError::Key { provider: name(), source })?,
            probe: OnceCell::new(),
            added: options.providers.iter().find(|added| added.config.name == provider.name),
            layers: &options.layers,
        };
        let models = match provider.models.is_empty() {
            true => Vec::new(),
            false => catalog::names(provider).map(str::to_owned).collect(),
        };
        let pool = ProviderPool::new(
            provider.name.clone(),
            models,
            provider.first_byte_timeout,
            stack.candidates()?,
        );
        parts.pools.push(
            pool.with_kind(provider.kind.as_str())
                .with_mapping(provider.model_mapping.clone())
                .with_weight(provider.share())
                .with_pooling(provider.pooling)
                .with_max_wait(provider.max_wait)
                .with_health(circuit(&config.health), stack.probe(&config.health))
                .with_guardrails(stack.guardrails())
                .with_unsupported(stack.unsupported()),
        );
        let forward = stack.forward()?;
        parts.discoveries.extend(stack.discovery(forward.as_ref().map(|(_, _, forward)| forward)));
        ranked.extend(forward);
    }
    ranked.sort_by_key(|(priority, _, _)| std::cmp::Reverse(*priority));
    parts.forwards = ranked.into_iter().map(|(_, name, forward)| (name, forward)).collect();
    Ok(parts)
}

/// The way to the upstream of a provider.
fn network(options: &Options, roots: &TrustRoots, provider: &ProviderName) -> Network {
    let own = options.connectors.iter().find(|(name, _)| name == provider);
    let connector = own.map(|(_, connector)| connector).or(options.connector.as_ref());
    Network::new(roots.clone(), options.proxies.clone())
        .with_tls(options.tls.clone())
        .with_connector(connector.cloned())
}

/// The owner of the thinking blocks that a provider accepts.
fn signature_owner(kind: &ProviderKind) -> SignatureOwner {
    match (kind.spec().thinking, kind.base_url()) {
        (ThinkingSignatures::Endpoint | ThinkingSignatures::Unsigned, Some(base_url)) => {
            SignatureOwner::at(base_url)
        }
        _ => SignatureOwner::CLAUDE,
    }
}

fn circuit(health: &HealthConfig) -> CircuitSettings {
    CircuitSettings::default()
        .with_failure_threshold(health.failure_threshold)
        .with_open_duration(health.open_duration)
        .with_half_open_probes(health.half_open_probes)
}
