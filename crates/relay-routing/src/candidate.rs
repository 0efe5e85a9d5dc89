//! What can be asked: providers, and the credentials that each can be asked with.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use relay_config::{KeyId, KeyLimits, ModelMapping, Pooling, ProviderName};
use relay_messages::Unsupported;
use relay_providers::{Answer, Attempt, AttemptError, RelayRequest};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;

use crate::health::{CircuitSettings, CircuitState, KeyHealth, Probe, ProbeSettings, ProviderHealth};
use crate::limits::Quota;

/// The stack of one (provider, credential) pair: boxed once, here.
pub type CandidateService = BoxCloneSyncService<Attempt, Answer, AttemptError>;

/// One provider with everything it can be asked with.
#[derive(Debug, Clone)]
pub struct ProviderPool {
    name: ProviderName,
    models: Vec<String>,
    mapping: ModelMapping,
    first_byte_timeout: Duration,
    share: NonZeroU32,
    pooling: Pooling,
    max_wait: Duration,
    unsupported: Option<UnsupportedBy>,
    candidates: Vec<Candidate>,
    health: Arc<ProviderHealth>,
}

/// Says what a request asks for that a provider does not have.
#[derive(Clone)]
struct UnsupportedBy(Arc<UnsupportedFn>);

type UnsupportedFn = dyn Fn(&str, &RelayRequest) -> Option<Unsupported> + Send + Sync;

impl fmt::Debug for UnsupportedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fn")
    }
}

impl ProviderPool {
    /// A provider; its `candidates` are put in the order of their priority, equal ones staying as they are.
    ///
    /// `models` holds every name under which the provider's models may be asked for; if it is empty, any may.
    #[must_use]
    pub fn new(
        name: ProviderName,
        models: Vec<String>,
        first_byte_timeout: Duration,
        mut candidates: Vec<Candidate>,
    ) -> Self {
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
        let (share, pooling) = (NonZeroU32::MIN, Pooling::default());
        let mapping = ModelMapping::default();
        let health = Arc::new(ProviderHealth::new(name.clone(), CircuitSettings::default()));
        let (max_wait, unsupported) = (Duration::ZERO, None);
        Self {
            name,
            models,
            mapping,
            first_byte_timeout,
            share,
            pooling,
            max_wait,
            unsupported,
            candidates,
            health,
        }
    }

    /// Opens and closes its circuit by these rules, and looks with `probe` whether it is back.
    #[must_use]
    pub fn with_health(mut self, circuit: CircuitSettings, probe: Option<(Probe, ProbeSettings)>) -> Self {
        let health = ProviderHealth::new(self.name.clone(), circuit);
        self.health = Arc::new(match probe {
            Some((probe, settings)) => health.with_probe(probe, settings),
            None => health,
        });
        self
    }

    /// Lets a request wait so long for a candidate whose limits free up, before it goes on to the next provider.
    #[must_use]
    pub fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Excludes the provider from requests for which `unsupported`, given its own name of the model, returns a reason.
    #[must_use]
    pub fn with_unsupported(
        mut self,
        unsupported: impl Fn(&str, &RelayRequest) -> Option<Unsupported> + Send + Sync + 'static,
    ) -> Self {
        self.unsupported = Some(UnsupportedBy(Arc::new(unsupported)));
        self
    }

    /// Lets models also be asked for by the names that are mapped to one of `models`.
    #[must_use]
    pub fn with_mapping(mut self, mapping: ModelMapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// Gives it this share in weighted strategies, instead of 1.
    #[must_use]
    pub fn with_share(mut self, share: NonZeroU32) -> Self {
        self.share = share;
        self
    }

    /// Chooses in this way among candidates of equal priority, instead of by load.
    #[must_use]
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
    }

    /// The state of its circuit.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        self.health.state(Instant::now())
    }

    /// Requests under way, their answers included.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.health.load().in_flight()
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        &self.name
    }

    /// How long a streamed answer may take to begin, while another candidate remains.
    pub(crate) fn first_byte_timeout(&self) -> Duration {
        self.first_byte_timeout
    }

    pub(crate) fn share(&self) -> NonZeroU32 {
        self.share
    }

    pub(crate) fn pooling(&self) -> Pooling {
        self.pooling
    }

    pub(crate) fn max_wait(&self) -> Duration {
        self.max_wait
    }

    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    pub(crate) fn health(&self) -> &Arc<ProviderHealth> {
        &self.health
    }

    /// Goes on with what is known of `other`, the same provider under another configuration.
    pub(crate) fn inherit_state(&self, other: &Self) {
        self.health.inherit_state(&other.health, Instant::now());
        for candidate in &self.candidates {
            let is_same = |before: &&Candidate| before.credential == candidate.credential;
            if let Some(before) = other.candidates.iter().find(is_same) {
                candidate.health.inherit_state(&before.health);
            }
        }
    }

    /// What `request` asks for that the provider does not have.
    pub(crate) fn unsupported(&self, request: &RelayRequest) -> Option<Unsupported> {
        self.unsupported.as_ref().and_then(|check| check.0(self.mapped(request.body().model()), request))
    }

    /// The name of `model` at this provider.
    pub(crate) fn mapped<'a>(&'a self, model: &'a str) -> &'a str {
        self.mapping.lookup(model).map_or(model, |mapped| mapped)
    }

    /// Whether `model` is among those that the provider is known to serve.
    pub(crate) fn lists(&self, model: &str) -> bool {
        let is_listed = |model: &str| self.models.iter().any(|listed| listed == model);
        let mapped = || self.mapping.lookup(model);
        self.models.is_empty() || is_listed(model) || mapped().is_some_and(|model| is_listed(model))
    }
}

/// One provider with one credential.
#[derive(Clone)]
pub struct Candidate {
    credential: Credential,
    priority: i32,
    weight: NonZeroU32,
    service: CandidateService,
    health: Arc<KeyHealth>,
}

impl Candidate {
    /// A candidate of this rank; higher is tried first. Its limits are learned from its answers.
    pub fn new(credential: Credential, priority: i32, service: CandidateService) -> Self {
        let quota = match credential {
            Credential::Client => None,
            _ => Some(Arc::new(Quota::new(KeyLimits::default(), Instant::now()))),
        };
        let health = Arc::new(KeyHealth::new(quota));
        Self { credential, priority, weight: NonZeroU32::MIN, service, health }
    }

    /// Gives it these limits, which it may share with other candidates.
    #[must_use]
    pub fn with_quota(mut self, quota: Arc<Quota>) -> Self {
        self.health = Arc::new(KeyHealth::new(Some(quota)));
        self
    }

    /// Gives it this share among candidates of equal priority, by turns or by load, instead of 1.
    #[must_use]
    pub fn with_weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// What the provider is asked with.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(crate) fn priority(&self) -> i32 {
        self.priority
    }

    pub(crate) fn weight(&self) -> NonZeroU32 {
        self.weight
    }

    pub(crate) fn health(&self) -> &Arc<KeyHealth> {
        &self.health
    }

    pub(crate) fn service(&self) -> CandidateService {
        self.service.clone()
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("credential", &self.credential)
            .field("priority", &self.priority)
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

/// What a provider is asked with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A configured key.
    Key(KeyId),
    /// What the client sent.
    Client,
    /// Nothing: the provider needs none.
    None,
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Client => f.write_str("client"),
            Self::None => f.write_str("none"),
        }
    }
}
