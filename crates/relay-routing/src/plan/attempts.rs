//! A plan: hands out its candidates one after the other, each with a lease.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relay_config::{Pooling, ProviderName};
use relay_providers::{Endpoint, RelayRequest};
use tokio::time::Instant;

use super::availability::{Availability, RelativeLoad};
use super::rotation::Rotations;
use crate::affinity::{AffinityTable, SessionKey};
use crate::candidate::{Candidate, CandidateId, ProviderPool};
use crate::lease::Lease;
use crate::limits::RequestCost;
use crate::lock::lock;

/// The candidates of one request, best first. Each is handed out once, and only while it is available.
///
/// The rotation among candidates of equal priority advances when the plan reaches them, so that a provider
/// that is not needed loses no turn.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The planner's count of attempts.
    pub(super) attempts: &'a AtomicU64,
    pub(super) affinity: Option<&'a Arc<AffinityTable>>,
    pub(super) rotations: &'a Mutex<Rotations>,
    pub(super) request: &'a RelayRequest,
    /// `None` if the request does not count against the limits of keys.
    pub(super) cost: Option<RequestCost<'a>>,
    pub(super) session: Option<SessionKey>,
    pub(super) tiers: VecDeque<Tier<'a>>,
    /// `true` if the first candidate is the one that the session prefers.
    pub(super) is_affinity_hit: bool,
}

/// Candidates of one provider with equal priority, in no order yet; never empty.
#[derive(Debug)]
pub(super) struct Tier<'a> {
    pool: &'a ProviderPool,
    /// The provider's index in the planner.
    index: usize,
    /// The indices of the candidates in `pool`, ascending.
    candidates: Vec<usize>,
    /// `true` if the provider needs a text in the place of some content, so that all others come before it.
    is_last_resort: bool,
    /// The end of the wait for the provider's limits; `None` before the first wait.
    wait_until: Option<Instant>,
}

impl<'a> Tier<'a> {
    pub(super) fn new(
        pool: &'a ProviderPool,
        index: usize,
        candidates: Vec<usize>,
        is_last_resort: bool,
    ) -> Self {
        Self { pool, index, candidates, is_last_resort, wait_until: None }
    }
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
    /// Returns all candidates in the order in which they would be tried. Within a tier, unavailable ones come
    /// last.
    pub(super) fn in_order(mut self, now: Instant) -> Vec<(&'a ProviderPool, &'a Candidate, Availability)> {
        let mut order = Vec::with_capacity(self.len());
        for tier in 0..self.tiers.len() {
            let mut tried = Vec::new();
            while let Some(candidate) = self.pick(tier, now) {
                self.tiers[tier].candidates.retain(|other| *other != candidate);
                tried.push(candidate);
            }
            tried.append(&mut self.tiers[tier].candidates);
            let tier = &self.tiers[tier];
            order.extend(tried.into_iter().map(|candidate| {
                (tier.pool, &tier.pool.candidates()[candidate], self.availability(tier, candidate, now))
            }));
        }
        order
    }

    /// Returns the best available candidate with its lease and removes it from the plan.
    pub(crate) fn next(&mut self, now: Instant) -> NextAttempt<'a> {
        for tier in 0..self.tiers.len() {
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

    /// Returns the number of remaining candidates, available or not.
    pub(crate) fn len(&self) -> usize {
        self.tiers.iter().map(|tier| tier.candidates.len()).sum()
    }

    /// Returns `true` if a remaining candidate is available or worth waiting for.
    pub(crate) fn has_more(&self, now: Instant) -> bool {
        self.remaining().any(|(tier, candidate)| {
            let availability = self.availability(tier, candidate, now);
            availability.is_usable() || availability.is_free_within(tier.pool.max_wait())
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
    pub(crate) fn drop_account(&mut self, candidate: &Candidate) {
        for tier in &mut self.tiers {
            let candidates = tier.pool.candidates();
            tier.candidates.retain(|other| !candidates[*other].health().shares_account(candidate.health()));
        }
    }

    /// Returns the reason for which the remaining candidates are unavailable.
    pub(crate) fn blocked(&self, now: Instant) -> Blocked {
        let mut blocked = Blocked::default();
        for (tier, candidate) in self.remaining() {
            match self.availability(tier, candidate, now) {
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
        }
        blocked
    }

    /// Returns the endpoint of the request.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.request.endpoint()
    }

    /// Returns the session of the request and the table that records it.
    pub(crate) fn session(&self) -> Option<(&'a Arc<AffinityTable>, SessionKey)> {
        self.affinity.zip(self.session)
    }

    /// Returns the remaining candidates in the order of the plan.
    fn remaining(&self) -> impl Iterator<Item = (&Tier<'a>, usize)> {
        self.tiers.iter().flat_map(|tier| tier.candidates.iter().map(move |candidate| (tier, *candidate)))
    }

    fn availability(&self, tier: &Tier<'a>, candidate: usize, now: Instant) -> Availability {
        let candidate = &tier.pool.candidates()[candidate];
        Availability::of(tier.pool, candidate, self.request.body().model(), self.cost.as_ref(), now)
    }

    /// Picks a candidate among the available ones of a tier, by the provider's pooling.
    fn pick(&self, tier: usize, now: Instant) -> Option<usize> {
        let tier = &self.tiers[tier];
        let is_usable = |candidate: &usize| self.availability(tier, *candidate, now).is_usable();
        let usable: Vec<usize> = tier.candidates.iter().copied().filter(is_usable).collect();
        match (&usable[..], tier.pool.pooling()) {
            (&[], _) => None,
            (&[only], _) => Some(only),
            (_, Pooling::LeastLoaded) => usable.into_iter().min_by_key(|&candidate| {
                let candidate = &tier.pool.candidates()[candidate];
                let load = candidate.health().load();
                let left = candidate.health().quota().map_or(1.0, |quota| quota.fraction_left(now));
                // In steps of a tenth, so that keys with similar amounts left alternate.
                let used = ((1.0 - left) * 10.0) as u8;
                (RelativeLoad::new(load.in_flight(), candidate.weight()), used, load.last_attempt())
            }),
            _ => lock(self.rotations).candidates[tier.index].pick(&usable),
        }
    }

    fn lease(&mut self, tier_index: usize, candidate: usize, now: Instant) -> Option<LeasedCandidate<'a>> {
        let tier = &mut self.tiers[tier_index];
        let (pool, index) = (tier.pool, tier.index);
        let chosen = &pool.candidates()[candidate];
        let model = self.request.body().model();
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let lease = Lease::acquire(pool.health(), chosen.health(), model, self.cost.as_ref(), attempt, now)?;
        tier.candidates.retain(|other| *other != candidate);
        if tier.candidates.is_empty() {
            self.tiers.remove(tier_index);
        }
        Some(LeasedCandidate { pool, candidate: chosen, lease, index })
    }

    /// Returns the time at which a candidate of the tier's provider becomes free, if none is free now and the
    /// provider's `max_wait` permits the wait.
    fn wait_until(&mut self, tier: usize, now: Instant) -> Option<Instant> {
        let (max_wait, index) = (self.tiers[tier].pool.max_wait(), self.tiers[tier].index);
        if max_wait.is_zero() {
            return None;
        }
        let of_provider = || self.remaining().filter(|(tier, _)| tier.index == index);
        let availabilities =
            || of_provider().map(|(tier, candidate)| self.availability(tier, candidate, now));
        if availabilities().any(Availability::is_free) {
            return None;
        }
        let waits = availabilities().filter_map(|availability| match availability {
            Availability::Limited(wait) => now.checked_add(wait),
            _ => None,
        });
        let soonest = waits.min()?;
        let until = *self.tiers[tier].wait_until.get_or_insert(now + max_wait);
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
