//! The candidates of one provider: one service for each credential.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use relay_config::{CompatibleAuth, HealthConfig, ModelList, ProviderConfig, ProviderKind, Secret};
use relay_messages::{Adapter, RefusalMemory, Unsupported};
use relay_providers::{
    AdaptLayer, Answer, Attempt, AttemptError, AuthorizeError, Compatible, ExtraHeaders, Forward,
    GuardrailConflict, Listing, Mock, ModelMapLayer, Ollama, PassThrough, Provider, RelayRequest,
    UnknownEvents, Zai, guardrail_conflict,
};
use relay_routing::{Candidate, CandidateService, CredentialId, Probe, ProbeSettings, Quota};
use relay_transport::Transport;
use tower::{Service, ServiceBuilder, ServiceExt};

use super::images::ImageLayer;
use crate::build_error::BuildError;
use crate::clock;
use crate::credential_probe::CredentialProbe;
use crate::custom::{Added, UpstreamParts, mount};
use crate::discovery::Discovery;
use crate::layers::Layers;

/// One provider, and the parts that its candidates share.
pub(super) struct ProviderStack<'a> {
    pub(super) provider: &'a ProviderConfig,
    pub(super) transport: Transport,
    pub(super) adapter: Arc<Adapter>,
    pub(super) images: ImageLayer,
    /// `routing.restore_model_name`.
    pub(super) restore_model_name: bool,
    pub(super) refusals: RefusalMemory,
    /// `providers[].headers` and `forward_headers`.
    pub(super) extra_headers: ExtraHeaders,
    /// The probe of the provider's address, which all candidates share. Set with the first candidate that has one.
    pub(super) probe: OnceCell<Probe>,
    /// The checks of the credentials, in the order of the configuration.
    pub(super) checks: RefCell<Vec<(CredentialId, CredentialProbe)>>,
    /// The provider of a program, if it is one.
    pub(super) added: Option<&'a Added>,
    /// The layers of a program around each attempt.
    pub(super) layers: &'a Layers,
}

impl ProviderStack<'_> {
    /// Builds one candidate for each credential of the provider, or one in all if the provider needs none.
    pub(super) fn candidates(&self) -> Result<Vec<Candidate>, BuildError> {
        match &self.provider.kind {
            ProviderKind::Anthropic { base_url, passthrough, .. } => {
                let mut candidates =
                    self.keyed(|key| Ok(self.errors(Compatible::with_api_key(base_url.clone(), key)?)))?;
                if *passthrough {
                    let service = self.service(CredentialId::Client, PassThrough::new(base_url.clone()));
                    candidates.push(Candidate::new(CredentialId::Client, self.priority(), service));
                }
                Ok(candidates)
            }
            ProviderKind::Zai { base_url, .. } => self.keyed(|key| Zai::new(base_url.clone(), key)),
            ProviderKind::Ollama { base_url, .. } => Ok(self.keyless(Ollama::new(base_url.clone()))),
            ProviderKind::Compatible { base_url, auth: CompatibleAuth::ApiKey, .. } => {
                self.keyed(|key| Ok(self.errors(Compatible::with_api_key(base_url.clone(), key)?)))
            }
            ProviderKind::Compatible { base_url, auth: CompatibleAuth::Bearer, .. } => {
                self.keyed(|key| Ok(self.errors(Compatible::with_bearer(base_url.clone(), key)?)))
            }
            ProviderKind::Compatible { base_url, auth: CompatibleAuth::None, .. } => {
                Ok(self.keyless(self.errors(Compatible::without_key(base_url.clone()))))
            }
            ProviderKind::Bedrock(config) => self.bedrock(config),
            ProviderKind::Azure(config) => self.azure(config),
            ProviderKind::Vertex(config) => self.vertex(config),
            ProviderKind::Mock => Ok(self.without_key(self.layered(Mock::new(self.provider.name.clone())))),
            ProviderKind::Custom { .. } if self.added.is_some() => {
                Ok(self.added.map(|added| self.added(added)).unwrap_or_default())
            }
            kind => Err(BuildError::Kind { provider: self.provider.name.to_string(), kind: kind.as_str() }),
        }
    }

    /// Builds the upstream for the rest of Anthropic's API, with its priority. `None` for every kind but `anthropic`.
    pub(super) fn forward(&self) -> Result<Option<(i32, Forward)>, BuildError> {
        let ProviderKind::Anthropic { base_url, passthrough, .. } = &self.provider.kind else {
            return Ok(None);
        };
        let best = self.provider.keys.iter().rev().max_by_key(|key| key.priority);
        let forward = Forward::new(base_url.clone(), best, *passthrough, self.transport.clone());
        Ok(Some((
            self.priority(),
            forward.map_err(|source| self.bad_key(source))?.with_extra_headers(self.extra_headers.clone()),
        )))
    }

    /// Builds the discovery of the provider's models if `discover_models` is set and the kind lists its models.
    pub(super) fn discovery(&self, forward: Option<&Forward>) -> Option<Discovery> {
        let list = self.provider.kind.spec().model_list.filter(|_| self.provider.discover_models)?;
        let listing = match list {
            ModelList::Ollama => Listing::ollama(
                self.provider.kind.base_url()?.clone(),
                self.transport.clone(),
                self.extra_headers.clone(),
            ),
            ModelList::Anthropic => Listing::anthropic(forward?.clone()),
            _ => return None,
        };
        Some(Discovery::new(self.provider.name.clone(), listing))
    }

    /// Builds one candidate for each key. Keys of one organization share a quota.
    pub(super) fn keyed<P: Provider>(
        &self,
        with_key: impl Fn(&Secret) -> Result<P, AuthorizeError>,
    ) -> Result<Vec<Candidate>, BuildError> {
        let keys = self.provider.keys.iter().filter_map(|config| Some((config.key.as_ref()?, config)));
        let now = clock::now();
        let mut organizations = HashMap::new();
        keys.map(|(key, config)| {
            let id = config.id().map_or(CredentialId::None, CredentialId::Key);
            let provider = with_key(key).map_err(|source| self.bad_key(source))?;
            let service = self.service(id.clone(), provider);
            let quota = || Arc::new(Quota::new(config.limits, now));
            let quota = match &config.organization {
                Some(organization) => Arc::clone(organizations.entry(organization).or_insert_with(quota)),
                None => quota(),
            };
            let candidate = Candidate::new(id, config.priority, service);
            Ok(candidate.with_weight(config.weight).with_quota(quota))
        })
        .collect()
    }

    /// Builds the candidate of a provider that authorizes requests with a credential of its own.
    #[cfg(any(feature = "azure", feature = "bedrock", feature = "vertex"))]
    pub(super) fn authorizing(&self, provider: impl Provider) -> Vec<Candidate> {
        self.keyless(provider).into_iter().map(|candidate| candidate.with_spends_credential(true)).collect()
    }

    /// Reads the errors of `upstream` by the table of the provider's kind.
    fn errors(&self, upstream: Compatible) -> Compatible {
        upstream.with_errors_of(self.provider.kind.spec().name)
    }

    /// Builds the candidate of a provider that has no configured key.
    fn keyless(&self, provider: impl Provider) -> Vec<Candidate> {
        self.without_key(self.service(CredentialId::None, provider))
    }

    /// Builds one candidate with the limits of the key with the highest priority: such a key is never sent, it carries
    /// limits and rank.
    fn without_key(&self, service: CandidateService) -> Vec<Candidate> {
        let best = self.provider.keys.iter().rev().max_by_key(|key| key.priority);
        let limits = best.map(|key| key.limits).unwrap_or_default();
        let quota = Arc::new(Quota::new(limits, clock::now()));
        let candidate = Candidate::new(CredentialId::None, self.priority(), service).with_quota(quota);
        // A fixed header may be the credential of a gateway.
        vec![candidate.with_spends_credential(!self.provider.headers.fixed.is_empty())]
    }

    /// Builds the stack around `provider`, the probe of its address, and the check of its credential.
    fn service(&self, credential: CredentialId, provider: impl Provider) -> CandidateService {
        let (upstream, probe, check) = mount(provider, self.parts());
        self.set_probe(probe);
        self.checks.borrow_mut().push((credential, check));
        self.layered(upstream)
    }

    /// Builds the candidate of a provider that a program adds.
    fn added(&self, added: &Added) -> Vec<Candidate> {
        let (service, probe, check) = added.mount.mount(self.parts());
        self.set_probe(probe);
        self.checks.borrow_mut().push((CredentialId::None, check));
        let candidates = self.without_key(self.layered(service)).into_iter();
        candidates.map(|candidate| candidate.with_spends_credential(added.spends_credential)).collect()
    }

    fn set_probe(&self, probe: Option<Probe>) {
        if let Some(probe) = probe {
            self.probe.get_or_init(|| probe);
        }
    }

    fn parts(&self) -> UpstreamParts {
        UpstreamParts {
            name: self.provider.name.clone(),
            transport: self.transport.clone(),
            refusals: self.refusals.clone(),
            unknown_events: self.unknown_events(),
            extra_headers: self.extra_headers.clone(),
        }
    }

    /// Events that the Messages API may get in the future pass from Anthropic and from the clouds. Other upstreams only resemble
    /// that API, and their unknown events are their own.
    fn unknown_events(&self) -> UnknownEvents {
        match self.provider.kind {
            ProviderKind::Zai { .. }
            | ProviderKind::Ollama { .. }
            | ProviderKind::Compatible { .. }
            | ProviderKind::Custom { .. } => UnknownEvents::Drop,
            _ => UnknownEvents::Forward,
        }
    }

    /// Returns the probe of an open circuit. `None` if probes are disabled, or the provider has no address.
    pub(super) fn probe(&self, health: &HealthConfig) -> Option<(Probe, ProbeSettings)> {
        let interval = health.check?;
        Some((self.probe.get()?.clone(), ProbeSettings::new(interval)))
    }

    /// Wraps one upstream in its layers, outermost first.
    fn layered<S>(&self, upstream: S) -> CandidateService
    where
        S: Service<Attempt, Response = Answer, Error = AttemptError> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let mapping = ModelMapLayer::new(self.provider.model_mapping.clone(), self.restore_model_name);
        let stack = ServiceBuilder::new()
            .layer(mapping) // further in the model has the upstream's name, further out the client's
            .layer(self.images.clone()) // waits for images, before anything is sent
            .layer(AdaptLayer::new(Arc::clone(&self.adapter))) // needs the upstream's name of the model
            .service(upstream);
        if !self.layers.has_attempt_layers() {
            // The bodies of this workspace log nothing; those of a program's provider may.
            return CandidateService::new(stack).with_silent_bodies(self.added.is_none());
        }
        let name = self.provider.name.clone();
        let around = self.layers.around_attempts(CandidateService::new(stack));
        CandidateService::new(around.map_request(move |attempt: Attempt| attempt.with_provider(name.clone())))
    }

    /// Checks requests for a guardrail that the provider does not apply.
    pub(super) fn guardrails(
        &self,
    ) -> impl Fn(&RelayRequest) -> Option<GuardrailConflict> + Send + Sync + 'static {
        let kind = self.provider.kind.clone();
        move |request| guardrail_conflict(&kind, request)
    }

    /// Checks requests for a part that the provider does not support, by its own name of the model.
    pub(super) fn unsupported(
        &self,
    ) -> impl Fn(&str, &RelayRequest) -> Option<Unsupported> + Send + Sync + 'static {
        let adapter = Arc::clone(&self.adapter);
        move |model, request| adapter.unsupported(model, request.body())
    }

    /// The priority of a candidate without a key: the highest of the keys, or else the provider's own.
    fn priority(&self) -> i32 {
        self.provider.keys.iter().map(|key| key.priority).max().unwrap_or(self.provider.priority)
    }

    pub(super) fn bad_key(&self, source: AuthorizeError) -> BuildError {
        BuildError::Key { provider: self.provider.name.to_string(), source }
    }
}
