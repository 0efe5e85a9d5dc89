//! What can be asked: providers, and the credentials that each can be asked with.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use relay_config::{KeyId, ModelMapping, Pooling, ProviderName};
use relay_providers::{Answer, Attempt, AttemptError};
use tower::util::BoxCloneSyncService;

/// The stack of one (provider, credential) pair: boxed once, here.
pub type UpstreamService = BoxCloneSyncService<Attempt, Answer, AttemptError>;

/// One provider with everything it can be asked with.
#[derive(Debug, Clone)]
pub struct Upstream {
    name: ProviderName,
    models: Vec<String>,
    mapping: ModelMapping,
    first_byte_timeout: Duration,
    share: NonZeroU32,
    pooling: Pooling,
    candidates: Vec<Candidate>,
}

impl Upstream {
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
        Self { name, models, mapping, first_byte_timeout, share, pooling, candidates }
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

    /// Chooses in this way among candidates of equal priority, instead of in the given order.
    #[must_use]
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
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

    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
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
    service: UpstreamService,
}

impl Candidate {
    /// A candidate of this rank; higher is tried first.
    pub fn new(credential: Credential, priority: i32, service: UpstreamService) -> Self {
        Self { credential, priority, weight: NonZeroU32::MIN, service }
    }

    /// Gives it this share among candidates of equal priority with [`Pooling::Weighted`], instead of 1.
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

    pub(crate) fn service(&self) -> UpstreamService {
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
