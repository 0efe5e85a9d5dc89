//! Providers that a program adds in code.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use relay_config::{
    BaseUrl, Capabilities, KeyConfig, KeyLimits, ModelMapping, ProviderConfig, ProviderKind, ProviderName,
};
use relay_messages::RefusalMemory;
use relay_providers::{ExtraHeaders, Provider, UnknownEvents, Upstream};
use relay_routing::{CandidateService, Probe};
use relay_transport::Transport;
use tower::service_fn;

use crate::credential_probe::CredentialProbe;

/// The settings of a provider that a program adds in code. A name alone has every default.
///
/// ```
/// use relay_server::CustomProvider;
///
/// let settings = CustomProvider::new("backend").with_priority(5).with_models(["claude-opus-5-5"]);
/// # let _ = settings;
/// ```
#[derive(Debug, Clone)]
pub struct CustomProvider {
    config: ProviderConfig,
    spends_credential: bool,
}

impl CustomProvider {
    /// Creates the settings of a provider with this name, which is unique among all providers. Defaults: priority and weight
    /// 1, every model, no limits, the time limits of a configured provider.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let kind = ProviderKind::custom(None);
        Self { config: ProviderConfig::new(ProviderName::new(name), kind), spends_credential: true }
    }

    /// Sets the rank: higher is tried first. Default 1.
    #[must_use]
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.config.priority = priority;
        self
    }

    /// Sets the share in weighted strategies. Default 1.
    #[must_use]
    pub fn with_weight(mut self, weight: NonZeroU32) -> Self {
        self.config.weight = weight;
        self
    }

    /// Sets the model names that `/v1/models` lists. The default is an empty list: the provider accepts every model.
    #[must_use]
    pub fn with_models<M: Into<String>>(mut self, models: impl IntoIterator<Item = M>) -> Self {
        self.config.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the upstream's names of the models that clients request. Default: the clients' own names.
    #[must_use]
    pub fn with_model_mapping(mut self, mapping: ModelMapping) -> Self {
        self.config.model_mapping = mapping;
        self
    }

    /// Sets the rules for the betas and fields that the upstream accepts. Default: it accepts everything.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.config.capabilities = capabilities;
        self
    }

    /// Sets the limits per minute. Default: they are learned from the headers of responses.
    #[must_use]
    pub fn with_limits(mut self, limits: KeyLimits) -> Self {
        self.config.keys = vec![KeyConfig::new(None).with_limits(limits)];
        self
    }

    /// Sets the timeout for connecting, including the TLS handshake. Default 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// Sets the timeout for the response headers of a streamed request, while another candidate remains. Default 90 s.
    #[must_use]
    pub fn with_first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.config.first_byte_timeout = timeout;
        self
    }

    /// Sets the longest pause within a streamed response. Default 300 s.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.idle_timeout = timeout;
        self
    }

    /// Sets whether requests carry a credential of the operator. Default `true`: a client that has only a subscription token
    /// is then not served by this provider, unless `server.auth.subscription_may_use_keys` permits it.
    #[must_use]
    pub fn with_spends_credential(mut self, spends_credential: bool) -> Self {
        self.spends_credential = spends_credential;
        self
    }
}

impl<N: Into<Arc<str>>> From<N> for CustomProvider {
    fn from(name: N) -> Self {
        Self::new(name)
    }
}

/// A provider of a program, with the settings that it is called with.
#[derive(Clone)]
pub(crate) struct Added {
    pub(crate) config: ProviderConfig,
    pub(crate) spends_credential: bool,
    /// True if it is not added beside a configured provider of the same name.
    pub(crate) is_fallback: bool,
    pub(crate) mount: Arc<dyn Mount>,
}

impl Added {
    pub(crate) fn new(settings: CustomProvider, provider: impl Provider) -> Self {
        let CustomProvider { mut config, spends_credential } = settings;
        let base_url: Option<BaseUrl> = provider.base_url().cloned();
        config.kind = ProviderKind::custom(base_url);
        // A key without a priority of its own has the provider's.
        config.keys.iter_mut().for_each(|key| key.priority = config.priority);
        let mount = Arc::new(Mounted(Arc::new(provider)));
        Self { config, spends_credential, is_fallback: false, mount }
    }
}

/// The parts with which every kind of provider becomes a service.
pub(crate) struct UpstreamParts {
    pub(crate) name: ProviderName,
    pub(crate) transport: Transport,
    pub(crate) refusals: RefusalMemory,
    pub(crate) unknown_events: UnknownEvents,
    pub(crate) extra_headers: ExtraHeaders,
}

/// Makes the service of `provider`, the probe of its address if it has one, and the check of its credential.
pub(crate) fn mount<P: Provider>(
    provider: P,
    parts: UpstreamParts,
) -> (Upstream<P>, Option<Probe>, CredentialProbe) {
    let upstream = Upstream::new(parts.name, provider, parts.transport, parts.refusals)
        .with_unknown_events(parts.unknown_events)
        .with_extra_headers(parts.extra_headers);
    let probed = upstream.has_address().then(|| upstream.clone());
    let probe = probed.map(|upstream| {
        Probe::new(service_fn(move |()| {
            let upstream = upstream.clone();
            async move { Ok(upstream.is_reachable().await) }
        }))
    });
    let check = CredentialProbe::new(upstream.clone());
    (upstream, probe, check)
}

/// A provider whose type is erased.
pub(crate) trait Mount: Send + Sync {
    fn mount(&self, parts: UpstreamParts) -> (CandidateService, Option<Probe>, CredentialProbe);
}

struct Mounted<P>(Arc<P>);

impl<P: Provider> Mount for Mounted<P> {
    fn mount(&self, parts: UpstreamParts) -> (CandidateService, Option<Probe>, CredentialProbe) {
        let (upstream, probe, check) = mount(Arc::clone(&self.0), parts);
        (CandidateService::new(upstream), probe, check)
    }
}
