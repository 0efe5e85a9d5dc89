//! By chance, but each once in a round.

use fastrand::Rng;

/// A shuffled deck with one card for each item: cards are dealt from the top, and when none is left, all are shuffled
/// for a new round. Chance decides the order, while no item is left out of a round or in it twice.
///
/// Not every item has to be there each time: cards of those that are away stay where they are until they are back.
///
/// ```
/// # use relay_routing::ShuffleBag;
/// let mut bag = ShuffleBag::new(3, 42);
/// let mut round: Vec<_> = (0..3).filter_map(|_| bag.take(&[0, 1, 2])).collect();
/// round.sort();
/// assert_eq!(round, [0, 1, 2]);
/// ```
#[derive(Debug, Clone)]
pub struct ShuffleBag {
    /// What is left of this round; the last one is on top.
    remaining: Vec<usize>,
    random: Rng,
}

impl ShuffleBag {
    /// A deck of `size` cards. The same seed always deals the same cards.
    #[must_use]
    pub fn new(size: usize, seed: u64) -> Self {
        let mut bag = Self { remaining: (0..size).collect(), random: Rng::with_seed(seed) };
        bag.random.shuffle(&mut bag.remaining);
        bag
    }

    /// Deals the next card among those with these numbers; `None` if there are none.
    ///
    /// If all of them have been dealt, they come back in a new order, below the cards of others.
    pub fn take(&mut self, among: &[usize]) -> Option<usize> {
        if !self.remaining.iter().any(|item| among.contains(item)) {
            let mut round = among.to_vec();
            self.random.shuffle(&mut round);
            self.remaining.splice(..0, round);
        }
        let top = self.remaining.iter().rposition(|item| among.contains(item))?;
        Some(self.remaining.remove(top))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(bag: &mut ShuffleBag, among: &[usize]) -> Vec<usize> {
        among.iter().filter_map(|_| bag.take(among)).collect()
    }

    #[test]
    fn every_round_deals_each_once_and_rounds_differ() {
        for seed in 0..100 {
            let mut bag = ShuffleBag::new(5, seed);
            let rounds: Vec<_> = (0..10).map(|_| deal(&mut bag, &[0, 1, 2, 3, 4])).collect();
            for round in &rounds {
                let mut round = round.clone();
                round.sort_unstable();
                assert_eq!(round, [0, 1, 2, 3, 4]);
            }
            assert!(rounds.iter().any(|round| *round != rounds[0]), "{rounds:?}");
        }
    }

    #[test]
    fn the_seed_decides() {
        let deals = |seed| deal(&mut ShuffleBag::new(8, seed), &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(deals(7), deals(7));
        assert_ne!(deals(7), deals(8));
    }

    #[test]
    fn chance_prefers_nobody() {
        let mut first = [0; 4];
        for seed in 0..4000 {
            first[ShuffleBag::new(4, seed).take(&[0, 1, 2, 3]).unwrap()] += 1;
        }
        assert!(first.iter().all(|times| (850..1150).contains(times)), "{first:?}");
    }

    #[test]
    fn a_card_that_was_away_is_dealt_when_it_is_back() {
        let mut bag = ShuffleBag::new(3, 1);
        for _ in 0..5 {
            let mut round = deal(&mut bag, &[0, 1]);
            round.sort_unstable();
            assert_eq!(round, [0, 1]);
        }
        // In its first round only 2 is left, so that it precedes the others, wherever it was.
        assert_eq!(bag.take(&[0, 1, 2]), Some(2));
        assert_eq!(bag.take(&[]), None);
        assert!(bag.remaining.len() <= 3);
    }
}
