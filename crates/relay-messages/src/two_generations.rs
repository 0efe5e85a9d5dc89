//! A bounded map that drops unused entries without a clock or a list of uses.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::mem;
use std::time::{Duration, Instant};

/// A map in two generations: an entry that is not used during one generation is dropped with the next.
///
/// New and used entries belong to the young generation. It becomes the old one when it is full or has lasted its lifetime,
/// and the old one before it is dropped. So an entry is kept for at least one lifetime after its last use, unless the map
/// is full, and for less than two. At most twice `capacity` entries are kept.
///
/// Every method takes the current time: the map reads no clock.
///
/// ```
/// use std::time::{Duration, Instant};
/// use relay_messages::TwoGenerations;
///
/// let (mut map, mut now) = (TwoGenerations::new(100, Duration::from_secs(3600)), Instant::now());
/// map.insert("key", 1, now);
/// now += Duration::from_secs(3600);
/// assert_eq!(map.get(&"key", now), Some(&mut 1));
/// now += Duration::from_secs(7200);
/// assert_eq!(map.get(&"key", now), None);
/// ```
#[derive(Debug, Clone)]
pub struct TwoGenerations<K, V, S = RandomState> {
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
    /// The start of the young generation; `None` before the first use.
    since: Option<Instant>,
    capacity: usize,
    lifetime: Duration,
}

impl<K: Eq + Hash, V> TwoGenerations<K, V> {
    /// Creates an empty map. A generation has at most `capacity` entries and ends after `lifetime`.
    #[must_use]
    pub fn new(capacity: usize, lifetime: Duration) -> Self {
        Self::with_hasher(capacity, lifetime)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> TwoGenerations<K, V, S> {
    /// Creates an empty map whose keys are hashed by `S`. A generation has at most `capacity` entries and ends after `lifetime`.
    #[must_use]
    pub fn with_hasher(capacity: usize, lifetime: Duration) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), since: None, capacity, lifetime }
    }

    /// Sets the value of `key`.
    pub fn insert(&mut self, key: K, value: V, now: Instant) {
        self.rotate(now);
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Returns the value of `key`, which counts as used.
    pub fn get<Q>(&mut self, key: &Q, now: Instant) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.rotate(now);
        // An empty map hashes the key all the same.
        if !self.old.is_empty()
            && let Some((key, value)) = self.old.remove_entry(key)
        {
            self.young.insert(key, value);
        }
        self.young.get_mut(key)
    }

    /// Returns the value of `key`, which counts as used. If there is none, the default of `V` is inserted.
    pub fn get_or_default(&mut self, key: K, now: Instant) -> &mut V
    where
        V: Default,
    {
        self.rotate(now);
        let old = if self.old.is_empty() { None } else { self.old.remove(&key) };
        self.young.entry(key).or_insert_with(|| old.unwrap_or_default())
    }

    /// Returns `true` if `key` has a value. It does not count as used.
    pub fn contains(&mut self, key: &K, now: Instant) -> bool {
        self.rotate(now);
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Iterates over the entries in no particular order. They do not count as used.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.young.iter().chain(&self.old)
    }

    /// Returns the number of entries, at most twice the capacity.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Returns `true` if there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn rotate(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let age = now.saturating_duration_since(since);
        if age >= self.lifetime || self.young.len() >= self.capacity {
            self.old = mem::take(&mut self.young);
            if age >= 2 * self.lifetime {
                self.old.clear();
            }
            self.since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn an_entry_lives_for_one_lifetime_after_its_last_use() {
        let (mut map, start) = (TwoGenerations::new(10, HOUR), Instant::now());
        map.insert("used", 1, start);
        map.insert("unused", 2, start);
        assert_eq!(map.get(&"used", start + HOUR), Some(&mut 1));
        assert!(
            map.contains(&"unused", start + HOUR),
            "`contains` finds the key and does not count as a use"
        );
        assert!(map.contains(&"used", start + 2 * HOUR) && !map.contains(&"unused", start + 2 * HOUR));
    }

    #[test]
    fn all_entries_are_dropped_after_two_lifetimes_without_use() {
        let (mut map, start) = (TwoGenerations::new(10, HOUR), Instant::now());
        map.insert("a", 1, start);
        assert_eq!(map.get(&"a", start + 2 * HOUR), None);
        assert!(map.is_empty());
    }

    #[test]
    fn the_map_is_bounded_and_keeps_used_entries() {
        let (mut map, now) = (TwoGenerations::new(10, HOUR), Instant::now());
        for number in 0..1000 {
            map.insert(number, number, now);
            assert_eq!(map.get(&0, now), Some(&mut 0));
            assert!(map.len() <= 20);
        }
        assert!(!map.contains(&1, now));
    }

    #[test]
    fn a_default_is_only_inserted_if_there_is_no_value() {
        let (mut map, now) = (TwoGenerations::new(10, HOUR), Instant::now());
        *map.get_or_default("a", now) += 1;
        *map.get_or_default("a", now + HOUR) += 1;
        assert_eq!(map.get(&"a", now + HOUR), Some(&mut 2));
        map.insert("a", 7, now + 2 * HOUR);
        assert_eq!((map.len(), map.get(&"a", now + 2 * HOUR)), (1, Some(&mut 7)));
    }

    #[test]
    fn no_entry_is_dropped_if_the_clock_goes_back() {
        let (mut map, now) = (TwoGenerations::new(10, HOUR), Instant::now() + HOUR);
        map.insert("a", 1, now);
        assert_eq!(map.get(&"a", now - HOUR), Some(&mut 1));
    }
}
