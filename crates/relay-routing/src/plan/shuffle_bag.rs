//! Random order with each item once per round.

use fastrand::Rng;

/// A shuffle bag: draws items in random order, each once per round. An empty bag is refilled with all items,
/// shuffled again.
///
/// Not every item has to be present at each draw. Absent items stay in the bag until they are present again.
///
/// ```
/// # use relay_routing::ShuffleBag;
/// let mut bag = ShuffleBag::new(3, 42);
/// let mut round: Vec<_> = (0..3).filter_map(|_| bag.pick(&[0, 1, 2])).collect();
/// round.sort();
/// assert_eq!(round, [0, 1, 2]);
/// ```
#[derive(Debug, Clone)]
pub struct ShuffleBag {
    /// The items left of this round; the next one is last.
    remaining: Vec<usize>,
    random: Rng,
}

impl ShuffleBag {
    /// Creates a bag of the items `0..size`. The same seed always gives the same order.
    #[must_use]
    pub fn new(size: usize, seed: u64) -> Self {
        let mut bag = Self { remaining: (0..size).collect(), random: Rng::with_seed(seed) };
        bag.random.shuffle(&mut bag.remaining);
        bag
    }

    /// Draws the next of these items; `None` if there are none.
    ///
    /// If all of them have been drawn in this round, they are added again in a new order, to be drawn after
    /// the others.
    pub fn pick(&mut self, among: &[usize]) -> Option<usize> {
        if !self.remaining.iter().any(|item| among.contains(item)) {
            let mut round = among.to_vec();
            self.random.shuffle(&mut round);
            self.remaining.splice(..0, round);
        }
        let next = self.remaining.iter().rposition(|item| among.contains(item))?;
        Some(self.remaining.remove(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(bag: &mut ShuffleBag, among: &[usize]) -> Vec<usize> {
        among.iter().filter_map(|_| bag.pick(among)).collect()
    }

    #[test]
    fn every_round_contains_each_item_once_and_rounds_differ() {
        for seed in 0..100 {
            let mut bag = ShuffleBag::new(5, seed);
            let rounds: Vec<_> = (0..10).map(|_| draw(&mut bag, &[0, 1, 2, 3, 4])).collect();
            for round in &rounds {
                let mut round = round.clone();
                round.sort_unstable();
                assert_eq!(round, [0, 1, 2, 3, 4]);
            }
            assert!(rounds.iter().any(|round| *round != rounds[0]), "{rounds:?}");
        }
    }

    #[test]
    fn the_seed_determines_the_order() {
        let draws = |seed| draw(&mut ShuffleBag::new(8, seed), &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn every_item_is_first_equally_often() {
        let mut first = [0; 4];
        for seed in 0..4000 {
            first[ShuffleBag::new(4, seed).pick(&[0, 1, 2, 3]).unwrap()] += 1;
        }
        assert!(first.iter().all(|times| (850..1150).contains(times)), "{first:?}");
    }

    #[test]
    fn an_absent_item_is_drawn_when_it_is_back() {
        let mut bag = ShuffleBag::new(3, 1);
        for _ in 0..5 {
            let mut round = draw(&mut bag, &[0, 1]);
            round.sort_unstable();
            assert_eq!(round, [0, 1]);
        }
        // Only 2 is left of the first round, so that it comes before the others.
        assert_eq!(bag.pick(&[0, 1, 2]), Some(2));
        assert_eq!(bag.pick(&[]), None);
        assert!(bag.remaining.len() <= 3);
    }
}
