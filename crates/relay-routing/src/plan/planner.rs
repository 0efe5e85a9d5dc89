//! The planner: orders candidates for requests.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use fastrand::Rng;
use relay_config::{ProviderName, Strategy};
use relay_providers::{Endpoint, RelayRequest};
use smallvec::SmallVec;

use super::attempts::{Plan, Providers};
use super::availability::RelativeLoad;
use super::comparison::{Comparison, Prices};
use super::demand::Demand;
use super::eligibility::{eligibility, plan_error};
use super::model_routes::ModelRoutes;
use super::ranked::{Ranked, arrange};
use super::rotation::Rotations;
use crate::affinity::{AffinityHint, AffinityTable, SessionKey};
use crate::candidate::{CandidateId, CredentialId, ProviderPool};
use crate::clock;
use crate::error::PlanError;
use crate::lock::lock;
use crate::pricing::Pricing;
use crate::session::Conversation;

/// Orders the candidates for each request by a strategy.
#[derive(Debug)]
pub struct Planner {
    /// By priority; providers of equal priority in file order.
    pub(super) pools: Vec<ProviderPool>,
    pub(super) strategy: Strategy,
    pub(super) strict_models: bool,
    routes: ModelRoutes,
    /// For [`Strategy::CostBased`].
    prices: Option<Prices>,
    affinity: Option<Arc<AffinityTable>>,
    messages: Mutex<Rotations>,
    /// Separate rotations for token counts. A client that counts tokens before each message would else take
    /// every other turn.
    counts: Mutex<Rotations>,
    /// The number of attempts so far.
    attempts: AtomicU64,
}

impl Planner {
    /// Creates a planner over `pools`, given in file order. With `strict_models`, a provider that lists
    /// models serves only these.
    #[must_use]
    pub fn new(mut pools: Vec<ProviderPool>, strategy: Strategy, strict_models: bool) -> Self {
        // The priority of a provider is that of its best candidate. The sort is stable.
        pools.sort_by_key(|pool| std::cmp::Reverse(pool.priority()));
        let mut random = Rng::new();
        let mut rotations = || Mutex::new(Rotations::new(&pools, strategy, &mut random));
        let (messages, counts) = (rotations(), rotations());
        if strategy == Strategy::LatencyBased {
            pools.iter().for_each(|pool| pool.health().measure_content_times());
        }
        let (routes, prices, affinity) = (ModelRoutes::default(), None, None);
        let attempts = AtomicU64::new(0);
        Self { pools, strategy, strict_models, routes, prices, affinity, messages, counts, attempts }
    }

    /// Sets the prices that [`Strategy::CostBased`] compares. Without prices it behaves as [`Strategy::Failover`].
    #[must_use]
    pub fn with_pricing(mut self, pricing: Arc<dyn Pricing>) -> Self {
        self.prices = Some(Prices(pricing));
        self
    }

    /// Sets the routes of [`Strategy::ModelBased`]. Without routes it behaves as [`Strategy::Failover`].
    ///
    /// A route to a provider that does not exist, or that cannot serve the request, has no effect on that
    /// request.
    #[must_use]
    pub fn with_routes(mut self, routes: ModelRoutes) -> Self {
        self.routes = routes;
        self
    }

    /// Keeps each conversation on the candidate that served it, as recorded in `affinity`.
    #[must_use]
    pub fn with_affinity(mut self, affinity: Arc<AffinityTable>) -> Self {
        self.affinity = Some(affinity);
        self
    }

    /// Takes over the state of `other`, a planner under an earlier configuration: sessions, circuits,
    /// resting models, the limits, cooldowns and rejections of each key, and the times to the first content if both planners
    /// compare them.
    ///
    /// Providers and keys are matched by name. New ones start without state; the state of removed ones is
    /// dropped. A pool that is a clone of one in `other` shares its state from then on.
    #[must_use]
    pub fn inherit_state(mut self, other: &Self) -> Self {
        let known: HashMap<_, _> = other.pools.iter().map(|pool| (pool.name(), pool)).collect();
        for pool in &self.pools {
            if let Some(before) = known.get(pool.name()) {
                pool.inherit_state(before);
            }
        }
        if self.affinity.is_some() && other.affinity.is_some() {
            self.affinity.clone_from(&other.affinity);
        }
        self
    }

    /// Restarts all rotations with this seed. The same seed gives the same random choices.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        for rotations in [&mut self.messages, &mut self.counts] {
            *rotations = Mutex::new(Rotations::new(&self.pools, self.strategy, &mut random));
        }
        self
    }

    /// Returns the strategy.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Returns the providers, best priority first.
    #[must_use]
    pub fn pools(&self) -> &[ProviderPool] {
        &self.pools
    }

    /// Returns `true` if some provider that is not paused has a candidate that is not drained, and its circuit admits a request
    /// now.
    #[must_use]
    pub fn has_usable(&self) -> bool {
        let now = clock::now();
        let has_candidate =
            |pool: &ProviderPool| pool.candidates().iter().any(|candidate| !candidate.health().is_drained());
        let admits = |pool: &ProviderPool| {
            !pool.health().is_paused() && pool.health().wait_time(now).is_none() && has_candidate(pool)
        };
        self.pools.iter().any(admits)
    }

    /// Returns `true` if an operator has paused this provider, or drains this credential of it.
    #[must_use]
    pub fn is_withheld(&self, provider: &ProviderName, credential: &CredentialId) -> bool {
        let Some(pool) = self.pools.iter().find(|pool| pool.name() == provider) else { return false };
        let is_drained = |index: usize| pool.candidates()[index].health().is_drained();
        pool.health().is_paused() || pool.index_of(credential).is_some_and(is_drained)
    }

    /// Orders the candidates for `request`.
    ///
    /// The candidate that the session prefers comes first if it is free. Else the provider that the strategy
    /// chooses comes first. The others follow by priority. A provider that lists models without this one
    /// comes last with any strategy.
    ///
    /// Planning takes a turn of the rotation among the providers that can serve the request.
    ///
    /// # Errors
    /// [`PlanError`] if no candidate can serve the request, now or later.
    pub(crate) fn plan<'a>(&'a self, request: &'a RelayRequest, now: Instant) -> Result<Plan<'a>, PlanError> {
        self.plan_with(self.rotations(request), request, now)
    }

    /// Orders the candidates with these rotations.
    pub(super) fn plan_with<'a>(
        &'a self,
        rotations: &'a Mutex<Rotations>,
        request: &'a RelayRequest,
        now: Instant,
    ) -> Result<Plan<'a>, PlanError> {
        let mut providers = self.eligible(request)?;
        let session = self.session(request);
        let place = |id: &CandidateId| self.position(id);
        let mut hint = match (&self.affinity, session) {
            (Some(affinity), Some((session, _))) => affinity.hint(session, now, place).unwrap_or_default(),
            _ => AffinityHint::default(),
        };
        // A first turn has no cached prefix to return to. It may repeat a request whose answer broke off, so
        // that the avoided candidate still applies.
        hint.preferred.take_if(|_| session.is_some_and(|(_, may_be_cached)| !may_be_cached));
        let demand = Demand::new(request, hint.avoided);
        rank(&mut providers, &demand, now);
        let preferred = hint.preferred.and_then(|place| self.find_preferred(place, &demand, &providers, now));
        if preferred.is_none() {
            self.put_first(&mut providers, &demand, rotations, now);
        }
        let session = self.affinity.as_ref().zip(session.map(|(session, _)| session));
        let plan = Plan::new(&self.attempts, rotations, demand, providers, preferred, now);
        Ok(plan.with_session(session))
    }

    /// Returns the providers that can serve `request`, now or later, in the order of their suitability.
    fn eligible(&self, request: &RelayRequest) -> Result<Providers<'_>, PlanError> {
        let mut providers = Providers::new();
        for (index, pool) in self.pools.iter().enumerate() {
            if let Ok((suitability, usable)) = eligibility(pool, self.strict_models, request) {
                providers.push(Ranked::new(pool, index, suitability, usable));
            }
        }
        if providers.is_empty() {
            return Err(plan_error(&self.pools, self.strict_models, request));
        }
        providers.sort_by_key(|ranked| ranked.suitability);
        Ok(providers)
    }

    /// Returns the rotations for the request's endpoint.
    pub(super) fn rotations(&self, request: &RelayRequest) -> &Mutex<Rotations> {
        match request.endpoint() {
            Endpoint::CountTokens => &self.counts,
            _ => &self.messages,
        }
    }

    /// Returns the session of `request`, and `true` if a prefix of it may be cached.
    fn session(&self, request: &RelayRequest) -> Option<(SessionKey, bool)> {
        let affinity = self.affinity.as_ref()?;
        let (conversation, may_be_cached) = Conversation::identify(request)?;
        Some((affinity.session(&conversation, request.body().model()), may_be_cached))
    }

    /// Returns the indices of a candidate's provider and of the candidate.
    fn position(&self, id: &CandidateId) -> Option<(usize, usize)> {
        let index = self.pools.iter().position(|pool| *pool.name() == id.provider)?;
        Some((index, self.pools[index].index_of(&id.credential)?))
    }

    /// Returns the index in `providers` of the preferred candidate's provider, and the index of the candidate, if it is free
    /// and no route prescribes another provider. A provider that cannot read all content is not preferred to one that can.
    fn find_preferred(
        &self,
        (index, candidate): (usize, usize),
        demand: &Demand<'_>,
        providers: &[Ranked<'_>],
        now: Instant,
    ) -> Option<(usize, usize)> {
        let suitable = providers.iter().take_while(|ranked| !ranked.is_last_resort()).count();
        let suitable = if suitable == 0 { providers } else { &providers[..suitable] };
        let provider = suitable.iter().position(|ranked| ranked.index == index)?;
        let ranked = &suitable[provider];
        if !ranked.usable.contains(candidate) || !ranked.is_free(candidate, demand, now) {
            return None;
        }
        let routed =
            (self.strategy == Strategy::ModelBased).then(|| self.routes.provider(demand.model())).flatten();
        let is_elsewhere = |routed: &ProviderName| {
            routed != ranked.pool.name() && suitable.iter().any(|ranked| ranked.pool.name() == routed)
        };
        (!routed.is_some_and(is_elsewhere)).then_some((provider, candidate))
    }

    /// Moves the provider that the strategy chooses before the others of the same suitability.
    fn put_first(
        &self,
        providers: &mut [Ranked<'_>],
        demand: &Demand<'_>,
        rotations: &Mutex<Rotations>,
        now: Instant,
    ) {
        let Some(group) = providers.chunk_by_mut(is_as_suitable).next() else { return };
        if let Some(comparison) = self.comparison(demand, now) {
            arrange(group, &comparison, demand.model());
        } else if let Some(chosen) = self.choose(group, demand.model(), rotations) {
            group[..=chosen].rotate_right(1);
        }
    }

    /// Returns the comparison of providers that the strategy makes for a request, if it makes one.
    pub(super) fn comparison(&self, demand: &Demand<'_>, now: Instant) -> Option<Comparison<'_>> {
        Comparison::of(self.strategy, self.prices.as_ref(), demand, now)
    }

    /// Returns the position in `among` of the provider that the strategy puts first, or `None` if it keeps
    /// the order. If any provider is free, only free ones are considered.
    fn choose(&self, among: &[Ranked<'_>], model: &str, rotations: &Mutex<Rotations>) -> Option<usize> {
        let free = among.iter().take_while(|ranked| ranked.priority.is_some()).count();
        let among = if free > 0 { &among[..free] } else { among };
        match self.strategy {
            Strategy::ModelBased => {
                let name = self.routes.provider(model)?;
                among.iter().position(|ranked| ranked.pool.name() == name)
            }
            Strategy::LeastLoaded => (0..among.len()).min_by_key(|&position| {
                let pool = among[position].pool;
                let load = pool.health().load();
                (RelativeLoad::new(load.in_flight(), pool.weight()), load.last_attempt())
            }),
            _ => {
                let indices: SmallVec<[usize; 8]> = among.iter().map(|ranked| ranked.index).collect();
                let chosen = lock(rotations).providers.pick(&indices)?;
                indices.iter().position(|&index| index == chosen)
            }
        }
    }
}

/// Orders the providers of each suitability: those with a free candidate come first, by the priority of the best one. A
/// candidate that is worth waiting for counts as free.
fn rank(providers: &mut [Ranked<'_>], demand: &Demand<'_>, now: Instant) {
    for group in providers.chunk_by_mut(is_as_suitable).filter(|group| group.len() > 1) {
        for ranked in &mut *group {
            ranked.rank(demand, now);
        }
        group.sort_by_key(|ranked| std::cmp::Reverse(ranked.priority));
    }
}

fn is_as_suitable(one: &Ranked<'_>, next: &Ranked<'_>) -> bool {
    one.suitability == next.suitability
}
