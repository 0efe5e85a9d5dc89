//! A provider ranked by the availability of its candidates.

use std::time::Duration;

use super::availability::Availability;
use crate::candidate::{CredentialId, ProviderPool};

/// A provider that can serve a request, with the availability of its usable candidates.
pub(super) struct Ranked<'a> {
    pub(super) pool: &'a ProviderPool,
    /// The provider's index in the planner.
    pub(super) index: usize,
    /// The indices of the candidates in `pool`, with their availability.
    pub(super) candidates: Vec<(usize, Availability)>,
}

impl Ranked<'_> {
    /// Returns the priority of the best free candidate, else that of the best one that is worth waiting for.
    /// Returns `None` if there is neither.
    pub(super) fn priority(&self) -> Option<i32> {
        let best_within = |time| self.best_within(time);
        best_within(Duration::ZERO).or_else(|| best_within(self.pool.max_wait()))
    }

    fn best_within(&self, time: Duration) -> Option<i32> {
        let free = self.candidates.iter().filter(|(_, availability)| availability.is_free_within(time));
        free.map(|(candidate, _)| self.pool.candidates()[*candidate].priority()).max()
    }

    /// Returns the candidates in groups of equal priority, best first.
    pub(super) fn by_priority(&self) -> impl Iterator<Item = &[(usize, Availability)]> {
        // The client's credential is its own group before or after the keys, and takes no part in their
        // rotation.
        let group = |candidate: &(usize, Availability)| {
            let candidate = &self.pool.candidates()[candidate.0];
            (*candidate.credential() == CredentialId::Client, candidate.priority())
        };
        self.candidates.chunk_by(move |one, next| group(one) == group(next))
    }
}
