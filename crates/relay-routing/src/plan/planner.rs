//! The planner: orders candidates for requests.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use relay_config::{ProviderName, Strategy};
use relay_providers::{Endpoint, RelayRequest};
use tokio::time::Instant;

use super::attempts::{Plan, Tier};
use super::availability::{Availability, RelativeLoad};
use super::eligibility::{eligible_providers, usable_candidates};
use super::model_routes::ModelRoutes;
use super::ranked::Ranked;
use super::rotation::Rotations;
use crate::affinity::{AffinityHint, AffinityTable, SessionKey};
use crate::candidate::{Candidate, CandidateId, ProviderPool};
use crate::error::PlanError;
use crate::limits::RequestCost;
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
        pools.sort_by_key(|pool| std::cmp::Reverse(pool.candidates().first().map(Candidate::priority)));
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
        let now = Instant::now();
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
        let cost = (request.endpoint() == Endpoint::Messages).then(|| RequestCost::new(request.body()));
        let mut groups = groups.map(|group| {
            let mut group: Vec<Ranked<'_>> = group
                .into_iter()
                .map(|index| self.ranked(index, request, cost.as_ref(), &hint, now))
                .collect();
            // Providers with a free candidate come first, by the priority of the best one. A candidate that
            // is worth waiting for counts as free.
            group.sort_by_key(|ranked| std::cmp::Reverse(ranked.priority()));
            group
        });
        // A provider that cannot read all content is not preferred to one that can.
        let suitable = if groups[..2].iter().all(Vec::is_empty) { &groups[..] } else { &groups[..2] };
        let preferred = hint.preferred.as_ref().and_then(|id| self.find_preferred(id, model, suitable));
        if preferred.is_none()
            && let Some(group) = groups.iter_mut().find(|group| !group.is_empty())
            && let Some(chosen) = self.choose(group, model, rotations)
        {
            group[..=chosen].rotate_right(1);
        }
        Ok(Plan {
            attempts: &self.attempts,
            affinity: self.affinity.as_ref(),
            rotations,
            request,
            cost,
            session: session.map(|(session, _)| session),
            tiers: self
                .tiers(preferred, &groups[..2], false)
                .chain(self.tiers(preferred, &groups[2..], true))
                .collect(),
            is_affinity_hit: preferred.is_some(),
        })
    }

    /// Groups the candidates into tiers: the preferred one, the free ones in order, then the demoted ones in
    /// order.
    fn tiers(
        &self,
        preferred: Option<(usize, usize)>,
        groups: &[Vec<Ranked<'_>>],
        is_last_resort: bool,
    ) -> impl Iterator<Item = Tier<'_>> {
        let tier =
            |index: usize, candidates| Tier::new(&self.pools[index], index, candidates, is_last_resort);
        let is_here =
            |(index, _): &(usize, usize)| groups.iter().flatten().any(|ranked| ranked.index == *index);
        let mut tiers: VecDeque<Tier<'_>> = preferred
            .filter(is_here)
            .into_iter()
            .map(|(index, candidate)| tier(index, vec![candidate]))
            .collect();
        let mut demoted = VecDeque::new();
        for ranked in groups.iter().flatten() {
            for equal in ranked.by_priority() {
                let (mut first, mut last) = (Vec::new(), Vec::new());
                for &(candidate, availability) in equal {
                    match availability.is_demoted() {
                        _ if preferred == Some((ranked.index, candidate)) => {}
                        true => last.push(candidate),
                        false => first.push(candidate),
                    }
                }
                for (candidates, tiers) in [(first, &mut tiers), (last, &mut demoted)] {
                    if !candidates.is_empty() {
                        tiers.push_back(tier(ranked.index, candidates));
                    }
                }
            }
        }
        tiers.append(&mut demoted);
        tiers.into_iter()
    }

    /// Returns the rotations for the request's endpoint.
    pub(super) fn rotations(&self, request: &RelayRequest) -> &Mutex<Rotations> {
        match request.endpoint() {
            Endpoint::Messages => &self.messages,
            Endpoint::CountTokens => &self.counts,
        }
    }

    /// Returns the session of `request`, and `true` if a prefix of it may be cached.
    fn session(&self, request: &RelayRequest) -> Option<(SessionKey, bool)> {
        let affinity = self.affinity.as_ref()?;
        let (conversation, may_be_cached) = Conversation::identify(request)?;
        Some((affinity.session(&conversation, request.body().model()), may_be_cached))
    }

    /// Returns the indices of the preferred candidate's provider and of the candidate, if it is free and no
    /// route prescribes another provider.
    fn find_preferred(
        &self,
        id: &CandidateId,
        model: &str,
        groups: &[Vec<Ranked<'_>>],
    ) -> Option<(usize, usize)> {
        let mut all = groups.iter().flatten();
        let ranked = all.find(|ranked| *ranked.pool.name() == id.provider)?;
        let is_it = |candidate: usize| *ranked.pool.candidates()[candidate].credential() == id.credential;
        let (candidate, _) = ranked
            .candidates
            .iter()
            .find(|(candidate, availability)| availability.is_free() && is_it(*candidate))?;
        let routed = (self.strategy == Strategy::ModelBased).then(|| self.routes.provider(model)).flatten();
        let is_elsewhere = |routed: &ProviderName| {
            *routed != id.provider && groups.iter().flatten().any(|ranked| ranked.pool.name() == routed)
        };
        (!routed.is_some_and(is_elsewhere)).then_some((ranked.index, *candidate))
    }

    /// Returns the position in `among` of the provider that the strategy puts first, or `None` if it keeps
    /// the order. If any provider is free, only free ones are considered.
    fn choose(&self, among: &[Ranked<'_>], model: &str, rotations: &Mutex<Rotations>) -> Option<usize> {
        let free = among.iter().take_while(|ranked| ranked.priority().is_some()).count();
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

    /// Determines the availability of a provider's candidates for `request`.
    fn ranked(
        &self,
        index: usize,
        request: &RelayRequest,
        cost: Option<&RequestCost<'_>>,
        hint: &AffinityHint,
        now: Instant,
    ) -> Ranked<'_> {
        let pool = &self.pools[index];
        let with_availability = |index: usize| {
            let candidate = &pool.candidates()[index];
            let is_avoided = hint.avoided.as_ref().is_some_and(|avoided| {
                avoided.provider == *pool.name() && avoided.credential == *candidate.credential()
            });
            match Availability::of(pool, candidate, request.body().model(), cost, now) {
                Availability::Free if is_avoided => (index, Availability::Interrupted),
                availability => (index, availability),
            }
        };
        Ranked { pool, index, candidates: usable_candidates(pool, request).map(with_availability).collect() }
    }
}
