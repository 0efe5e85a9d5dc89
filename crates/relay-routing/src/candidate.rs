//! Candidates: the (provider, credential) pairs that a request can be sent to.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::num::NonZeroU32;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use relay_config::{KeyId, KeyLimits, ModelMapping, Pooling, ProviderName};
use relay_messages::{ModelCache, Unsupported};
use relay_providers::{Answer, Attempt, AttemptError, GuardrailConflict, RelayRequest};
use tower::{Service, ServiceExt};

use crate::clock;
use crate::health::{CircuitSettings, CircuitState, KeyHealth, Probe, ProbeSettings, ProviderHealth};
use crate::limits::Quota;

/// The largest number of candidates among which one is found by comparison. It costs less than a hash.
const FEW: usize = 16;

/// The type of a provider that is written outside of the relay.
const CUSTOM: &str = "custom";

/// The service of one candidate: a tower stack from [`Attempt`] to [`Answer`], boxed once. Clones share the box.
///
/// It is always ready. Each call is made by a clone of the stack, once that clone is ready.
#[derive(Clone)]
pub struct CandidateService {
    stack: Arc<dyn Start>,
    has_silent_bodies: bool,
}

/// The future of a [`CandidateService`].
pub(crate) type AttemptFuture = Pin<Box<dyn Future<Output = Result<Answer, AttemptError>> + Send>>;

/// A service that is called by reference.
trait Start: Send + Sync {
    fn start(&self, attempt: Attempt) -> AttemptFuture;
}

impl<S> Start for S
where
    S: Service<Attempt, Response = Answer, Error = AttemptError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    fn start(&self, attempt: Attempt) -> AttemptFuture {
        let mut service = self.clone();
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Box::pin(service.call(attempt)),
            Poll::Ready(Err(error)) => Box::pin(ready(Err(error))),
            // It is polled again, with the waker of the task.
            Poll::Pending => Box::pin(service.oneshot(attempt)),
        }
    }
}

impl CandidateService {
    /// Boxes `service`.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Attempt, Response = Answer, Error = AttemptError> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self { stack: Arc::new(service), has_silent_bodies: false }
    }

    /// With `true`, the bodies of its answers are expected to log nothing before their end, and the span of the attempt is
    /// entered only there. The default is `false`: the span is entered at each frame, so that events of the body carry the attempt.
    #[must_use]
    pub fn with_silent_bodies(self, has_silent_bodies: bool) -> Self {
        Self { has_silent_bodies, ..self }
    }

    pub(crate) fn has_silent_bodies(&self) -> bool {
        self.has_silent_bodies
    }

    /// Calls a clone of the stack.
    pub(crate) fn start(&self, attempt: Attempt) -> AttemptFuture {
        self.stack.start(attempt)
    }
}

impl fmt::Debug for CandidateService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CandidateService")
    }
}

impl Service<Attempt> for CandidateService {
    type Response = Answer;
    type Error = AttemptError;
    type Future = AttemptFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        self.start(attempt)
    }
}

/// One provider, its candidates and its health.
#[derive(Debug, Clone)]
pub struct ProviderPool {
    name: ProviderName,
    kind: &'static str,
    models: Vec<String>,
    mapping: ModelMapping,
    /// The provider's names of models, by the client's.
    mapped: ModelCache<Arc<str>>,
    first_byte_timeout: Duration,
    weight: NonZeroU32,
    pooling: Pooling,
    max_wait: Duration,
    unsupported: Option<UnsupportedFn>,
    guardrails: Option<GuardrailFn>,
    /// By priority, best first; the client's own credential last.
    candidates: Vec<Candidate>,
    /// The ranges of candidates with equal priority, without the client's own credential.
    groups: Vec<Range<usize>>,
    /// The first candidate with each credential.
    indices: HashMap<CredentialId, usize>,
    health: Arc<ProviderHealth>,
}

/// Returns the feature of a request that a provider does not support, given the provider's name of the model.
#[derive(Clone)]
struct UnsupportedFn(Arc<DynUnsupportedFn>);

type DynUnsupportedFn = dyn Fn(&str, &RelayRequest) -> Option<Unsupported> + Send + Sync;

impl fmt::Debug for UnsupportedFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fn")
    }
}

/// Checks a request for a guardrail that the provider does not apply.
#[derive(Clone)]
struct GuardrailFn(Arc<DynGuardrailFn>);

type DynGuardrailFn = dyn Fn(&RelayRequest) -> Option<GuardrailConflict> + Send + Sync;

impl fmt::Debug for GuardrailFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fn")
    }
}

impl ProviderPool {
    /// Creates a provider and sorts `candidates` by priority. Candidates of equal priority keep their order. The client's own
    /// credential comes last.
    ///
    /// `models` lists the names of the provider's models. If it is empty, the provider accepts any model.
    /// `first_byte_timeout` is the limit for the response head of a streamed request while another candidate
    /// remains.
    #[must_use]
    pub fn new(
        name: ProviderName,
        models: Vec<String>,
        first_byte_timeout: Duration,
        mut candidates: Vec<Candidate>,
    ) -> Self {
        candidates.sort_by_key(|candidate| (candidate.is_client(), std::cmp::Reverse(candidate.priority)));
        let groups = groups(&candidates);
        let mut indices = HashMap::with_capacity(candidates.len());
        for (index, candidate) in candidates.iter().enumerate() {
            indices.entry(candidate.credential.clone()).or_insert(index);
        }
        let health = Arc::new(ProviderHealth::new(name.clone(), CircuitSettings::default()));
        Self {
            name,
            kind: CUSTOM,
            models,
            mapping: ModelMapping::default(),
            mapped: ModelCache::default(),
            first_byte_timeout,
            weight: NonZeroU32::MIN,
            pooling: Pooling::default(),
            max_wait: Duration::ZERO,
            unsupported: None,
            guardrails: None,
            candidates,
            groups,
            indices,
            health,
        }
    }

    /// Sets the thresholds of the circuit breaker, and the probe that is run while the circuit is open.
    #[must_use]
    pub fn with_health(mut self, circuit: CircuitSettings, probe: Option<(Probe, ProbeSettings)>) -> Self {
        let health = ProviderHealth::new(self.name.clone(), circuit);
        self.health = Arc::new(match probe {
            Some((probe, settings)) => health.with_probe(probe, settings),
            None => health,
        });
        self
    }

    /// Sets the longest time that a request waits for a key at its limit before the next provider is tried.
    /// Default 0.
    #[must_use]
    pub fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Excludes the provider from requests for which `unsupported` returns a feature. Its first argument is
    /// the provider's name of the model.
    #[must_use]
    pub fn with_unsupported(
        mut self,
        unsupported: impl Fn(&str, &RelayRequest) -> Option<Unsupported> + Send + Sync + 'static,
    ) -> Self {
        self.unsupported = Some(UnsupportedFn(Arc::new(unsupported)));
        self
    }

    /// Excludes the provider from requests for which `guardrails` returns a conflict. A candidate that would answer without
    /// the requested guardrail is never tried.
    #[must_use]
    pub fn with_guardrails(
        mut self,
        guardrails: impl Fn(&RelayRequest) -> Option<GuardrailConflict> + Send + Sync + 'static,
    ) -> Self {
        self.guardrails = Some(GuardrailFn(Arc::new(guardrails)));
        self
    }

    /// Sets the mapping of model names. A name that is mapped to a listed model counts as listed.
    #[must_use]
    pub fn with_mapping(mut self, mapping: ModelMapping) -> Self {
        self.mapping = mapping;
        self.mapped = ModelCache::default();
        self
    }

    /// Sets the name of the provider's type, such as `bedrock`, for the records of attempts. The default is `custom`.
    #[must_use]
    pub fn with_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the provider's weight in weighted strategies. Default 1.
    #[must_use]
    pub fn with_weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the choice among candidates of equal priority. The default is by load.
    #[must_use]
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
    }

    /// Returns the state of the provider's circuit.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        self.health.state(clock::now())
    }

    /// Returns the number of running requests. A request runs until its answer has ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.health.load().in_flight()
    }

    /// Returns the failure of the last attempt in one line, or `None` if it did not fail or there was none.
    ///
    /// A refused request and an unknown model are not failures of the provider.
    #[must_use]
    pub fn last_failure(&self) -> Option<String> {
        self.health.last_failure()
    }

    /// Returns the reason that no request can succeed at the provider now: an operator's decision, an open circuit, no credential,
    /// only rejected ones, or cooldowns of all of them. `None` if some candidate may serve a request.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let now = clock::now();
        if self.health.is_paused() {
            return Some("an operator has paused it".to_owned());
        }
        if let Some(wait) = self.health.wait_time(now) {
            return Some(format!("its circuit is open; it is tried again in {:.1} s", wait.as_secs_f64()));
        }
        if self.candidates.is_empty() {
            return Some("it has no credential".to_owned());
        }
        let mut in_use =
            self.candidates.iter().filter(|candidate| !candidate.health().is_drained()).peekable();
        if in_use.peek().is_none() {
            return Some("an operator drains every credential of it".to_owned());
        }
        if in_use.clone().all(|candidate| candidate.health().is_rejected(now)) {
            return Some("it has rejected every credential of the relay".to_owned());
        }
        let cooldown =
            |candidate: &Candidate| candidate.health().quota().and_then(|quota| quota.cooldown(now));
        let cooldowns: Option<Vec<_>> = in_use.map(cooldown).collect();
        let soonest = cooldowns?.into_iter().min()?;
        Some(format!("all of its credentials are at their limits for {:.1} s", soonest.as_secs_f64()))
    }

    /// Returns the provider's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        &self.name
    }

    /// The name of the provider's type.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn first_byte_timeout(&self) -> Duration {
        self.first_byte_timeout
    }

    pub(crate) fn weight(&self) -> NonZeroU32 {
        self.weight
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

    /// Returns the ranges of candidates with equal priority, best first, without the client's own credential.
    pub(crate) fn groups(&self) -> &[Range<usize>] {
        &self.groups
    }

    /// Returns the range of the candidate with the client's own credential; empty if there is none.
    pub(crate) fn client(&self) -> Range<usize> {
        self.groups.last().map_or(0, |last| last.end)..self.candidates.len()
    }

    /// Returns the index of the candidate with this credential.
    pub(crate) fn index_of(&self, credential: &CredentialId) -> Option<usize> {
        if self.candidates.len() > FEW {
            return self.indices.get(credential).copied();
        }
        self.candidates.iter().position(|candidate| candidate.credential == *credential)
    }

    /// Returns the priority of the best candidate, or `None` if there is none.
    pub(crate) fn priority(&self) -> Option<i32> {
        self.candidates.iter().map(Candidate::priority).max()
    }

    pub(crate) fn health(&self) -> &Arc<ProviderHealth> {
        &self.health
    }

    /// Takes over the health of `other`, the same provider under an earlier configuration, and that of the
    /// keys they share. A clone of `other` shares its health already.
    pub(crate) fn inherit_state(&self, other: &Self) {
        if Arc::ptr_eq(&self.health, &other.health) {
            return;
        }
        self.health.inherit_state(&other.health, clock::now());
        for candidate in &self.candidates {
            if let Some(before) = other.index_of(&candidate.credential) {
                candidate.health.inherit_state(&other.candidates[before].health);
            }
        }
    }

    /// Returns the reason that the provider cannot serve `request` with the guardrail that its client requests.
    pub(crate) fn guardrail_conflict(&self, request: &RelayRequest) -> Option<GuardrailConflict> {
        let GuardrailFn(guardrails) = self.guardrails.as_ref()?;
        guardrails(request)
    }

    /// Returns the feature of `request` that the provider does not support, if any.
    pub(crate) fn unsupported(&self, request: &RelayRequest) -> Option<Unsupported> {
        let UnsupportedFn(unsupported) = self.unsupported.as_ref()?;
        unsupported(&self.mapped(request.body().model()), request)
    }

    /// Returns the provider's name of `model`.
    pub(crate) fn mapped(&self, model: &Arc<str>) -> Arc<str> {
        if self.mapping.is_empty() {
            return Arc::clone(model);
        }
        let lookup = || self.mapping.lookup(model).unwrap_or_else(|| Arc::clone(model));
        self.mapped.get_or_insert_with(model, lookup)
    }

    /// Returns `true` if the provider is known to serve `model`, or if it lists no models.
    pub(crate) fn lists(&self, model: &Arc<str>) -> bool {
        let is_listed = |model: &str| self.models.iter().any(|listed| listed == model);
        self.models.is_empty() || is_listed(model) || is_listed(&self.mapped(model))
    }
}

/// Returns the ranges of equal priority among the first candidates, up to the client's own credential.
fn groups(candidates: &[Candidate]) -> Vec<Range<usize>> {
    let own = candidates.partition_point(|candidate| !candidate.is_client());
    let mut start = 0;
    let groups = candidates[..own].chunk_by(|one, next| one.priority == next.priority).map(|group| {
        let range = start..start + group.len();
        start = range.end;
        range
    });
    groups.collect()
}

/// One provider with one credential.
#[derive(Clone)]
pub struct Candidate {
    credential: CredentialId,
    priority: i32,
    weight: NonZeroU32,
    spends_credential: bool,
    service: CandidateService,
    health: Arc<KeyHealth>,
}

impl Candidate {
    /// Creates a candidate; a higher `priority` is tried first. Its limits are learned from the headers of
    /// its answers.
    pub fn new(credential: CredentialId, priority: i32, service: CandidateService) -> Self {
        let quota = match credential {
            CredentialId::Client => None,
            _ => Some(Arc::new(Quota::new(KeyLimits::default(), clock::now()))),
        };
        let health = Arc::new(KeyHealth::new(quota));
        let spends_credential = matches!(credential, CredentialId::Key(_));
        Self { credential, priority, weight: NonZeroU32::MIN, spends_credential, service, health }
    }

    /// Sets its limits. Candidates of one organization share a quota.
    #[must_use]
    pub fn with_quota(mut self, quota: Arc<Quota>) -> Self {
        self.health = Arc::new(KeyHealth::new(Some(quota)));
        self
    }

    /// Sets its weight among candidates of equal priority. Default 1.
    #[must_use]
    pub fn with_weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets whether its requests carry a credential of the operator. Default: `true` for a configured key. A provider
    /// that signs requests or obtains tokens itself sets it too.
    #[must_use]
    pub fn with_spends_credential(mut self, spends_credential: bool) -> Self {
        self.spends_credential = spends_credential;
        self
    }

    /// Returns the identity of the credential that its requests are sent with.
    #[must_use]
    pub fn credential(&self) -> &CredentialId {
        &self.credential
    }

    /// Returns `true` if its requests carry the client's own credential.
    pub(crate) fn is_client(&self) -> bool {
        self.credential == CredentialId::Client
    }

    /// Returns `true` if its requests carry a credential of the operator.
    pub(crate) fn spends_credential(&self) -> bool {
        self.spends_credential
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

    pub(crate) fn service(&self) -> &CandidateService {
        &self.service
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

/// The name of a candidate, which stays the same under another configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CandidateId {
    pub(crate) provider: ProviderName,
    pub(crate) credential: CredentialId,
}

/// The identity of the credential that a candidate's requests are sent with. It contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialId {
    /// A configured key.
    Key(KeyId),
    /// The client's own credential, passed through.
    Client,
    /// No credential of the relay's: the provider needs none, or signs requests itself.
    None,
}

impl CredentialId {
    /// Returns the name or the digits of a key, `client`, or `none`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(id) => id.as_str(),
            Self::Client => "client",
            Self::None => "none",
        }
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
