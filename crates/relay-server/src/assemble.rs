//! The one place where the parts are put together, and the only one that knows every kind of provider.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use relay_config::{
    self as config, AzureAuth, BaseUrlError, CompatibleAuth, Config, HealthConfig, KeyId, ProviderConfig,
    ProviderKind, Secret, StreamBreak,
};
use relay_providers::{
    AdaptLayer, Adapter, Answer, Attempt, AttemptError, AuthorizeError, Azure, Bedrock, Compatible, Endpoint,
    FetchLayer, Fetcher, Forward, Healing, Lack, Listing, Mock, ModelMapLayer, Ollama, OnBreak, Origin,
    PassThrough, Provider, Proxies, RelayRequest, Signatures, TlsError, Transport, TransportSettings,
    TrustRoots, Upstream, Vertex, Zai,
};
use relay_routing::{
    Affinity, Candidate, CircuitSettings, Credential, Failover, FailoverSettings, ModelRoutes, Planner,
    Probe, ProbeSettings, Quota, UpstreamService,
};
use tokio::time::Instant;
use tower::util::MapResponseLayer;
use tower::{Layer, Service, ServiceBuilder, service_fn};

use crate::catalog::{self, Catalog};
use crate::debug_log::DebugLogLayer;
use crate::discovery::Discovery;
use crate::edge::{
    AccessLogLayer, AdmissionLayer, AuthLayer, LingerLayer, RequestIdLayer, RespondLayer, Verifier,
    with_trail_headers,
};
use crate::explain::Explainer;
use crate::forward::Forwarder;
use crate::health_note::HealthNote;
use crate::intake::{Intake, Limits};
use crate::messages::Messages;
use crate::relay::Stack;
use crate::router::{Operations, Readiness, Router};

/// Why a configuration makes no relay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A provider's certificates cannot be used.
    #[error("provider `{provider}`: TLS cannot be set up")]
    Tls {
        /// Which one.
        provider: String,
        /// Why.
        #[source]
        source: TlsError,
    },
    /// A provider's key cannot be sent.
    #[error("provider `{provider}`: its key cannot be used")]
    Key {
        /// Which one.
        provider: String,
        /// Why.
        #[source]
        source: AuthorizeError,
    },
    /// A provider's settings make no address.
    #[error("provider `{provider}`: its settings make no address")]
    Address {
        /// Which one.
        provider: String,
        /// Why.
        #[source]
        source: BaseUrlError,
    },
    /// A provider of a kind that this version of `relay-server` does not build.
    #[error("provider `{provider}`: type `{kind}` is not available")]
    Kind {
        /// Which one.
        provider: String,
        /// Its type.
        kind: &'static str,
    },
}

/// The whole stack, and what it shares with those who ask how the relay is.
pub(crate) struct Assembled {
    pub(crate) stack: Stack,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) explainer: Arc<Explainer>,
}

/// Puts the whole stack together, outermost layer first. It goes on with what `before` knows.
pub(crate) fn assemble(
    config: &Config,
    proxies: &Proxies,
    before: Option<&Planner>,
    signatures: &Signatures,
) -> Result<Assembled, BuildError> {
    let server = &config.server;
    let parts = providers(config, proxies, signatures)?;
    let routing = &config.routing;
    let routes =
        ModelRoutes::new(routing.model_mapping.clone()).with_default(routing.default_provider.clone());
    let mut planner =
        Planner::new(parts.upstreams, routing.strategy, routing.strict_models).with_routes(routes);
    if routing.affinity == config::Affinity::Session {
        planner = planner.with_affinity(Arc::new(Affinity::new()));
    }
    if let Some(before) = before {
        planner = planner.succeeding(before);
    }
    let planner = Arc::new(planner);
    let readiness = Arc::new(Readiness::new(Arc::clone(&planner)));
    let settings = FailoverSettings {
        failover_timeout: routing.failover_timeout,
        max_attempts: routing.max_attempts,
        on_break: match routing.on_stream_break {
            StreamBreak::ErrorEvent => OnBreak::ErrorEvent,
            _ => OnBreak::Abort,
        },
    };
    let limits = Limits { body_bytes: server.max_body_bytes, time: server.timeout };
    let routed = Messages::new(Failover::new(Arc::clone(&planner), settings));
    let routed = DebugLogLayer::new(config.logging.debug.clone()).layer(routed);
    let operations = Operations {
        messages: Intake::new(routed.clone(), Endpoint::Messages, limits),
        count_tokens: Intake::new(routed, Endpoint::CountTokens, limits),
        api: Forwarder::new(parts.forwards, server.timeout),
        catalog: Catalog::models(&config.providers, parts.notes, Arc::clone(&planner), parts.discoveries),
    };
    let verifier = Arc::new(Verifier::new(server.auth.clone(), server.subscription_may_use_keys()));
    let explainer = Arc::new(Explainer::new(Arc::clone(&verifier), planner, config));
    let admission = AdmissionLayer::new(server.max_concurrent);
    let router = Router::new(operations, &admission, &AuthLayer::new(verifier), Arc::clone(&readiness));

    let stack = ServiceBuilder::new()
        .layer(RequestIdLayer) // everything further in can name the request
        .layer(AccessLogLayer) // sees what the client gets, errors included
        .option_layer(routing.debug.then(|| MapResponseLayer::new(with_trail_headers))) // also those of errors
        .layer(LingerLayer) // no answer is lost to a body that nobody read
        .layer(RespondLayer) // from here on outwards there are no errors
        .service(router);
    Ok(Assembled { stack: Stack::new(stack), readiness, explainer })
}

fn circuit(health: &HealthConfig) -> CircuitSettings {
    CircuitSettings {
        failure_threshold: health.failure_threshold,
        open_duration: health.open_duration,
        half_open_probes: health.half_open_probes,
    }
}

/// What the configured providers come to.
struct Parts {
    upstreams: Vec<relay_routing::Upstream>,
    /// How each of them is.
    notes: Vec<(relay_config::ProviderName, HealthNote, Healing)>,
    /// Those of Anthropic, best first.
    forwards: Vec<(relay_config::ProviderName, Forward)>,
    /// Those that are asked for their models.
    discoveries: Vec<Discovery>,
}

fn providers(config: &Config, proxies: &Proxies, signatures: &Signatures) -> Result<Parts, BuildError> {
    let roots = TrustRoots::load();
    let mut parts =
        Parts { upstreams: Vec::new(), notes: Vec::new(), forwards: Vec::new(), discoveries: Vec::new() };
    let mut ranked = Vec::new();
    for provider in config.providers.iter().filter(|provider| provider.enabled) {
        let name = || provider.name.to_string();
        let settings = TransportSettings {
            connect_timeout: provider.connect_timeout,
            idle_timeout: provider.idle_timeout,
            ca_file: provider.ca_file.clone(),
        };
        let transport = Transport::new(&settings, &roots, proxies.clone())
            .map_err(|source| BuildError::Tls { provider: name(), source })?;
        let note = HealthNote::default();
        let adapter = Arc::new(Adapter::new(provider));
        let origin = origin(&provider.kind);
        if matches!(provider.kind, ProviderKind::Ollama { .. }) {
            signatures.leave_unsigned(origin);
        }
        let healing = Healing::new(provider.kind.base_url(), &adapter, origin, signatures.clone());
        parts.notes.push((provider.name.clone(), note.clone(), healing.clone()));
        let stack = ProviderStack {
            provider,
            transport,
            adapter,
            fetcher: provider
                .fetch_images
                .then(|| Fetcher::new(&roots))
                .transpose()
                .map_err(|source| BuildError::Tls { provider: name(), source })?,
            restore: config.routing.restore_model_name,
            note,
            healing,
            probe: OnceCell::new(),
        };
        let models = match provider.models.is_empty() {
            true => Vec::new(),
            false => catalog::names(provider).map(str::to_owned).collect(),
        };
        let upstream = relay_routing::Upstream::new(
            provider.name.clone(),
            models,
            provider.first_byte_timeout,
            stack.candidates()?,
        );
        parts.upstreams.push(
            upstream
                .with_mapping(provider.model_mapping.clone())
                .with_share(provider.share())
                .with_pooling(provider.pooling)
                .with_max_wait(provider.max_wait)
                .with_health(circuit(&config.health), stack.probe(&config.health))
                .with_lack(stack.lack()),
        );
        let forward = stack.forward()?;
        parts.discoveries.extend(stack.discovery(forward.as_ref().map(|(_, _, forward)| forward)));
        ranked.extend(forward);
    }
    ranked.sort_by_key(|(priority, _, _)| std::cmp::Reverse(*priority));
    parts.forwards = ranked.into_iter().map(|(_, name, forward)| (name, forward)).collect();
    Ok(parts)
}

/// Whose thinking a provider takes.
fn origin(kind: &ProviderKind) -> Origin {
    match kind {
        ProviderKind::Zai { base_url }
        | ProviderKind::Ollama { base_url }
        | ProviderKind::Minimax { base_url }
        | ProviderKind::AnthropicCompatible { base_url, .. } => Origin::at(base_url),
        _ => Origin::CLAUDE,
    }
}

/// One provider and what its candidates share.
struct ProviderStack<'a> {
    provider: &'a ProviderConfig,
    transport: Transport,
    adapter: Arc<Adapter>,
    fetcher: Option<Fetcher>,
    restore: bool,
    note: HealthNote,
    healing: Healing,
    /// All of a provider's candidates are at one address.
    probe: OnceCell<Probe>,
}

impl ProviderStack<'_> {
    /// One candidate for each credential that the provider can be asked with.
    fn candidates(&self) -> Result<Vec<Candidate>, BuildError> {
        match &self.provider.kind {
            ProviderKind::Anthropic { base_url, passthrough } => {
                let mut candidates = self.keyed(|key| Compatible::with_api_key(base_url.clone(), key))?;
                if *passthrough {
                    let service = self.service(PassThrough::new(base_url.clone()));
                    candidates.push(Candidate::new(Credential::Client, self.priority(), service));
                }
                Ok(candidates)
            }
            ProviderKind::Zai { base_url } => self.keyed(|key| Zai::new(base_url.clone(), key)),
            ProviderKind::Minimax { base_url } => {
                self.keyed(|key| Compatible::with_bearer(base_url.clone(), key))
            }
            ProviderKind::Ollama { base_url } => Ok(self.keyless(Ollama::new(base_url.clone()))),
            ProviderKind::AnthropicCompatible { base_url, auth } => match auth {
                CompatibleAuth::ApiKey => self.keyed(|key| Compatible::with_api_key(base_url.clone(), key)),
                CompatibleAuth::Bearer => self.keyed(|key| Compatible::with_bearer(base_url.clone(), key)),
                CompatibleAuth::None => Ok(self.keyless(Compatible::without_key(base_url.clone()))),
            },
            ProviderKind::Bedrock(config) => {
                let provider = Bedrock::new(config, self.transport.clone());
                Ok(self.keyless(provider.map_err(|source| self.bad_key(source))?))
            }
            ProviderKind::Azure(config) => match &config.auth {
                AzureAuth::EntraId(entra) => {
                    Ok(self.keyless(Azure::with_entra_id(config, entra, self.transport.clone())))
                }
                _ => self.keyed(|key| Azure::with_api_key(config, key)),
            },
            ProviderKind::Vertex(config) => {
                let provider = Vertex::new(config, self.transport.clone()).map_err(|source| {
                    BuildError::Address { provider: self.provider.name.to_string(), source }
                })?;
                Ok(self.keyless(provider))
            }
            ProviderKind::Mock => Ok(self.without_key(self.layered(Mock::new(self.provider.name.clone())))),
            kind => Err(BuildError::Kind { provider: self.provider.name.to_string(), kind: kind.as_str() }),
        }
    }

    /// The way to the rest of the API, for Anthropic alone.
    fn forward(&self) -> Result<Option<(i32, relay_config::ProviderName, Forward)>, BuildError> {
        let ProviderKind::Anthropic { base_url, passthrough } = &self.provider.kind else { return Ok(None) };
        let best =
            self.provider.keys.iter().rev().max_by_key(|key| key.priority).and_then(|key| key.key.as_ref());
        let forward = Forward::new(base_url.clone(), best, *passthrough, self.transport.clone());
        Ok(Some((
            self.priority(),
            self.provider.name.clone(),
            forward.map_err(|source| self.bad_key(source))?,
        )))
    }

    /// The way to its list of models, where the configuration asks for it.
    fn discovery(&self, forward: Option<&Forward>) -> Option<Discovery> {
        let listing = match (&self.provider.kind, forward) {
            _ if !self.provider.discover_models => return None,
            (ProviderKind::Ollama { base_url }, _) => {
                Listing::ollama(base_url.clone(), self.transport.clone())
            }
            (_, Some(forward)) => Listing::anthropic(forward.clone()),
            _ => return None,
        };
        Some(Discovery::new(self.provider.name.clone(), listing))
    }

    fn keyed<P: Provider>(
        &self,
        with_key: impl Fn(&Secret) -> Result<P, AuthorizeError>,
    ) -> Result<Vec<Candidate>, BuildError> {
        let keys = self.provider.keys.iter().filter_map(|config| Some((config.key.as_ref()?, config)));
        let now = Instant::now();
        let mut organizations = HashMap::new();
        keys.map(|(key, config)| {
            let service = self.service(with_key(key).map_err(|source| self.bad_key(source))?);
            let quota = || Arc::new(Quota::new(config.limits, now));
            let quota = match &config.organization {
                Some(organization) => Arc::clone(organizations.entry(organization).or_insert_with(quota)),
                None => quota(),
            };
            let candidate = Candidate::new(Credential::Key(KeyId::of(key)), config.priority, service);
            Ok(candidate.with_weight(config.weight).with_quota(quota))
        })
        .collect()
    }

    fn keyless(&self, provider: impl Provider) -> Vec<Candidate> {
        self.without_key(self.service(provider))
    }

    /// One candidate, with the limits of the best key, which stands for what is asked with.
    fn without_key(&self, service: UpstreamService) -> Vec<Candidate> {
        let best = self.provider.keys.iter().rev().max_by_key(|key| key.priority);
        let limits = best.map(|key| key.limits).unwrap_or_default();
        let quota = Arc::new(Quota::new(limits, Instant::now()));
        vec![Candidate::new(Credential::None, self.priority(), service).with_quota(quota)]
    }

    fn service(&self, provider: impl Provider) -> UpstreamService {
        let (name, healing) = (self.provider.name.clone(), self.healing.clone());
        let upstream = Upstream::new(name, provider, self.transport.clone(), healing);
        if upstream.has_address() {
            let upstream = upstream.clone();
            let probe = service_fn(move |()| {
                let upstream = upstream.clone();
                async move { Ok(upstream.is_reachable().await) }
            });
            self.probe.get_or_init(|| Probe::new(probe));
        }
        self.layered(upstream)
    }

    /// What looks whether the provider is back, if anything does.
    fn probe(&self, health: &HealthConfig) -> Option<(Probe, ProbeSettings)> {
        let interval = health.check?;
        Some((self.probe.get()?.clone(), ProbeSettings { interval }))
    }

    /// The layers around one upstream, outermost first.
    fn layered<S>(&self, upstream: S) -> UpstreamService
    where
        S: Service<Attempt, Response = Answer, Error = AttemptError> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let mapping = ModelMapLayer::new(self.provider.model_mapping.clone(), self.restore);
        let stack = ServiceBuilder::new()
            .layer(self.note.clone()) // sees how each attempt ends
            .layer(mapping) // the upstream's names below, the client's above
            .layer(FetchLayer::new(self.fetcher.clone())) // may wait, which nothing further in does before it asks
            .layer(AdaptLayer::new(Arc::clone(&self.adapter))) // by the upstream's name of the model
            .service(upstream);
        UpstreamService::new(stack)
    }

    /// What the provider lacks for a request, by its own name of the model.
    fn lack(&self) -> impl Fn(&RelayRequest) -> Option<Lack> + Send + Sync + 'static {
        let (adapter, mapping) = (Arc::clone(&self.adapter), self.provider.model_mapping.clone());
        move |request| {
            let model = request.body().model();
            adapter.lack(mapping.lookup(model).unwrap_or(model), request)
        }
    }

    /// The rank of what has no key: the best key's, or else the provider's own.
    fn priority(&self) -> i32 {
        self.provider.keys.iter().map(|key| key.priority).max().unwrap_or(self.provider.priority)
    }

    fn bad_key(&self, source: AuthorizeError) -> BuildError {
        BuildError::Key { provider: self.provider.name.to_string(), source }
    }
}
