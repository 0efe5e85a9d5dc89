//! Builds the configured providers.

use std::cell::{OnceCell, RefCell};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::uri::Scheme;
use relay_config::{
    Config, HealthConfig, ProviderConfig, ProviderKind, ProviderName, Strategy, ThinkingSignatures,
};
use relay_messages::{Adapter, RefusalMemory, SignatureOwner, ThinkingProvenance};
use relay_providers::{ExtraHeaders, Forward, adapter_for};
use relay_routing::{CircuitSettings, CredentialId, ProviderPool};
use relay_transport::{Network, Transport, TransportSettings, TrustRoots};

use super::candidates::ProviderStack;
use super::files::Files;
use super::images::image_layer;
use crate::build_error::BuildError;
use crate::catalog;
use crate::credential_probe::CredentialProbe;
use crate::discovery::Discovery;
use crate::options::Options;

/// The providers of a relay that are enabled, in the order of the configuration.
pub(crate) struct BuiltProviders {
    pub(crate) providers: Vec<BuiltProvider>,
    /// The settings of the whole relay that they were built with.
    common: Common,
}

/// The parts of one provider. Clones share them.
#[derive(Clone)]
pub(crate) struct BuiltProvider {
    config: ProviderConfig,
    files: Files,
    transport: Transport,
    /// The provider with its candidates.
    pub(crate) pool: ProviderPool,
    /// The memory of refused fields.
    pub(crate) refusals: RefusalMemory,
    /// The upstream for the rest of Anthropic's API, with its priority.
    forward: Option<(i32, Forward)>,
    /// The models that the upstream lists.
    pub(crate) discovery: Option<Discovery>,
    /// The checks of the credentials, in the order of the configuration. A built-in upstream has none.
    checks: Vec<(CredentialId, CredentialProbe)>,
}

/// The settings of a relay that every provider is built with.
#[derive(Clone, PartialEq)]
struct Common {
    restore_model_name: bool,
    health: HealthConfig,
    /// True if the times to the first content are measured.
    measures_times: bool,
}

impl BuiltProviders {
    /// Builds every provider that is enabled. A provider is not built again if `before` has it with the same settings and the
    /// same files: it keeps its connections, tokens and state. Of a provider with other settings, the parts that do not depend
    /// on them are used again.
    ///
    /// # Errors
    /// [`BuildError`] for the first provider that cannot be built.
    pub(crate) fn build(
        config: &Config,
        options: &Options,
        signatures: &ThinkingProvenance,
        before: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let common = Common {
            restore_model_name: config.routing.restore_model_name,
            health: config.health.clone(),
            measures_times: config.routing.strategy == Strategy::LatencyBased,
        };
        let shop = Workshop { common: &common, options, signatures, roots: TrustRoots::on_demand() };
        let known = before.into_iter().flat_map(|before| &before.providers);
        let known: HashMap<_, _> = known.map(|built| (&built.config.name, built)).collect();
        let is_same_relay = before.is_some_and(|before| before.common == common);
        let enabled = config.providers.iter().filter(|provider| provider.enabled);
        let providers = enabled.map(|provider| {
            let files = Files::of(provider);
            match known.get(&provider.name) {
                Some(known) if is_same_relay && known.config == *provider && known.files == files => {
                    Ok((*known).clone())
                }
                known => shop.build(provider, files, known.copied()),
            }
        });
        Ok(Self { providers: providers.collect::<Result<_, _>>()?, common })
    }

    /// The providers for the rest of Anthropic's API, highest priority first.
    pub(crate) fn forwards(&self) -> Vec<(ProviderName, Forward)> {
        let forwards = self.providers.iter().filter_map(|built| {
            let (priority, forward) = built.forward.as_ref()?;
            Some((*priority, built.config.name.clone(), forward.clone()))
        });
        let mut ranked: Vec<_> = forwards.collect();
        ranked.sort_by_key(|(priority, _, _)| Reverse(*priority));
        ranked.into_iter().map(|(_, name, forward)| (name, forward)).collect()
    }

    /// The files of `config` that differ from those that the providers of the same name were built with.
    pub(crate) fn changed_files(&self, config: &Config) -> Vec<(ProviderName, PathBuf)> {
        let known: HashMap<_, _> = self.providers.iter().map(|built| (&built.config.name, built)).collect();
        let pairs = config.providers.iter().filter_map(|after| Some((known.get(&after.name)?, after)));
        let changed = pairs.flat_map(|(built, after)| {
            let paths = built.files.differing_from(&Files::of(after));
            paths.into_iter().map(|path| (after.name.clone(), path))
        });
        changed.collect()
    }
}

/// The parts that all providers are built with.
struct Workshop<'a> {
    common: &'a Common,
    options: &'a Options,
    signatures: &'a ThinkingProvenance,
    /// The trusted certificates of the system.
    roots: TrustRoots,
}

impl Workshop<'_> {
    /// Builds a provider whose `files` were read before. `before` is the provider of the same name that is in use.
    fn build(
        &self,
        provider: &ProviderConfig,
        files: Files,
        before: Option<&BuiltProvider>,
    ) -> Result<BuiltProvider, BuildError> {
        let roots = &self.roots;
        if uses_tls(&provider.kind) {
            // The start does not wait for them.
            roots.load_in_background();
        }
        let adapter = Arc::new(adapter_for(provider));
        let transport =
            self.transport(provider, roots, before.filter(|before| before.reaches(provider, &files)))?;
        let stack = ProviderStack {
            provider,
            transport: transport.clone(),
            images: image_layer(provider, roots)?,
            restore_model_name: self.common.restore_model_name,
            refusals: self.refusals(provider, &adapter, before.filter(|before| before.refuses(provider))),
            adapter,
            extra_headers: ExtraHeaders::new(&provider.headers)
                .map_err(|source| BuildError::Key { provider: provider.name.to_string(), source })?,
            probe: OnceCell::new(),
            checks: RefCell::default(),
            added: self.options.providers.iter().find(|added| added.config.name == provider.name),
            layers: &self.options.layers,
        };
        let pool = pool(provider, &stack, &self.common.health)?;
        let forward = stack.forward()?;
        let mut discovery = stack.discovery(forward.as_ref().map(|(_, forward)| forward));
        if let (Some(discovery), Some(before)) =
            (&mut discovery, before.filter(|before| before.lists(provider)))
        {
            discovery.inherit_state(before.discovery.as_ref());
        }
        let refusals = stack.refusals.clone();
        let checks = stack.checks.into_inner();
        let config = provider.clone();
        Ok(BuiltProvider { config, files, transport, pool, refusals, forward, discovery, checks })
    }

    /// The connections to the upstream: those of `same`, or new ones.
    fn transport(
        &self,
        provider: &ProviderConfig,
        roots: &TrustRoots,
        same: Option<&BuiltProvider>,
    ) -> Result<Transport, BuildError> {
        if let Some(same) = same {
            return Ok(same.transport.clone());
        }
        let settings = TransportSettings::default()
            .with_connect_timeout(provider.connect_timeout)
            .with_idle_timeout(provider.idle_timeout)
            .with_ca_file(provider.ca_file.clone());
        Transport::over(&settings, &network(self.options, roots, &provider.name))
            .map_err(|source| BuildError::Tls { provider: provider.name.to_string(), source })
    }

    /// The memory of refused fields: that of `same`, or a new one.
    fn refusals(
        &self,
        provider: &ProviderConfig,
        adapter: &Adapter,
        same: Option<&BuiltProvider>,
    ) -> RefusalMemory {
        if let Some(same) = same {
            return same.refusals.clone();
        }
        let owner = signature_owner(&provider.kind);
        let spec = provider.kind.spec();
        if spec.thinking == ThinkingSignatures::Unsigned {
            self.signatures.record_unsigned(owner);
        }
        let (url, strict) = (provider.kind.base_url(), spec.is_strict_about_thinking);
        RefusalMemory::with_thinking_rules(url, adapter, owner, self.signatures.clone(), strict)
    }
}

impl BuiltProvider {
    pub(crate) fn name(&self) -> &ProviderName {
        &self.config.name
    }

    pub(crate) fn config(&self) -> &ProviderConfig {
        &self.config
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn checks(&self) -> &[(CredentialId, CredentialProbe)] {
        &self.checks
    }

    /// Returns `true` if the connections to the upstream do not depend on any setting that has changed.
    fn reaches(&self, provider: &ProviderConfig, files: &Files) -> bool {
        let settings =
            |config: &ProviderConfig| (config.connect_timeout, config.idle_timeout, config.ca_file.clone());
        settings(&self.config) == settings(provider) && self.files.has_same_ca_file(files, provider)
    }

    /// Returns `true` if the upstream refuses the same fields.
    fn refuses(&self, provider: &ProviderConfig) -> bool {
        self.config.kind == provider.kind && self.config.capabilities == provider.capabilities
    }

    /// Returns `true` if the upstream lists the same models.
    fn lists(&self, provider: &ProviderConfig) -> bool {
        self.config.kind == provider.kind
            && self.config.headers == provider.headers
            && self.config.keys == provider.keys
    }
}

/// Builds the provider with its candidates.
fn pool(
    provider: &ProviderConfig,
    stack: &ProviderStack<'_>,
    health: &HealthConfig,
) -> Result<ProviderPool, BuildError> {
    let models = match provider.models.is_empty() {
        true => Vec::new(),
        false => catalog::names(provider).map(str::to_owned).collect(),
    };
    let candidates = stack.candidates()?;
    let pool = ProviderPool::new(provider.name.clone(), models, provider.first_byte_timeout, candidates)
        .with_kind(provider.kind.as_str())
        .with_mapping(provider.model_mapping.clone())
        .with_weight(provider.share())
        .with_pooling(provider.pooling)
        .with_max_wait(provider.max_wait)
        .with_health(circuit(health), stack.probe(health))
        .with_guardrails(stack.guardrails())
        .with_unsupported(stack.unsupported());
    Ok(pool)
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

/// Returns `true` if connections to the upstream use TLS, as those to a cloud's own address do.
fn uses_tls(kind: &ProviderKind) -> bool {
    match kind.base_url() {
        Some(url) => *url.scheme() == Scheme::HTTPS,
        None => matches!(kind, ProviderKind::Bedrock(_) | ProviderKind::Vertex(_)),
    }
}
