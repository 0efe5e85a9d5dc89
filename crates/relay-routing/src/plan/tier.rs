//! A part of a plan: candidates of one provider that are tried at the same point of the plan.

use std::time::Instant;

use super::availability::{Availability, ProviderAvailability};
use super::usable::Usable;
use crate::candidate::ProviderPool;

/// Candidates of one provider that are tried at the same point of a plan, in the order of their priorities.
#[derive(Debug)]
pub(super) struct Tier<'a> {
    pub(super) pool: &'a ProviderPool,
    /// The provider's index in the planner.
    pub(super) index: usize,
    pub(super) usable: Usable<'a>,
    pub(super) phase: Phase,
    /// `true` if the provider needs a text in the place of some content, so that all others come before it.
    pub(super) is_last_resort: bool,
    /// The end of the wait for the provider's limits; `None` before the first wait.
    pub(super) wait_until: Option<Instant>,
}

/// The part of a provider's candidates that a tier consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The candidate that the session prefers.
    Preferred(usize),
    /// The candidates that are free.
    Ready,
    /// All candidates, also those that are tried after all others.
    Demoted,
}

impl<'a> Tier<'a> {
    pub(super) fn new(pool: &'a ProviderPool, index: usize, usable: Usable<'a>, phase: Phase) -> Self {
        Self { pool, index, usable, phase, is_last_resort: false, wait_until: None }
    }

    /// Returns the tier for the candidates of a provider that comes after all others.
    pub(super) fn with_last_resort(self) -> Self {
        Self { is_last_resort: true, ..self }
    }

    /// Returns `true` if a candidate with this availability can be tried here.
    pub(super) fn admits(&self, availability: Availability) -> bool {
        match self.phase {
            Phase::Ready => availability.is_free(),
            Phase::Preferred(_) | Phase::Demoted => availability.is_usable(),
        }
    }

    /// Returns `true` if no candidate can be tried here while the provider is in this state.
    pub(super) fn excludes(&self, provider: ProviderAvailability) -> bool {
        provider.is_blocked() || self.phase == Phase::Ready && provider.is_demoted()
    }
}
