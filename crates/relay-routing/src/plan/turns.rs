//! Whose turn it is: all that changes from one plan to the next.

use fastrand::Rng;
use relay_config::{Pooling, Strategy};

use super::shuffle::Deck;
use super::weighted::SmoothWeighted;
use crate::candidate::{Candidate, ProviderPool};

/// The turns of providers, and of the candidates of each.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    pub(super) providers: Turn,
    /// One for each provider.
    pub(super) candidates: Vec<Turn>,
}

impl Turns {
    pub(super) fn new(pools: &[ProviderPool], strategy: Strategy, random: &mut Rng) -> Self {
        let providers = match strategy {
            Strategy::RoundRobin => Turn::equal(pools.len()),
            Strategy::WeightedRoundRobin => {
                Turn::Weighted(SmoothWeighted::new(pools.iter().map(ProviderPool::share)))
            }
            Strategy::Shuffle => Turn::Shuffle(Deck::new(pools.len(), random.u64(..))),
            // By priority; what the model says is no matter of turns.
            _ => Turn::InOrder,
        };
        let candidates = pools.iter().map(|pool| {
            let candidates = pool.candidates();
            match pool.pooling() {
                Pooling::RoundRobin => Turn::equal(candidates.len()),
                Pooling::Weighted => {
                    Turn::Weighted(SmoothWeighted::new(candidates.iter().map(Candidate::weight)))
                }
                Pooling::Random => Turn::Random(random.fork()),
                _ => Turn::InOrder,
            }
        });
        Self { providers, candidates: candidates.collect() }
    }
}

/// Chooses among items, each time anew.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// The first.
    InOrder,
    Weighted(SmoothWeighted),
    Shuffle(Deck),
    /// Any.
    Random(Rng),
}

impl Turn {
    fn equal(items: usize) -> Self {
        Self::Weighted(SmoothWeighted::new(std::iter::repeat_n(std::num::NonZeroU32::MIN, items)))
    }

    /// The one of these whose turn it is, which is over with that; `None` if there are none.
    pub(super) fn take(&mut self, among: &[usize]) -> Option<usize> {
        match self {
            Self::InOrder => among.first().copied(),
            Self::Weighted(turns) => turns.take(among),
            Self::Shuffle(deck) => deck.take(among),
            Self::Random(random) => random.choice(among).copied(),
        }
    }
}
