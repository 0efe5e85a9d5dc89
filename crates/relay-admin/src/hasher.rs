//! A hasher for maps on the data path.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map with the fast hasher.
pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// A fast hasher for ids, addresses and short texts. Clients choose some texts: a map that uses it has a small bound of entries, so
/// that a search among equal hashes is bounded too.
#[derive(Debug, Default)]
pub(crate) struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        // A map reads the lowest bits and the highest ones. The lowest ones of a product depend on those of its factors alone.
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio, in 64 bits.
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, Hash};

    use super::*;

    /// Checks that the lowest 10 bits of the hashes of 1024 keys have most of their values.
    #[track_caller]
    fn check(keys: impl Iterator<Item = impl Hash>) {
        let hasher = BuildHasherDefault::<FastHasher>::default();
        let low: HashSet<_> = keys.map(|key| hasher.hash_one(key) & 1023).collect();
        // Of random hashes, 632 are different.
        assert!(low.len() > 500, "{}", low.len());
    }

    #[test]
    fn similar_keys_have_different_places() {
        check(0..1024_u64);
        check((0..1024_usize).map(|number| 0x7f00_0000_0010 + number * 64));
        check((0..1024).map(|number| format!("client-{number:04}")));
        check((0..1024).map(|number| format!("{number}-team")));
    }
}
