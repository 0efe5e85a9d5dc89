//! The planner: orders candidates for requests.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use fastrand::Rng;
use relay_config::{ProviderName, Strategy};
use relay_providers::{Endpoint, RelayRequest};

use super::attempts::Plan;
use super::availability::RelativeLoad;
use super::demand::Demand;
use super::eligibility::eligible_providers;
use super::model_routes::ModelRoutes;
use super::ranked::Ranked;
use super::rotation::Rotations;
use super::tier::{Phase, Tier};
use crate::affinity::{AffinityHint, AffinityTable, SessionKey};
use crate::candidate::{CandidateId, ProviderPool};
use crate::clock;
use crate::error::PlanError;
use crate::lock::lock;
use crate::session::Conversation;

/// Orders the candidates for each request by a strategy.
#[derive(Debug)]
pub struct Planner {
    /// By priority; providers of equal priority in file order.
    pub(super) pools: Vec<ProviderPool>,
    pub(super) strategy: Strategy,
    pub(super) strict_models: bool,
    routes: ModelRoutes,
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
        let (routes, affinity, attempts) = (ModelRoutes::default(), None, AtomicU64::new(0));
        Self { pools, strategy, strict_models, routes, affinity, messages, counts, attempts }
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
    /// resting models, and the limits, cooldowns and rejections of each key.
    ///
    /// Providers and keys are matched by name. New ones start without state; the state of removed ones is
    /// dropped.
    #[must_use]
    pub fn inherit_state(mut self, other: &Self) -> Self {
        for pool in &self.pools {
            if let Some(before) = other.pools.iter().find(|before| before.name() == pool.name()) {
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

    /// Returns `true` if some provider has a candidate, and its circuit admits a request now.
    #[must_use]
    pub fn has_usable(&self) -> bool {
        let now = clock::now();
        self.pools.iter().any(|pool| pool.health().wait_time(now).is_none() && !pool.candidates().is_empty())
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
        let model = request.body().model();
        let groups = eligible_providers(&self.pools, self.strict_models, request)?;
        let session = self.session(request);
        let mut hint = match (&self.affinity, session) {
            (Some(affinity), Some((session, _))) => affinity.hint(session, now),
            _ => AffinityHint::default(),
        };
        // A first turn has no cached prefix to return to. It may repeat a request whose answer broke off, so
        // that the avoided candidate still applies.
        hint.preferred.take_if(|_| session.is_some_and(|(_, may_be_cached)| !may_be_cached));
        let avoided = hint.avoided.as_ref().and_then(|id| self.position(id));
        let demand = Demand::new(request, avoided);
        let mut groups = groups.map(|group| {
            let ranked = |index: usize| Ranked::new(&self.pools[index], index, &demand, now);
            let mut group: Vec<Ranked<'_>> = group.into_iter().map(ranked).collect();
            // Providers with a free candidate come first, by the priority of the best one. A candidate that
            // is worth waiting for counts as free.
            group.sort_by_key(|ranked| std::cmp::Reverse(ranked.priority));
            group
        });
        // A provider that cannot read all content is not preferred to one that can.
        let suitable = if groups[..2].iter().all(Vec::is_empty) { &groups[..] } else { &groups[..2] };
        let preferred =
            hint.preferred.as_ref().and_then(|id| self.find_preferred(id, &demand, suitable, now));
        if preferred.is_none()
            && let Some(group) = groups.iter_mut().find(|group| !group.is_empty())
            && let Some(chosen) = self.choose(group, model, rotations)
        {
            group[..=chosen].rotate_right(1);
        }
        let mut all = tiers(preferred, &groups[..2]);
        all.extend(tiers(preferred, &groups[2..]).into_iter().map(Tier::with_last_resort));
        let session = session.map(|(session, _)| session);
        let plan = Plan::new(&self.attempts, rotations, demand, all)
            .with_session(self.affinity.as_ref().zip(session), preferred.is_some());
        Ok(plan)
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

    /// Returns the indices of the preferred candidate's provider and of the candidate, if it is free and no
    /// route prescribes another provider.
    fn find_preferred(
        &self,
        id: &CandidateId,
        demand: &Demand<'_>,
        groups: &[Vec<Ranked<'_>>],
        now: Instant,
    ) -> Option<(usize, usize)> {
        let (index, candidate) = self.position(id)?;
        let ranked = groups.iter().flatten().find(|ranked| ranked.index == index)?;
        if !ranked.usable.contains(candidate) || !ranked.is_free(candidate, demand, now) {
            return None;
        }
        let model = demand.model();
        let routed = (self.strategy == Strategy::ModelBased).then(|| self.routes.provider(model)).flatten();
        let is_elsewhere = |routed: &ProviderName| {
            *routed != id.provider && groups.iter().flatten().any(|ranked| ranked.pool.name() == routed)
        };
        (!routed.is_some_and(is_elsewhere)).then_some((index, candidate))
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
                let indices: Vec<usize> = among.iter().map(|ranked| ranked.index).collect();
                let chosen = lock(rotations).providers.pick(&indices)?;
                indices.iter().position(|&index| index == chosen)
            }
        }
    }
}

/// Returns the tiers of the providers in `groups`: the preferred candidate, the free ones in order, then the demoted ones in
/// order.
fn tiers<'a>(preferred: Option<(usize, usize)>, groups: &[Vec<Ranked<'a>>]) -> VecDeque<Tier<'a>> {
    let ranked = || groups.iter().flatten();
    let of = |ranked: &Ranked<'a>, phase| Tier::new(ranked.pool, ranked.index, ranked.usable, phase);
    let first = preferred.and_then(|(index, candidate)| {
        let ranked = ranked().find(|ranked| ranked.index == index)?;
        Some(of(ranked, Phase::Preferred(candidate)))
    });
    let ready = ranked().map(|ranked| of(ranked, Phase::Ready));
    let demoted = ranked().map(|ranked| of(ranked, Phase::Demoted));
    first.into_iter().chain(ready).chain(demoted).collect()
}
