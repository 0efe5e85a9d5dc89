//! Going through a plan, one step after the other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relay_config::{Pooling, ProviderName};
use relay_providers::{Endpoint, RelayRequest};
use tokio::time::Instant;

use super::Planner;
use super::availability::{Availability, RelativeLoad};
use super::rotation::Rotations;
use crate::affinity::{Affinity, CandidateId, Session};
use crate::candidate::{Candidate, ProviderPool};
use crate::lease::Lease;
use crate::limits::RequestCost;
use crate::lock::lock;

/// The candidates of one request, best first. Each comes once, and only if it is free when it is its turn.
///
/// Among candidates of equal priority, one takes its turn when the plan gets to it: a provider that is not needed loses
/// none.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(super) planner: &'a Planner,
    pub(super) rotations: &'a Mutex<Rotations>,
    pub(super) request: &'a RelayRequest,
    /// `None` for what uses nothing of a key's limits.
    pub(super) cost: Option<RequestCost<'a>>,
    pub(super) session: Option<Session>,
    pub(super) tiers: VecDeque<Tier<'a>>,
    /// Whether the first is where the session belongs.
    pub(super) is_affinity_hit: bool,
}

/// Candidates of one provider among which it is a matter of turns who is tried first; never empty.
#[derive(Debug)]
pub(super) struct Tier<'a> {
    pool: &'a ProviderPool,
    /// The provider's index among all.
    index: usize,
    /// Indices among the provider's candidates, in their order.
    candidates: Vec<usize>,
    /// When waiting for one of the provider's is over; `None` as long as nobody has waited.
    wait_until: Option<Instant>,
}

impl<'a> Tier<'a> {
    pub(super) fn new(pool: &'a ProviderPool, index: usize, candidates: Vec<usize>) -> Self {
        Self { pool, index, candidates, wait_until: None }
    }
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum NextAttempt<'a> {
    /// Ask this one.
    Try(LeasedCandidate<'a>),
    /// Wait until then: somebody's limits free up.
    Wait(Instant),
    /// Nobody is left who is free.
    Exhausted,
}

/// Whom to ask, and what is held for that.
#[derive(Debug)]
pub(crate) struct LeasedCandidate<'a> {
    pub(crate) pool: &'a ProviderPool,
    pub(crate) candidate: &'a Candidate,
    pub(crate) lease: Lease,
    /// The provider's index among all.
    index: usize,
}

/// Why those that are left in a plan are not free: when the first of them is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// The soonest end of a limit.
    pub(crate) limited: Option<Duration>,
    /// The provider that is left alone for the shortest time, and how long.
    pub(crate) failing: Option<FailingProvider>,
}

/// A provider that is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailingProvider {
    pub(crate) provider: ProviderName,
    pub(crate) reason: String,
    pub(crate) retry_after: Duration,
}

impl<'a> Plan<'a> {
    /// All of them in the order in which they would be tried, those that are not free behind the others of their rank.
    pub(super) fn in_order(mut self, now: Instant) -> Vec<(&'a ProviderPool, &'a Candidate, Availability)> {
        let mut order = Vec::with_capacity(self.len());
        for place in 0..self.tiers.len() {
            let mut tried = Vec::new();
            while let Some(candidate) = self.take(place, now) {
                self.tiers[place].candidates.retain(|other| *other != candidate);
                tried.push(candidate);
            }
            let tier = &mut self.tiers[place];
            tried.append(&mut tier.candidates);
            let tier = &self.tiers[place];
            order.extend(tried.into_iter().map(|candidate| {
                (tier.pool, &tier.pool.candidates()[candidate], self.availability(tier, candidate, now))
            }));
        }
        order
    }

    /// The best one that is free, with all that an attempt needs.
    pub(crate) fn next(&mut self, now: Instant) -> NextAttempt<'a> {
        for place in 0..self.tiers.len() {
            while let Some(candidate) = self.take(place, now) {
                if let Some(leased) = self.lease(place, candidate, now) {
                    return NextAttempt::Try(leased);
                }
                // Another request was faster; it is not free any more.
            }
            if let Some(until) = self.wait(place, now) {
                return NextAttempt::Wait(until);
            }
        }
        NextAttempt::Exhausted
    }

    /// How many candidates are left, whether they are free or not.
    pub(crate) fn len(&self) -> usize {
        self.tiers.iter().map(|tier| tier.candidates.len()).sum()
    }

    /// Whether anybody is left who can be asked, or is worth waiting for.
    pub(crate) fn has_more(&self, now: Instant) -> bool {
        self.left().any(|(tier, candidate)| {
            let availability = self.availability(tier, candidate, now);
            availability.is_usable() || availability.is_free_within(tier.pool.max_wait())
        })
    }

    /// The provider at `index` has failed, whatever it was asked with: its other candidates come behind all the others.
    pub(crate) fn demote(&mut self, index: usize) {
        let (demoted, rest): (VecDeque<_>, VecDeque<_>) =
            self.tiers.drain(..).partition(|tier| tier.index == index);
        self.tiers = rest;
        self.tiers.extend(demoted);
    }

    /// Why nobody who is left is free.
    pub(crate) fn blocked(&self, now: Instant) -> Blocked {
        let mut blocked = Blocked::default();
        for (tier, candidate) in self.left() {
            match self.availability(tier, candidate, now) {
                Availability::Limited(wait) => {
                    blocked.limited = Some(blocked.limited.map_or(wait, |soonest| soonest.min(wait)));
                }
                Availability::Failing(wait) => {
                    let health = tier.pool.health();
                    let retry_after = health.retry_after(wait);
                    if blocked.failing.as_ref().is_none_or(|soonest| retry_after < soonest.retry_after) {
                        let (provider, reason) = (tier.pool.name().clone(), health.failure());
                        blocked.failing = Some(FailingProvider { provider, reason, retry_after });
                    }
                }
                _ => {}
            }
        }
        blocked
    }

    /// Which operation is asked for.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.request.endpoint()
    }

    /// The session that is served, and who remembers it.
    pub(crate) fn session(&self) -> Option<(&'a Arc<Affinity>, Session)> {
        self.planner.affinity.as_ref().zip(self.session)
    }

    /// Those that are left, in the order of the plan.
    fn left(&self) -> impl Iterator<Item = (&Tier<'a>, usize)> {
        self.tiers.iter().flat_map(|tier| tier.candidates.iter().map(move |candidate| (tier, *candidate)))
    }

    fn availability(&self, tier: &Tier<'a>, candidate: usize, now: Instant) -> Availability {
        let candidate = &tier.pool.candidates()[candidate];
        Availability::of(tier.pool, candidate, self.request.body().model(), self.cost.as_ref(), now)
    }

    /// The candidate of a tier whose turn it is among those that are free.
    fn take(&self, place: usize, now: Instant) -> Option<usize> {
        let tier = &self.tiers[place];
        let is_usable = |candidate: &usize| self.availability(tier, *candidate, now).is_usable();
        let free: Vec<usize> = tier.candidates.iter().copied().filter(is_usable).collect();
        match (&free[..], tier.pool.pooling()) {
            (&[], _) => None,
            (&[only], _) => Some(only),
            (_, Pooling::LeastLoaded) => free.into_iter().min_by_key(|&candidate| {
                let candidate = &tier.pool.candidates()[candidate];
                let load = candidate.health().load();
                let left = candidate.health().quota().map_or(1.0, |quota| quota.share_left(now));
                // In steps of a tenth, so that keys with about as much left take turns.
                let used = ((1.0 - left) * 10.0) as u8;
                (RelativeLoad::of(load.in_flight(), candidate.weight()), used, load.last())
            }),
            _ => lock(self.rotations).candidates[tier.index].take(&free),
        }
    }

    fn lease(&mut self, place: usize, candidate: usize, now: Instant) -> Option<LeasedCandidate<'a>> {
        let tier = &mut self.tiers[place];
        let (pool, index) = (tier.pool, tier.index);
        let chosen = &pool.candidates()[candidate];
        let model = self.request.body().model();
        let number = self.planner.number();
        let lease = Lease::acquire(pool.health(), chosen.health(), model, self.cost.as_ref(), number, now)?;
        tier.candidates.retain(|other| *other != candidate);
        if tier.candidates.is_empty() {
            self.tiers.remove(place);
        }
        Some(LeasedCandidate { pool, candidate: chosen, lease, index })
    }

    /// Until when to wait for a candidate of this tier's provider, if none is free and one will be soon enough.
    fn wait(&mut self, place: usize, now: Instant) -> Option<Instant> {
        let (max_wait, index) = (self.tiers[place].pool.max_wait(), self.tiers[place].index);
        if max_wait.is_zero() {
            return None;
        }
        let of_provider = || self.left().filter(|(tier, _)| tier.index == index);
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
        let until = *self.tiers[place].wait_until.get_or_insert(now + max_wait);
        for tier in self.tiers.iter_mut().filter(|tier| tier.index == index) {
            tier.wait_until = Some(until);
        }
        (soonest <= until).then_some(soonest)
    }
}

impl LeasedCandidate<'_> {
    /// The provider's index among all.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Its name.
    pub(crate) fn id(&self) -> CandidateId {
        CandidateId { provider: self.pool.name().clone(), credential: self.candidate.credential().clone() }
    }
}
