//! A provider ranked by the availability of its candidates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::availability::{Availability, ProviderAvailability};
use super::comparison::{Comparison, Place};
use super::demand::Demand;
use super::eligibility::Suitability;
use super::usable::Usable;
use crate::candidate::ProviderPool;

/// A provider that can serve a request.
#[derive(Debug)]
pub(super) struct Ranked<'a> {
    pub(super) pool: &'a ProviderPool,
    /// The provider's index in the planner.
    pub(super) index: usize,
    pub(super) suitability: Suitability,
    pub(super) usable: Usable<'a>,
    /// The priority of the best free candidate, else that of the best one that is worth waiting for; `None` if there is
    /// neither, or if no other provider has the same suitability.
    pub(super) priority: Option<i32>,
    /// The place among providers of the same priority; `None` if the strategy compares none.
    pub(super) place: Option<Place>,
    /// The end of the wait for the provider's limits; `None` before the first wait.
    pub(super) wait_until: Option<Instant>,
}

impl<'a> Ranked<'a> {
    /// Creates a provider without a priority.
    pub(super) fn new(
        pool: &'a ProviderPool,
        index: usize,
        suitability: Suitability,
        usable: Usable<'a>,
    ) -> Self {
        Self { pool, index, suitability, usable, priority: None, place: None, wait_until: None }
    }

    /// Sets the priority.
    pub(super) fn rank(&mut self, demand: &Demand<'_>, now: Instant) {
        let provider = demand.provider(self.pool, now);
        let best_within = |time| self.best_within(time, demand, provider, now);
        self.priority = best_within(Duration::ZERO).or_else(|| {
            let max_wait = Some(self.pool.max_wait()).filter(|max_wait| !max_wait.is_zero())?;
            best_within(max_wait)
        });
    }

    /// Returns `true` if the provider comes after all that need no text in the place of some content.
    pub(super) fn is_last_resort(&self) -> bool {
        self.suitability == Suitability::LastResort
    }

    /// Returns `true` if the candidate is free.
    pub(super) fn is_free(&self, candidate: usize, demand: &Demand<'_>, now: Instant) -> bool {
        self.availability(demand, demand.provider(self.pool, now), candidate, now).is_free()
    }

    /// Returns the availability of a candidate. The state of its provider is `provider`.
    pub(super) fn availability(
        &self,
        demand: &Demand<'_>,
        provider: ProviderAvailability,
        candidate: usize,
        now: Instant,
    ) -> Availability {
        demand.availability((self.index, self.pool), provider, candidate, now)
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
            !demand.is_known_to_be_limited(self.pool, *candidate, time, now)
                && self.availability(demand, provider, *candidate, now).is_free_within(time)
        };
        let (mut own, client) = self.usable.by_owner();
        let best = own.find(is_free).into_iter().chain(client.filter(is_free));
        best.map(|candidate| self.pool.candidates()[candidate].priority()).max()
    }
}

/// Orders the providers with the priority of the first one by `comparison`, for the client's name of a model. Those with a lower
/// priority, or without a free candidate, keep their places after them.
pub(super) fn arrange(ranked: &mut [Ranked<'_>], comparison: &Comparison<'_>, model: &Arc<str>) {
    let Some(best) = ranked.first().map(|ranked| ranked.priority) else { return };
    let equal = ranked.iter().take_while(|ranked| ranked.priority == best).count();
    if equal < 2 {
        return;
    }
    for ranked in &mut ranked[..equal] {
        ranked.place = Some(comparison.place(ranked.pool, ranked.usable, model));
    }
    // The sort is stable, so that the order of the file breaks ties.
    ranked[..equal].sort_by_key(|ranked| ranked.place);
}
