//! A provider ranked by the availability of its candidates.

use std::time::{Duration, Instant};

use super::availability::ProviderAvailability;
use super::demand::Demand;
use super::usable::Usable;
use crate::candidate::ProviderPool;

/// A provider that can serve a request.
pub(super) struct Ranked<'a> {
    pub(super) pool: &'a ProviderPool,
    /// The provider's index in the planner.
    pub(super) index: usize,
    pub(super) usable: Usable<'a>,
    /// The priority of the best free candidate, else that of the best one that is worth waiting for; `None` if there is
    /// neither.
    pub(super) priority: Option<i32>,
}

impl<'a> Ranked<'a> {
    pub(super) fn new(pool: &'a ProviderPool, index: usize, demand: &Demand<'_>, now: Instant) -> Self {
        let mut ranked = Self { pool, index, usable: Usable::of(pool, demand.request()), priority: None };
        let provider = demand.provider(pool, now);
        let best_within = |time| ranked.best_within(time, demand, provider, now);
        ranked.priority = best_within(Duration::ZERO).or_else(|| {
            let max_wait = Some(pool.max_wait()).filter(|max_wait| !max_wait.is_zero())?;
            best_within(max_wait)
        });
        ranked
    }

    /// Returns `true` if the candidate is free.
    pub(super) fn is_free(&self, candidate: usize, demand: &Demand<'_>, now: Instant) -> bool {
        let provider = demand.provider(self.pool, now);
        demand.availability((self.index, self.pool), provider, candidate, now).is_free()
    }

    /// Returns the priority of the best candidate that is free within `time`. Candidates are ordered by priority but for the
    /// client's own credential, so that the first one of each kind is enough.
    fn best_within(
        &self,
        time: Duration,
        demand: &Demand<'_>,
        provider: ProviderAvailability,
        now: Instant,
    ) -> Option<i32> {
        let is_free = |candidate: &usize| {
            let of = |candidate| demand.availability((self.index, self.pool), provider, candidate, now);
            !demand.is_known_to_be_limited(self.pool, *candidate, time, now)
                && of(*candidate).is_free_within(time)
        };
        let (mut own, client) = self.usable.by_owner();
        let best = own.find(is_free).into_iter().chain(client.filter(is_free));
        best.map(|candidate| self.pool.candidates()[candidate].priority()).max()
    }
}
