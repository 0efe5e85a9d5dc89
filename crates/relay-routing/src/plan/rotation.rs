//! Rotations: the state that changes from one plan to the next.

use std::num::NonZeroU32;

use fastrand::Rng;
use relay_config::{Pooling, Strategy};

use super::shuffle_bag::ShuffleBag;
use super::smooth_weighted::SmoothWeighted;
use crate::candidate::{Candidate, ProviderPool};

/// The rotations among providers and among the candidates of each provider.
#[derive(Debug, Clone)]
pub(super) struct Rotations {
    pub(super) providers: Rotation,
    /// One rotation for each provider.
    pub(super) candidates: Vec<Rotation>,
    /// The number of times that a start among many candidates was taken, for each provider.
    starts: Vec<usize>,
}

impl Rotations {
    pub(super) fn new(pools: &[ProviderPool], strategy: Strategy, random: &mut Rng) -> Self {
        let providers = match strategy {
            Strategy::RoundRobin => Rotation::equal(pools.len()),
            Strategy::WeightedRoundRobin => {
                Rotation::Weighted(SmoothWeighted::new(pools.iter().map(ProviderPool::weight)))
            }
            Strategy::Shuffle => Rotation::Shuffle(ShuffleBag::new(pools.len(), random.u64(..))),
            // By priority. The other strategies do not rotate.
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
        Self { providers, candidates: candidates.collect(), starts: vec![0; pools.len()] }
    }

    /// Returns the position among `len` equal candidates of a provider at which to begin, and advances by one.
    pub(super) fn start(&mut self, provider: usize, len: usize) -> usize {
        let start = &mut self.starts[provider];
        let position = *start % len;
        *start = position + 1;
        position
    }
}

/// Picks one of several items, by one of four rules.
#[derive(Debug, Clone)]
pub(super) enum Rotation {
    /// Picks the first item.
    InOrder,
    /// Picks items in proportion to their weights.
    Weighted(SmoothWeighted),
    /// Picks items in random order, each once per round.
    Shuffle(ShuffleBag),
    /// Picks a random item.
    Random(Rng),
}

impl Rotation {
    fn equal(items: usize) -> Self {
        Self::Weighted(SmoothWeighted::new(std::iter::repeat_n(NonZeroU32::MIN, items)))
    }

    /// Picks one of these items and advances; `None` if there are none.
    pub(super) fn pick(&mut self, among: &[usize]) -> Option<usize> {
        match self {
            Self::InOrder => among.first().copied(),
            Self::Weighted(weighted) => weighted.pick(among),
            Self::Shuffle(bag) => bag.pick(among),
            Self::Random(random) => random.choice(among).copied(),
        }
    }
}
