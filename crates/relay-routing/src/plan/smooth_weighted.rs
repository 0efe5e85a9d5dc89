//! In turn, as often as a weight says.

use std::num::NonZeroU32;

/// Smooth weighted round robin: in every full cycle each item is taken exactly as often as its weight says, and the
/// turns of one item are spread over the cycle instead of following each other. With equal weights it is plain round
/// robin.
///
/// Not every item has to be there each time: those that are away neither gain nor lose, so that requests for one group
/// of items do not shift the turns within another.
///
/// ```
/// # use std::num::NonZeroU32;
/// # use relay_routing::SmoothWeighted;
/// let mut wrr = SmoothWeighted::new([5, 1, 1].map(|weight| NonZeroU32::new(weight).unwrap()));
/// let cycle: Vec<_> = (0..7).filter_map(|_| wrr.take(&[0, 1, 2])).collect();
/// assert_eq!(cycle, [0, 0, 1, 0, 2, 0, 0]);
/// ```
/// # Source
/// nginx, `ngx_http_upstream_get_peer`: every item gains its weight, the one with most is taken and pays the sum.
#[derive(Debug, Clone)]
pub struct SmoothWeighted {
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
struct Item {
    weight: i64,
    /// What it has gained and not paid. The sum over all items is always 0.
    balance: i64,
}

impl SmoothWeighted {
    /// One item for each weight.
    pub fn new(weights: impl IntoIterator<Item = NonZeroU32>) -> Self {
        let items = weights.into_iter().map(|weight| Item { weight: weight.get().into(), balance: 0 });
        Self { items: items.collect() }
    }

    /// Takes the one whose turn it is among the items with these indices, the first of equals; `None` if there are none.
    ///
    /// # Panics
    /// If an index is not less than the number of weights.
    pub fn take(&mut self, among: &[usize]) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for &index in among {
            let item = &mut self.items[index];
            item.balance += item.weight;
            total += item.weight;
            let balance = item.balance;
            if best.is_none_or(|best| balance > self.items[best].balance) {
                best = Some(index);
            }
        }
        self.items[best?].balance -= total;
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weights: &[u32]) -> SmoothWeighted {
        SmoothWeighted::new(weights.iter().map(|&weight| NonZeroU32::new(weight).unwrap()))
    }

    #[track_caller]
    fn check(weights: &[u32], expected: &[usize]) {
        let all: Vec<usize> = (0..weights.len()).collect();
        let mut wrr = of(weights);
        for cycle in 0..3 {
            let taken: Vec<_> = expected.iter().filter_map(|_| wrr.take(&all)).collect();
            assert_eq!(taken, expected, "cycle {cycle}");
        }
    }

    #[test]
    fn the_turns_are_those_of_nginx() {
        check(&[7], &[0]);
        check(&[1, 1, 1], &[0, 1, 2]);
        check(&[2, 1], &[0, 1, 0]);
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
        check(&[1, 2, 3], &[2, 1, 0, 2, 1, 2]);
    }

    #[test]
    fn shares_are_exact_over_every_full_cycle() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..200 {
            let weights: Vec<u32> = (0..random.usize(1..9)).map(|_| random.u32(1..40)).collect();
            let all: Vec<usize> = (0..weights.len()).collect();
            let mut wrr = of(&weights);
            for _ in 0..3 {
                let mut shares = vec![0; weights.len()];
                for _ in 0..weights.iter().sum() {
                    shares[wrr.take(&all).unwrap()] += 1;
                }
                assert_eq!(shares, weights);
            }
        }
    }

    #[test]
    fn groups_do_not_shift_each_other() {
        let mut wrr = of(&[1; 4]);
        let pairs = [[0, 1], [2, 3]];
        let taken: Vec<_> = (0..8).filter_map(|request| wrr.take(&pairs[request % 2])).collect();
        assert_eq!(taken, [0, 2, 1, 3, 0, 2, 1, 3]);
    }

    #[test]
    fn nobody_is_ever_owed_much_whoever_is_away() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut wrr = of(&[1, 2, 3, 4]);
        for _ in 0..100_000 {
            let among: Vec<usize> = (0..4).filter(|_| random.bool()).collect();
            assert_eq!(wrr.take(&among).is_none(), among.is_empty());
            assert_eq!(wrr.items.iter().map(|item| item.balance).sum::<i64>(), 0);
            // Twice the sum of all weights.
            assert!(wrr.items.iter().all(|item| item.balance.abs() <= 20), "{wrr:?}");
        }
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let mut wrr = of(&[u32::MAX; 64]);
        let all: Vec<usize> = (0..64).collect();
        let taken: Vec<_> = (0..64).filter_map(|_| wrr.take(&all)).collect();
        assert_eq!(taken, all);
        assert_eq!(wrr.take(&[]), None);
    }
}
