//! A plan: hands out its candidates one after the other, each with a lease.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relay_config::{Pooling, ProviderName};
use relay_providers::Endpoint;

use super::availability::{Availability, ProviderAvailability, RelativeLoad};
use super::demand::Demand;
use super::rotation::Rotations;
use super::tier::{Phase, Tier};
use crate::affinity::{AffinityTable, SessionKey};
use crate::candidate::{Candidate, CandidateId, ProviderPool};
use crate::health::KeyHealth;
use crate::lease::Lease;
use crate::lock::lock;

/// The largest number of available candidates that are compared with each other. Of more candidates with equal priority, each
/// choice compares these many, and begins one further on than the choice before.
const COMPARED: usize = 32;

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
    /// For each provider one tier in phase [`Phase::Ready`] and one in phase [`Phase::Demoted`].
    tiers: VecDeque<Tier<'a>>,
    /// The candidates that were handed out, as the index of the provider and of the candidate.
    taken: HashSet<(usize, usize)>,
    /// Keys whose account the upstream has rejected.
    dropped: Vec<&'a KeyHealth>,
    /// `true` if the first candidate is the one that the session prefers.
    pub(super) is_affinity_hit: bool,
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
        tiers: VecDeque<Tier<'a>>,
    ) -> Self {
        let (taken, dropped) = (HashSet::new(), Vec::new());
        Self { attempts, rotations, demand, session: None, tiers, taken, dropped, is_affinity_hit: false }
    }

    /// Sets the session of the request and the table that records it.
    pub(super) fn with_session(
        mut self,
        session: Option<(&'a Arc<AffinityTable>, SessionKey)>,
        is_affinity_hit: bool,
    ) -> Self {
        (self.session, self.is_affinity_hit) = (session, is_affinity_hit);
        self
    }

    /// Returns all candidates in the order in which they would be tried. Unavailable ones of a provider come after its others.
    /// Of many candidates with equal priority only the first is chosen: each attempt chooses among those that remain.
    pub(super) fn in_order(mut self, now: Instant) -> Vec<(&'a ProviderPool, &'a Candidate, Availability)> {
        let mut order = Vec::new();
        for position in 0..self.tiers.len() {
            let mut tried = Vec::new();
            while let Some(candidate) = self.pick(&self.tiers[position], now) {
                let tier = &self.tiers[position];
                self.taken.insert((tier.index, candidate));
                tried.push(candidate);
                if tier.pool.candidates().len() > COMPARED {
                    break;
                }
            }
            let tier = &self.tiers[position];
            let provider = self.demand.provider(tier.pool, now);
            let of = |candidate| self.availability(tier, provider, candidate, now);
            let is_next = |candidate: &usize| tier.phase == Phase::Demoted || tier.admits(of(*candidate));
            tried.extend(self.remaining_in(tier).filter(is_next));
            let candidates = tier.pool.candidates();
            order.extend(tried.iter().map(|&index| (tier.pool, &candidates[index], of(index))));
            let index = tier.index;
            self.taken.extend(tried.into_iter().map(|candidate| (index, candidate)));
        }
        order
    }

    /// Returns the best available candidate with its lease and removes it from the plan.
    pub(crate) fn next(&mut self, now: Instant) -> NextAttempt<'a> {
        for tier in 0..self.tiers.len() {
            while let Some(candidate) = self.pick(&self.tiers[tier], now) {
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

    /// Returns `true` if exactly one candidate remains, available or not.
    pub(crate) fn is_single(&self) -> bool {
        self.providers().flat_map(|tier| self.remaining_in(tier)).take(2).count() == 1
    }

    /// Returns `true` if a remaining candidate is available or worth waiting for.
    pub(crate) fn has_more(&self, now: Instant) -> bool {
        self.providers().any(|tier| {
            let provider = self.demand.provider(tier.pool, now);
            let max_wait = tier.pool.max_wait();
            self.remaining_in(tier).any(|candidate| {
                if self.demand.is_known_to_be_limited(tier.pool, candidate, max_wait, now) {
                    return false;
                }
                let availability = self.availability(tier, provider, candidate, now);
                availability.is_usable() || availability.is_free_within(max_wait)
            })
        })
    }

    /// Moves the remaining candidates of the provider at `index` after all others, except those of last resort.
    pub(crate) fn demote(&mut self, index: usize) {
        let (demoted, rest): (VecDeque<_>, VecDeque<_>) =
            self.tiers.drain(..).partition(|tier| tier.index == index);
        self.tiers = rest;
        self.tiers.extend(demoted);
        self.tiers.make_contiguous().sort_by_key(|tier| tier.is_last_resort);
    }

    /// Removes the other keys of the organization of `candidate`, whose account the upstream has rejected.
    pub(crate) fn drop_account(&mut self, candidate: &'a Candidate) {
        self.dropped.push(candidate.health());
    }

    /// Returns the reason for which the remaining candidates are unavailable.
    pub(crate) fn blocked(&self, now: Instant) -> Blocked {
        let mut blocked = Blocked::default();
        for tier in self.providers() {
            let provider = self.demand.provider(tier.pool, now);
            for candidate in self.remaining_in(tier) {
                match self.availability(tier, provider, candidate, now) {
                    Availability::Limited(wait) => {
                        blocked.limited = Some(blocked.limited.map_or(wait, |soonest| soonest.min(wait)));
                    }
                    Availability::Failing(retry_after) => {
                        let health = tier.pool.health();
                        if blocked.failing.as_ref().is_none_or(|soonest| retry_after < soonest.retry_after) {
                            let (provider, reason) = (tier.pool.name().clone(), health.open_reason());
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

    /// Returns one tier for each provider.
    fn providers(&self) -> impl Iterator<Item = &Tier<'a>> {
        self.tiers.iter().filter(|tier| tier.phase == Phase::Demoted)
    }

    /// Returns the remaining candidates of a tier's provider, available or not, best first.
    fn remaining_in(&self, tier: &Tier<'a>) -> impl Iterator<Item = usize> {
        let (index, pool) = (tier.index, tier.pool);
        tier.usable.candidates().filter(move |candidate| self.is_remaining(index, pool, *candidate))
    }

    fn is_remaining(&self, index: usize, pool: &ProviderPool, candidate: usize) -> bool {
        let health = pool.candidates()[candidate].health();
        !self.taken.contains(&(index, candidate))
            && !self.dropped.iter().any(|dropped| dropped.shares_account(health))
    }

    fn availability(
        &self,
        tier: &Tier<'a>,
        provider: ProviderAvailability,
        candidate: usize,
        now: Instant,
    ) -> Availability {
        self.demand.availability((tier.index, tier.pool), provider, candidate, now)
    }

    /// Picks a candidate among the available ones of a tier: the best priority first, then by the provider's pooling.
    fn pick(&self, tier: &Tier<'a>, now: Instant) -> Option<usize> {
        let provider = self.demand.provider(tier.pool, now);
        if tier.excludes(provider) {
            return None;
        }
        let is_admitted = |candidate: &usize| {
            !self.demand.is_known_to_be_limited(tier.pool, *candidate, Duration::ZERO, now)
                && self.is_remaining(tier.index, tier.pool, *candidate)
                && tier.admits(self.availability(tier, provider, *candidate, now))
        };
        if let Phase::Preferred(candidate) = tier.phase {
            return Some(candidate).filter(is_admitted);
        }
        tier.usable.groups().find_map(|group| {
            let start = match group.len() > COMPARED {
                true => lock(self.rotations).start(tier.index, group.len()),
                false => 0,
            };
            let in_turn = (group.start + start..group.end).chain(group.start..group.start + start);
            let usable = in_turn.filter(|candidate| tier.usable.contains(*candidate)).filter(is_admitted);
            self.choose(tier, &usable.take(COMPARED).collect::<Vec<_>>(), now)
        })
    }

    /// Chooses one of these candidates by the provider's pooling.
    fn choose(&self, tier: &Tier<'a>, among: &[usize], now: Instant) -> Option<usize> {
        match (among, tier.pool.pooling()) {
            ([], _) => None,
            ([only], _) => Some(*only),
            (_, Pooling::LeastLoaded) => among.iter().copied().min_by_key(|&candidate| {
                let candidate = &tier.pool.candidates()[candidate];
                let load = candidate.health().load();
                let left = candidate.health().quota().map_or(1.0, |quota| quota.fraction_left(now));
                // In steps of a tenth, so that keys with similar amounts left alternate.
                let used = ((1.0 - left) * 10.0) as u8;
                (RelativeLoad::new(load.in_flight(), candidate.weight()), used, load.last_attempt())
            }),
            _ => lock(self.rotations).candidates[tier.index].pick(among),
        }
    }

    fn lease(&mut self, tier: usize, candidate: usize, now: Instant) -> Option<LeasedCandidate<'a>> {
        let (pool, index) = (self.tiers[tier].pool, self.tiers[tier].index);
        let chosen = &pool.candidates()[candidate];
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let (model, cost) = (self.demand.model(), self.demand.cost());
        let lease = Lease::acquire(pool.health(), chosen.health(), model, cost, attempt, now)?;
        self.taken.insert((index, candidate));
        Some(LeasedCandidate { pool, candidate: chosen, lease, index })
    }

    /// Returns the time at which a candidate of the tier's provider becomes free, if none is free now and the
    /// provider's `max_wait` permits the wait.
    fn wait_until(&mut self, tier: usize, now: Instant) -> Option<Instant> {
        let tier = &self.tiers[tier];
        let (max_wait, index) = (tier.pool.max_wait(), tier.index);
        if max_wait.is_zero() {
            return None;
        }
        let provider = self.demand.provider(tier.pool, now);
        let mut soonest: Option<Instant> = None;
        for candidate in self.remaining_in(tier) {
            match self.availability(tier, provider, candidate, now) {
                Availability::Free => return None,
                Availability::Limited(wait) => {
                    let at = now.checked_add(wait);
                    soonest = soonest.into_iter().chain(at).min();
                }
                _ => {}
            }
        }
        let (soonest, until) = (soonest?, tier.wait_until.unwrap_or(now + max_wait));
        for tier in self.tiers.iter_mut().filter(|tier| tier.index == index) {
            tier.wait_until = Some(until);
        }
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
