//! The order in which candidates are tried.
//!
//! ```text
//!            ┌ can serve it ┐   ┌ has somebody who is free ┐
//! providers ─┤ suits        ├─▶ session's home ▸ strategy's choice ▸ the others by priority ─▶ Plan ─next─▶ Step
//!            └ lists it     ┘   those that do not list the model, overloaded or refused ones behind      one, leased
//! ```
//! Within a provider candidates go by their priority, and among equals `pooling` decides. Planning is a function of the
//! request, of what is known of providers and keys, and of whose turn it is; turns are taken under one lock, so that
//! requests at the same time take different ones. Nobody is held to a plan: who is free is looked at anew with every step.

mod availability;
mod explain;
mod model_routes;
mod rotation;
mod shuffle_bag;
mod smooth_weighted;
mod steps;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use relay_config::{ProviderName, Strategy};
use relay_providers::{Endpoint, RelayRequest};
use tokio::time::Instant;

pub use explain::{Explanation, PlannedCandidate};
pub use model_routes::ModelRoutes;
pub use shuffle_bag::ShuffleBag;
pub use smooth_weighted::SmoothWeighted;
pub(crate) use steps::{Blocked, FailingProvider, LeasedCandidate, NextAttempt, Plan};

use crate::affinity::{Affinity, AffinityHint, CandidateId, Session};
use crate::candidate::{Candidate, Credential, ProviderPool};
use crate::error::PlanError;
use crate::limits::RequestCost;
use crate::lock::lock;
use crate::session::Conversation;
use availability::{Availability, RelativeLoad};
use rotation::Rotations;
use steps::Tier;

/// Orders candidates for requests, and knows whose turn it is.
#[derive(Debug)]
pub struct Planner {
    /// By priority, equal ones in file order.
    pools: Vec<ProviderPool>,
    strategy: Strategy,
    strict_models: bool,
    routes: ModelRoutes,
    affinity: Option<Arc<Affinity>>,
    messages: Mutex<Rotations>,
    /// Apart, so that a client that counts before each message does not take every other turn away.
    counts: Mutex<Rotations>,
    /// Numbers the attempts.
    attempts: AtomicU64,
}

impl Planner {
    /// Plans over `upstreams`, given in file order. With `strict_models`, a provider that lists models is asked for
    /// those alone.
    #[must_use]
    pub fn new(mut pools: Vec<ProviderPool>, strategy: Strategy, strict_models: bool) -> Self {
        // A provider ranks by its best candidate; equal ones stay in file order.
        pools.sort_by_key(|pool| std::cmp::Reverse(pool.candidates().first().map(Candidate::priority)));
        let mut random = Rng::new();
        let mut rotations = || Mutex::new(Rotations::new(&pools, strategy, &mut random));
        let (messages, counts) = (rotations(), rotations());
        let (routes, affinity, attempts) = (ModelRoutes::default(), None, AtomicU64::new(0));
        Self { pools, strategy, strict_models, routes, affinity, messages, counts, attempts }
    }

    /// What [`Strategy::ModelBased`] goes by; without, it is [`Strategy::Failover`]. A route to a provider that is not
    /// there, or cannot take the request, has no effect on it.
    #[must_use]
    pub fn with_routes(mut self, routes: ModelRoutes) -> Self {
        self.routes = routes;
        self
    }

    /// Keeps a conversation on the candidate that served it last, as `affinity` remembers.
    #[must_use]
    pub fn with_affinity(mut self, affinity: Arc<Affinity>) -> Self {
        self.affinity = Some(affinity);
        self
    }

    /// Goes on with what `other` knows, under another configuration: sessions, circuits, overloads, and of each key its
    /// limits, cooldowns and refusals. What is new begins anew, what is gone is forgotten.
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

    /// Makes chance repeatable: all turns begin anew, and the same seed brings the same ones.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        for rotations in [&mut self.messages, &mut self.counts] {
            *rotations = Mutex::new(Rotations::new(&self.pools, self.strategy, &mut random));
        }
        self
    }

    /// The strategy's name.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The providers by priority.
    #[must_use]
    pub fn pools(&self) -> &[ProviderPool] {
        &self.pools
    }

    /// Whether a request could be served now, by anybody.
    #[must_use]
    pub fn has_usable(&self) -> bool {
        let now = Instant::now();
        self.pools.iter().any(|pool| pool.health().wait(now).is_none() && !pool.candidates().is_empty())
    }

    /// The candidates for `request`: its session's home if that is free; else those of the provider that the strategy
    /// chooses, and then those of the others by priority. A provider that lists models without this one comes last,
    /// whatever the strategy. Takes the turn of the chosen provider; one that cannot take the request has none.
    ///
    /// # Errors
    /// [`PlanError`] says why there is none, whoever is free.
    pub(crate) fn plan<'a>(&'a self, request: &'a RelayRequest, now: Instant) -> Result<Plan<'a>, PlanError> {
        self.plan_by(self.rotations(request), request, now)
    }

    fn plan_by<'a>(
        &'a self,
        rotations: &'a Mutex<Rotations>,
        request: &'a RelayRequest,
        now: Instant,
    ) -> Result<Plan<'a>, PlanError> {
        let model = request.body().model();
        let groups = self.suitable(request)?;
        let session = self.session(request);
        let mut hint = match (&self.affinity, session) {
            (Some(affinity), Some((session, _))) => affinity.hint(session, now),
            _ => AffinityHint::default(),
        };
        // There is nothing in a cache for it yet; but it may be the repetition of a request whose answer broke off.
        hint.preferred.take_if(|_| session.is_some_and(|(_, goes_on)| !goes_on));
        let cost = (request.endpoint() == Endpoint::Messages).then(|| RequestCost::new(request.body()));
        let mut groups = groups.map(|group| {
            let mut group: Vec<Ranked<'_>> = group
                .into_iter()
                .map(|index| self.ranked(index, request, cost.as_ref(), &hint, now))
                .collect();
            // Those that are free come first, and go by the best of their candidates that are. One that is waited for
            // counts as free.
            group.sort_by_key(|ranked| std::cmp::Reverse(ranked.rank()));
            group
        });
        let preferred =
            hint.preferred.as_ref().and_then(|preferred| self.preferred(preferred, model, &groups));
        if preferred.is_none()
            && let Some(group) = groups.iter_mut().find(|group| !group.is_empty())
            && let Some(chosen) = self.choose(group, model, rotations)
        {
            group[..=chosen].rotate_right(1);
        }

        let mut tiers: VecDeque<Tier<'_>> =
            preferred.into_iter().map(|(index, candidate)| self.tier(index, vec![candidate])).collect();
        let mut demoted = VecDeque::new();
        for ranked in groups.iter().flatten() {
            for rank in ranked.by_rank() {
                let (mut first, mut last) = (Vec::new(), Vec::new());
                for &(candidate, availability) in rank {
                    match availability.is_demoted() {
                        _ if preferred == Some((ranked.index, candidate)) => {}
                        true => last.push(candidate),
                        false => first.push(candidate),
                    }
                }
                for (candidates, tiers) in [(first, &mut tiers), (last, &mut demoted)] {
                    if !candidates.is_empty() {
                        tiers.push_back(self.tier(ranked.index, candidates));
                    }
                }
            }
        }
        tiers.append(&mut demoted);
        let session = session.map(|(session, _)| session);
        Ok(Plan {
            planner: self,
            rotations,
            request,
            cost,
            session,
            tiers,
            is_affinity_hit: preferred.is_some(),
        })
    }

    fn tier(&self, index: usize, candidates: Vec<usize>) -> Tier<'_> {
        Tier::new(&self.pools[index], index, candidates)
    }

    /// The providers that can serve `request`, if not now: those that list its model, and those that do not.
    fn suitable(&self, request: &RelayRequest) -> Result<[Vec<usize>; 2], PlanError> {
        let model = request.body().model();
        if self.pools.is_empty() {
            return Err(PlanError::NoProvider);
        }
        let (listed, mut unlisted): (Vec<usize>, Vec<usize>) =
            (0..self.pools.len()).partition(|&index| self.pools[index].lists(model));
        if self.strict_models {
            unlisted.clear();
        }
        if listed.is_empty() && unlisted.is_empty() {
            return Err(PlanError::UnknownModel { model: model.to_string() });
        }
        let has_credential = |index: &usize| usable(&self.pools[*index], request).next().is_some();
        let with_credential =
            [listed, unlisted].map(|group| group.into_iter().filter(has_credential).collect::<Vec<_>>());
        if with_credential.iter().all(Vec::is_empty) {
            return Err(match request.keys_allowed() {
                false => PlanError::KeysNotAllowed,
                true => PlanError::NoCredential,
            });
        }
        let mut unsupported = Vec::new();
        let mut suits = |index: &usize| {
            let pool = &self.pools[*index];
            let reason = pool.unsupported(request);
            let suits = reason.is_none();
            unsupported.extend(reason.map(|reason| (pool.name().clone(), reason)));
            suits
        };
        let suitable = with_credential.map(|group| group.into_iter().filter(&mut suits).collect::<Vec<_>>());
        match suitable.iter().all(Vec::is_empty) {
            true => Err(PlanError::Unsuitable { unsupported }),
            false => Ok(suitable),
        }
    }

    fn rotations(&self, request: &RelayRequest) -> &Mutex<Rotations> {
        match request.endpoint() {
            Endpoint::Messages => &self.messages,
            Endpoint::CountTokens => &self.counts,
        }
    }

    /// The session of `request`, and whether it goes on with one.
    fn session(&self, request: &RelayRequest) -> Option<(Session, bool)> {
        let affinity = self.affinity.as_ref()?;
        let (conversation, goes_on) = Conversation::of(request)?;
        Some((affinity.session(&conversation, request.body().model()), goes_on))
    }

    /// Where `home` is, if it is free and the strategy does not prescribe another provider.
    fn preferred(
        &self,
        preferred: &CandidateId,
        model: &str,
        groups: &[Vec<Ranked<'_>>],
    ) -> Option<(usize, usize)> {
        let mut ranked = groups.iter().flatten();
        let ranked = ranked.find(|ranked| *ranked.pool.name() == preferred.provider)?;
        let is_home =
            |candidate: usize| *ranked.pool.candidates()[candidate].credential() == preferred.credential;
        let (candidate, _) = ranked
            .candidates
            .iter()
            .find(|(candidate, availability)| availability.is_free() && is_home(*candidate))?;
        let routed = (self.strategy == Strategy::ModelBased).then(|| self.routes.provider(model)).flatten();
        let is_elsewhere = |routed: &ProviderName| {
            *routed != preferred.provider
                && groups.iter().flatten().any(|ranked| ranked.pool.name() == routed)
        };
        (!routed.is_some_and(is_elsewhere)).then_some((ranked.index, *candidate))
    }

    /// The place among these providers of the one that the strategy puts first, if it does: of those that are free, if any
    /// is.
    fn choose(&self, among: &[Ranked<'_>], model: &str, rotations: &Mutex<Rotations>) -> Option<usize> {
        let free = among.iter().take_while(|ranked| ranked.rank().is_some()).count();
        let among = if free > 0 { &among[..free] } else { among };
        match self.strategy {
            Strategy::ModelBased => {
                let name = self.routes.provider(model)?;
                among.iter().position(|ranked| ranked.pool.name() == name)
            }
            Strategy::LeastLoaded => (0..among.len()).min_by_key(|&place| {
                let pool = among[place].pool;
                let load = pool.health().load();
                (RelativeLoad::of(load.in_flight(), pool.share()), load.last())
            }),
            _ => {
                let indices: Vec<usize> = among.iter().map(|ranked| ranked.index).collect();
                let chosen = lock(rotations).providers.take(&indices)?;
                indices.iter().position(|&index| index == chosen)
            }
        }
    }

    /// How the candidates of a provider stand for `request`.
    fn ranked(
        &self,
        index: usize,
        request: &RelayRequest,
        cost: Option<&RequestCost<'_>>,
        hint: &AffinityHint,
        now: Instant,
    ) -> Ranked<'_> {
        let pool = &self.pools[index];
        let availability = |place: usize| {
            let candidate = &pool.candidates()[place];
            let is_avoided = hint.avoided.as_ref().is_some_and(|avoided| {
                avoided.provider == *pool.name() && avoided.credential == *candidate.credential()
            });
            match Availability::of(pool, candidate, request.body().model(), cost, now) {
                Availability::Free if is_avoided => (place, Availability::Interrupted),
                availability => (place, availability),
            }
        };
        Ranked { pool, index, candidates: usable(pool, request).map(availability).collect() }
    }

    /// The number of a new attempt.
    fn number(&self) -> u64 {
        self.attempts.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A provider that can serve a request, and how its candidates stand.
struct Ranked<'a> {
    pool: &'a ProviderPool,
    /// Its index among all.
    index: usize,
    candidates: Vec<(usize, Availability)>,
}

impl Ranked<'_> {
    /// The priority of the best candidate that is free, else of the best that is worth waiting for; `None` if there is
    /// none.
    fn rank(&self) -> Option<i32> {
        let best_within = |time| self.best_within(time);
        best_within(Duration::ZERO).or_else(|| best_within(self.pool.max_wait()))
    }

    fn best_within(&self, time: Duration) -> Option<i32> {
        let free = self.candidates.iter().filter(|(_, availability)| availability.is_free_within(time));
        free.map(|(candidate, _)| self.pool.candidates()[*candidate].priority()).max()
    }

    /// The candidates by their rank, equal ones together.
    fn by_rank(&self) -> impl Iterator<Item = &[(usize, Availability)]> {
        // A client's credential has its place ahead or behind, and takes no turns with keys.
        let rank = |candidate: &(usize, Availability)| {
            let candidate = &self.pool.candidates()[candidate.0];
            (*candidate.credential() == Credential::Client, candidate.priority())
        };
        self.candidates.chunk_by(move |one, next| rank(one) == rank(next))
    }
}

/// What `upstream` can be asked with for `request`, as indices of its candidates. A subscription goes ahead of the
/// provider's keys; any other credential of the client's is used only where the provider has none of its own.
fn usable<'a>(pool: &'a ProviderPool, request: &RelayRequest) -> impl Iterator<Item = usize> + use<'a> {
    let keys_allowed = request.keys_allowed();
    let is_key = |candidate: &Candidate| matches!(candidate.credential(), Credential::Key(_));
    let has_key = keys_allowed && pool.candidates().iter().any(is_key);
    let (ahead, demoted) = match request.client_credential() {
        Some(client) if client.is_subscription() => (true, false),
        Some(_) => (false, !has_key),
        None => (false, false),
    };
    let those = |is_usable: fn(&Credential, bool) -> bool| {
        let candidates = pool.candidates().iter().enumerate();
        candidates
            .filter(move |(_, candidate)| is_usable(candidate.credential(), keys_allowed))
            .map(|(index, _)| index)
    };
    let client = || those(|credential, _| *credential == Credential::Client);
    let own = those(|credential, keys_allowed| match credential {
        Credential::Key(_) => keys_allowed,
        Credential::None => true,
        Credential::Client => false,
    });
    client().filter(move |_| ahead).chain(own).chain(client().filter(move |_| demoted))
}

#[cfg(test)]
mod tests;
