//! A plan: hands out its candidates one after the other, each with a lease.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relay_config::{Pooling, ProviderName};
use relay_providers::Endpoint;
use smallvec::SmallVec;

use super::availability::{Availability, RelativeLoad};
use super::demand::Demand;
use super::ranked::Ranked;
use super::rotation::Rotations;
use super::tier::{Phase, Tier, Tiers, tiers};
use crate::affinity::{AffinityTable, SessionKey};
use crate::candidate::{Candidate, CandidateId, ProviderPool};
use crate::health::KeyHealth;
use crate::lease::Lease;
use crate::lock::lock;

/// The largest number of available candidates that are compared with each other. Of more candidates with equal priority, each
/// choice compares these many, and begins one further on than the choice before.
const COMPARED: usize = 32;

/// The providers of a plan. Most have one or two.
pub(super) type Providers<'a> = SmallVec<[Ranked<'a>; 2]>;

/// Candidates that are compared with each other. Most providers have few keys.
type Compared = SmallVec<[usize; 8]>;

/// The candidates of one request, best first. Each is handed out once, and only while it is available.
///
/// The rotation among candidates of equal priority advances when the plan reaches them, so that a provider
/// that is not needed loses no turn. A plan holds no list of candidates: it costs the same with ten keys and with ten thousand.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The planner's count of attempts.
    attempts: &'a AtomicU64,
    rotations: &'a Mutex<Rotations>,
    demand: Demand<'a>,
    session: Option<(&'a Arc<AffinityTable>, SessionKey)>,
    providers: Providers<'a>,
    /// For each provider one tier in phase [`Phase::Ready`] and one in phase [`Phase::Demoted`].
    tiers: Tiers,
    /// The candidates that were handed out, as the index of the provider in the planner and that of the candidate. Sorted.
    taken: SmallVec<[(usize, usize); 2]>,
    /// Keys whose account the upstream has rejected.
    dropped: Vec<&'a KeyHealth>,
    /// `true` if the first candidate is the one that the session prefers.
    pub(super) is_affinity_hit: bool,
    /// The preferred candidate, and the time at which the planner has found it to be free; `None` after the first attempt.
    found_free: Option<(usize, Instant)>,
}

/// The next step of failover.
#[derive(Debug)]
pub(crate) enum NextAttempt<'a> {
    /// Try this candidate.
    Try(LeasedCandidate<'a>),
    /// Wait until this time, at which the limits of a candidate permit the request.
    Wait(Instant),
    /// No available candidate remains.
    Exhausted,
}

/// A candidate with the lease that its attempt needs.
#[derive(Debug)]
pub(crate) struct LeasedCandidate<'a> {
    pub(crate) pool: &'a ProviderPool,
    pub(crate) candidate: &'a Candidate,
    pub(crate) lease: Lease,
    /// The provider's index in the planner.
    index: usize,
}

/// The reason for which the remaining candidates are unavailable.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// The shortest time until a limit permits the request.
    pub(crate) limited: Option<Duration>,
    /// The failing provider that is tried again first.
    pub(crate) failing: Option<FailingProvider>,
    /// `true` if an operator has paused a provider, or drains a key.
    pub(crate) is_withheld: bool,
}

/// A provider with an open circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailingProvider {
    pub(crate) provider: ProviderName,
    /// The failure that opened the circuit.
    pub(crate) reason: String,
    pub(crate) retry_after: Duration,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        attempts: &'a AtomicU64,
        rotations: &'a Mutex<Rotations>,
        demand: Demand<'a>,
        providers: Providers<'a>,
        preferred: Option<(usize, usize)>,
        now: Instant,
    ) -> Self {
        let tiers = tiers(&providers, preferred);
        Self {
            attempts,
            rotations,
            demand,
            session: None,
            providers,
            tiers,
            taken: SmallVec::new(),
            dropped: Vec::new(),
            is_affinity_hit: preferred.is_some(),
            found_free: preferred.map(|(_, candidate)| (candidate, now)),
        }
    }

    /// Sets the session of the request and the table that records it.
    pub(super) fn with_session(mut self, session: Option<(&'a Arc<AffinityTable>, SessionKey)>) -> Self {
        self.session = session;
        self
    }

    /// Returns all candidates in the order in which they would be tried. Unavailable ones of a provider come after its others.
    /// Of many candidates with equal priority only the first is chosen: each attempt chooses among those that remain.
    pub(super) fn in_order(mut self, now: Instant) -> Vec<(&'a ProviderPool, &'a Candidate, Availability)> {
        let mut order = Vec::new();
        for tier in self.tiers.clone() {
            let mut tried = Vec::new();
            while let Some(candidate) = self.pick(tier, now) {
                self.take(tier, candidate);
                tried.push(candidate);
                if self.provider(tier).pool.candidates().len() > COMPARED {
                    break;
                }
            }
            let ranked = self.provider(tier);
            let (pool, provider) = (ranked.pool, self.demand.provider(ranked.pool, now));
            let of = |candidate| ranked.availability(&self.demand, provider, candidate, now);
            let is_next = |candidate: &usize| tier.phase == Phase::Demoted || tier.admits(of(*candidate));
            tried.extend(self.remaining_in(ranked).filter(is_next));
            order.extend(tried.iter().map(|&index| (pool, &pool.candidates()[index], of(index))));
            for candidate in tried {
                self.take(tier, candidate);
            }
        }
        order
    }

    /// Returns the best available candidate with its lease and removes it from the plan.
    pub(crate) fn next(&mut self, now: Instant) -> NextAttempt<'a> {
        if let Some((preferred, _)) = self.found_free.take().filter(|(_, at)| *at == now)
            && let Some(leased) = self.lease(self.tiers[0], preferred, now)
        {
            return NextAttempt::Try(leased);
        }
        for position in 0..self.tiers.len() {
            let tier = self.tiers[position];
            while let Some(candidate) = self.pick(tier, now) {
                if let Some(leased) = self.lease(tier, candidate, now) {
                    return NextAttempt::Try(leased);
                }
                // Another request has taken it since `pick`: it is not available any more.
            }
            if let Some(until) = self.wait_until(tier, now) {
                return NextAttempt::Wait(until);
            }
        }
        NextAttempt::Exhausted
    }

    /// Returns `true` if the plan began with exactly one candidate, available or not.
    pub(crate) fn is_single(&self) -> bool {
        self.providers.iter().flat_map(|ranked| ranked.usable.candidates()).take(2).count() == 1
    }

    /// Returns `true` if a remaining candidate is available or worth waiting for.
    pub(crate) fn has_more(&self, now: Instant) -> bool {
        self.providers.iter().any(|ranked| {
            let mut remaining = self.remaining_in(ranked).peekable();
            if remaining.peek().is_none() {
                return false;
            }
            let provider = self.demand.provider(ranked.pool, now);
            let max_wait = ranked.pool.max_wait();
            remaining.any(|candidate| {
                if self.demand.is_known_to_be_limited(ranked.pool, candidate, max_wait, now) {
                    return false;
                }
                let availability = ranked.availability(&self.demand, provider, candidate, now);
                availability.is_usable() || availability.is_free_within(max_wait)
            })
        })
    }

    /// Moves the remaining candidates of the provider at `index` after all others, except those of last resort.
    pub(crate) fn demote(&mut self, index: usize) {
        let providers = &self.providers;
        self.tiers.sort_by_key(|tier| {
            let ranked = &providers[tier.provider];
            (ranked.is_last_resort(), ranked.index == index)
        });
    }

    /// Removes the other keys of the organization of `candidate`, whose account the upstream has rejected.
    pub(crate) fn drop_account(&mut self, candidate: &'a Candidate) {
        self.dropped.push(candidate.health());
    }

    /// Returns the reason for which the remaining candidates are unavailable.
    pub(crate) fn blocked(&self, now: Instant) -> Blocked {
        let mut blocked = Blocked::default();
        // Each provider has one such tier.
        for tier in self.tiers.iter().filter(|tier| tier.phase == Phase::Demoted) {
            let ranked = self.provider(*tier);
            let provider = self.demand.provider(ranked.pool, now);
            for candidate in self.remaining_in(ranked) {
                match ranked.availability(&self.demand, provider, candidate, now) {
                    Availability::Paused | Availability::Drained => blocked.is_withheld = true,
                    Availability::Limited(wait) => {
                        blocked.limited = Some(blocked.limited.map_or(wait, |soonest| soonest.min(wait)));
                    }
                    Availability::Failing(retry_after) => {
                        let health = ranked.pool.health();
                        if blocked.failing.as_ref().is_none_or(|soonest| retry_after < soonest.retry_after) {
                            let (provider, reason) = (ranked.pool.name().clone(), health.open_reason());
                            blocked.failing = Some(FailingProvider { provider, reason, retry_after });
                        }
                    }
                    _ => {}
                }
                if provider.is_blocked() {
                    break;
                }
            }
        }
        blocked
    }

    /// Returns the endpoint of the request.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.demand.endpoint()
    }

    /// Returns the session of the request and the table that records it.
    pub(crate) fn session(&self) -> Option<(&'a Arc<AffinityTable>, SessionKey)> {
        self.session
    }

    fn provider(&self, tier: Tier) -> &Ranked<'a> {
        &self.providers[tier.provider]
    }

    /// Returns the remaining candidates of a provider, available or not, best first.
    fn remaining_in(&self, ranked: &Ranked<'a>) -> impl Iterator<Item = usize> {
        let (index, pool) = (ranked.index, ranked.pool);
        ranked.usable.candidates().filter(move |candidate| self.is_remaining(index, pool, *candidate))
    }

    fn is_remaining(&self, index: usize, pool: &ProviderPool, candidate: usize) -> bool {
        let is_dropped = || {
            let health = pool.candidates()[candidate].health();
            self.dropped.iter().any(|dropped| dropped.shares_account(health))
        };
        self.taken.binary_search(&(index, candidate)).is_err() && !is_dropped()
    }

    /// Records that a candidate of the tier's provider is handed out.
    fn take(&mut self, tier: Tier, candidate: usize) {
        let taken = (self.provider(tier).index, candidate);
        if let Err(place) = self.taken.binary_search(&taken) {
            self.taken.insert(place, taken);
        }
    }

    /// Picks a candidate among the available ones of a tier: the best priority first, then by the provider's pooling.
    fn pick(&self, tier: Tier, now: Instant) -> Option<usize> {
        let ranked = self.provider(tier);
        let provider = self.demand.provider(ranked.pool, now);
        if tier.excludes(provider) {
            return None;
        }
        let is_admitted = |candidate: &usize| {
            !self.demand.is_known_to_be_limited(ranked.pool, *candidate, Duration::ZERO, now)
                && self.is_remaining(ranked.index, ranked.pool, *candidate)
                && tier.admits(ranked.availability(&self.demand, provider, *candidate, now))
        };
        if let Phase::Preferred(candidate) = tier.phase {
            return Some(candidate).filter(is_admitted);
        }
        ranked.usable.groups().find_map(|group| {
            let start = match group.len() > COMPARED {
                true => lock(self.rotations).start(ranked.index, group.len()),
                false => 0,
            };
            let in_turn = (group.start + start..group.end).chain(group.start..group.start + start);
            let usable = in_turn.filter(|candidate| ranked.usable.contains(*candidate)).filter(is_admitted);
            self.choose(ranked, &usable.take(COMPARED).collect::<Compared>(), now)
        })
    }

    /// Chooses one of these candidates by the provider's pooling.
    fn choose(&self, ranked: &Ranked<'a>, among: &[usize], now: Instant) -> Option<usize> {
        match (among, ranked.pool.pooling()) {
            ([], _) => None,
            ([only], _) => Some(*only),
            (_, Pooling::LeastLoaded) => among.iter().copied().min_by_key(|&candidate| {
                let candidate = &ranked.pool.candidates()[candidate];
                let load = candidate.health().load();
                let left = candidate.health().quota().map_or(1.0, |quota| quota.fraction_left(now));
                // In steps of a tenth, so that keys with similar amounts left alternate.
                let used = ((1.0 - left) * 10.0) as u8;
                (RelativeLoad::new(load.in_flight(), candidate.weight()), used, load.last_attempt())
            }),
            _ => lock(self.rotations).candidates[ranked.index].pick(among),
        }
    }

    fn lease(&mut self, tier: Tier, candidate: usize, now: Instant) -> Option<LeasedCandidate<'a>> {
        let (pool, index) = (self.provider(tier).pool, self.provider(tier).index);
        let chosen = &pool.candidates()[candidate];
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let (model, cost) = (self.demand.model(), self.demand.cost());
        let lease = Lease::acquire(pool.health(), chosen.health(), model, cost, attempt, now)?;
        self.take(tier, candidate);
        Some(LeasedCandidate { pool, candidate: chosen, lease, index })
    }

    /// Returns the time at which a candidate of the tier's provider becomes free, if none is free now and the
    /// provider's `max_wait` permits the wait.
    fn wait_until(&mut self, tier: Tier, now: Instant) -> Option<Instant> {
        let ranked = self.provider(tier);
        let max_wait = ranked.pool.max_wait();
        if max_wait.is_zero() {
            return None;
        }
        let provider = self.demand.provider(ranked.pool, now);
        let mut soonest: Option<Instant> = None;
        for candidate in self.remaining_in(ranked) {
            match ranked.availability(&self.demand, provider, candidate, now) {
                Availability::Free => return None,
                Availability::Limited(wait) => {
                    let at = now.checked_add(wait);
                    soonest = soonest.into_iter().chain(at).min();
                }
                _ => {}
            }
        }
        let soonest = soonest?;
        let until = *self.providers[tier.provider].wait_until.get_or_insert(now + max_wait);
        (soonest <= until).then_some(soonest)
    }
}

impl LeasedCandidate<'_> {
    /// Returns the provider's index in the planner.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Returns the candidate's name.
    pub(crate) fn id(&self) -> CandidateId {
        CandidateId { provider: self.pool.name().clone(), credential: self.candidate.credential().clone() }
    }
}
