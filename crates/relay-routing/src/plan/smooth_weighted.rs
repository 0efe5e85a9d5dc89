//! Weighted round robin.

use std::num::NonZeroU32;

/// Smooth weighted round robin: in every full cycle each item is picked as often as its weight says, and the
/// picks of one item are spread over the cycle. With equal weights it is plain round robin.
///
/// Not every item has to be present at each pick. Absent items neither gain nor lose, so that requests for
/// one group of items do not shift the order within another group.
///
/// ```
/// # use std::num::NonZeroU32;
/// # use relay_routing::SmoothWeighted;
/// let mut weighted = SmoothWeighted::new([5, 1, 1].map(|weight| NonZeroU32::new(weight).unwrap()));
/// let cycle: Vec<_> = (0..7).filter_map(|_| weighted.pick(&[0, 1, 2])).collect();
/// assert_eq!(cycle, [0, 0, 1, 0, 2, 0, 0]);
/// ```
/// # Source
/// nginx, `ngx_http_upstream_get_peer`: every item gains its weight; the item with the largest balance is
/// picked and pays the sum of the weights.
#[derive(Debug, Clone)]
pub struct SmoothWeighted {
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
struct Item {
    weight: i64,
    /// The sum of gains minus the sum of payments. The sum over all items is always 0.
    balance: i64,
}

impl SmoothWeighted {
    /// Creates one item for each weight.
    pub fn new(weights: impl IntoIterator<Item = NonZeroU32>) -> Self {
        let items = weights.into_iter().map(|weight| Item { weight: weight.get().into(), balance: 0 });
        Self { items: items.collect() }
    }

    /// Picks the next of the items with these indices; `None` if there are none. Of equal items the first one
    /// is picked.
    ///
    /// # Panics
    /// If an index is not less than the number of weights.
    pub fn pick(&mut self, among: &[usize]) -> Option<usize> {
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
            let taken: Vec<_> = expected.iter().filter_map(|_| wrr.pick(&all)).collect();
            assert_eq!(taken, expected, "cycle {cycle}");
        }
    }

    #[test]
    fn the_order_is_that_of_nginx() {
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
                    shares[wrr.pick(&all).unwrap()] += 1;
                }
                assert_eq!(shares, weights);
            }
        }
    }

    #[test]
    fn disjoint_groups_do_not_affect_each_other() {
        let mut wrr = of(&[1; 4]);
        let pairs = [[0, 1], [2, 3]];
        let taken: Vec<_> = (0..8).filter_map(|request| wrr.pick(&pairs[request % 2])).collect();
        assert_eq!(taken, [0, 2, 1, 3, 0, 2, 1, 3]);
    }

    #[test]
    fn balances_stay_bounded_while_items_are_absent() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut wrr = of(&[1, 2, 3, 4]);
        for _ in 0..100_000 {
            let among: Vec<usize> = (0..4).filter(|_| random.bool()).collect();
            assert_eq!(wrr.pick(&among).is_none(), among.is_empty());
            assert_eq!(wrr.items.iter().map(|item| item.balance).sum::<i64>(), 0);
            // The bound is twice the sum of all weights.
            assert!(wrr.items.iter().all(|item| item.balance.abs() <= 20), "{wrr:?}");
        }
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let mut wrr = of(&[u32::MAX; 64]);
        let all: Vec<usize> = (0..64).collect();
        let taken: Vec<_> = (0..64).filter_map(|_| wrr.pick(&all)).collect();
        assert_eq!(taken, all);
        assert_eq!(wrr.pick(&[]), None);
    }
}
