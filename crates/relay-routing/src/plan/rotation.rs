//! Whose turn it is: all that changes from one plan to the next.

use fastrand::Rng;
use relay_config::{Pooling, Strategy};

use super::shuffle_bag::ShuffleBag;
use super::smooth_weighted::SmoothWeighted;
use crate::candidate::{Candidate, ProviderPool};

/// The turns of providers, and of the candidates of each.
#[derive(Debug, Clone)]
pub(super) struct Rotations {
    pub(super) providers: Rotation,
    /// One for each provider.
    pub(super) candidates: Vec<Rotation>,
}

impl Rotations {
    pub(super) fn new(pools: &[ProviderPool], strategy: Strategy, random: &mut Rng) -> Self {
        let providers = match strategy {
            Strategy::RoundRobin => Rotation::equal(pools.len()),
            Strategy::WeightedRoundRobin => {
                Rotation::Weighted(SmoothWeighted::new(pools.iter().map(ProviderPool::share)))
            }
            Strategy::Shuffle => Rotation::Shuffle(ShuffleBag::new(pools.len(), random.u64(..))),
            // By priority; what the model says is no matter of turns.
            _ => Rotation::InOrder,
        };
        let candidates = pools.iter().map(|pool| {
            let candidates = pool.candidates();
            match pool.pooling() {
                Pooling::RoundRobin => Rotation::equal(candidates.len()),
                Pooling::Weighted => {
                    Rotation::Weighted(SmoothWeighted::new(candidates.iter().map(Candidate::weight)))
                }
                Pooling::Random => Rotation::Random(random.fork()),
                _ => Rotation::InOrder,
            }
        });
        Self { providers, candidates: candidates.collect() }
    }
}

/// Chooses among items, each time anew.
#[derive(Debug, Clone)]
pub(super) enum Rotation {
    /// The first.
    InOrder,
    Weighted(SmoothWeighted),
    Shuffle(ShuffleBag),
    /// Any.
    Random(Rng),
}

impl Rotation {
    fn equal(items: usize) -> Self {
        Self::Weighted(SmoothWeighted::new(std::iter::repeat_n(std::num::NonZeroU32::MIN, items)))
    }

    /// The one of these whose turn it is, which is over with that; `None` if there are none.
    pub(super) fn take(&mut self, among: &[usize]) -> Option<usize> {
        match self {
            Self::InOrder => among.first().copied(),
            Self::Weighted(rotations) => rotations.take(among),
            Self::Shuffle(bag) => bag.take(among),
            Self::Random(random) => random.choice(among).copied(),
        }
    }
}
