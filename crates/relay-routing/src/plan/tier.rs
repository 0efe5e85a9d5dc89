//! A part of a plan: candidates of one provider that are tried at the same point of the plan.

use smallvec::SmallVec;

use super::availability::{Availability, ProviderAvailability};
use super::ranked::Ranked;

/// The tiers of a plan. Most plans have one provider or two.
pub(super) type Tiers = SmallVec<[Tier; 5]>;

/// Candidates of one provider that are tried at the same point of a plan, in the order of their priorities.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tier {
    /// The provider's index in the plan.
    pub(super) provider: usize,
    pub(super) phase: Phase,
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

/// Returns the tiers of `providers`: the preferred candidate, the free ones in order, then the demoted ones in order. After
/// those come the tiers of last resort, in the same order. `preferred` is an index in `providers`, and one of a candidate.
pub(super) fn tiers(providers: &[Ranked<'_>], preferred: Option<(usize, usize)>) -> Tiers {
    let mut tiers = Tiers::new();
    let suitable = providers.iter().take_while(|ranked| !ranked.is_last_resort()).count();
    for group in [0..suitable, suitable..providers.len()] {
        if let Some((provider, candidate)) = preferred.filter(|(provider, _)| group.contains(provider)) {
            tiers.push(Tier { provider, phase: Phase::Preferred(candidate) });
        }
        for phase in [Phase::Ready, Phase::Demoted] {
            for provider in group.clone() {
                tiers.push(Tier { provider, phase });
            }
        }
    }
    tiers
}

impl Tier {
    /// Returns `true` if a candidate with this availability can be tried here.
    pub(super) fn admits(self, availability: Availability) -> bool {
        match self.phase {
            Phase::Ready => availability.is_free(),
            Phase::Preferred(_) | Phase::Demoted => availability.is_usable(),
        }
    }

    /// Returns `true` if no candidate can be tried here while the provider is in this state.
    pub(super) fn excludes(self, provider: ProviderAvailability) -> bool {
        provider.is_blocked() || self.phase == Phase::Ready && provider.is_demoted()
    }
}
