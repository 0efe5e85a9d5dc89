//! A bounded table of series.

use std::hash::Hash;
use std::sync::Arc;

use crate::fast_map::FastMap;

/// The key of a series: ids of label values.
pub(super) trait Key: Copy + Eq + Hash {
    /// The key with `other` for each label that may have many values. Few keys have this form.
    fn collapsed(self) -> Self;
}

/// Series by their keys. Once there are `limit`, further ones are counted in the series of their collapsed key.
#[derive(Debug)]
pub(super) struct Table<K, S> {
    series: FastMap<K, Arc<S>>,
    limit: usize,
}

impl<K: Key, S> Table<K, S> {
    pub(super) fn new(limit: usize) -> Self {
        Self { series: FastMap::default(), limit }
    }

    /// Returns the series of `key`; `None` if it has to be added first.
    pub(super) fn find(&self, key: K) -> Option<Arc<S>> {
        let found = match self.series.get(&key) {
            None if self.series.len() >= self.limit => self.series.get(&key.collapsed()),
            found => found,
        };
        found.cloned()
    }

    /// Adds the series of `key`, or that of its collapsed key if the table is full.
    pub(super) fn add(&mut self, key: K, create: impl FnOnce(K) -> S) {
        let is_full = self.series.len() >= self.limit && !self.series.contains_key(&key);
        let key = if is_full { key.collapsed() } else { key };
        self.series.entry(key).or_insert_with(|| Arc::new(create(key)));
    }

    /// Returns all series.
    pub(super) fn all(&self) -> Vec<Arc<S>> {
        self.series.values().cloned().collect()
    }

    /// Removes the series for which `is_kept` returns `false`.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&S) -> bool) {
        self.series.retain(|_, series| is_kept(series));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    struct Pair(u32, u32);

    impl Key for Pair {
        fn collapsed(self) -> Self {
            Self(self.0, 0)
        }
    }

    #[test]
    fn a_full_table_counts_further_keys_in_their_collapsed_series() {
        let mut table = Table::new(2);
        for key in [Pair(1, 1), Pair(1, 2), Pair(1, 3), Pair(1, 4)] {
            table.add(key, |key| key);
        }
        assert_eq!(table.find(Pair(1, 2)), Some(Pair(1, 2).into()));
        assert_eq!(table.find(Pair(1, 4)), Some(Pair(1, 0).into()));
        assert_eq!(table.find(Pair(2, 1)), None, "the collapsed series of another group does not exist yet");
        assert_eq!(table.all().len(), 3);
    }
}
