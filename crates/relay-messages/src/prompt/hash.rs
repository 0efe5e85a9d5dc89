//! A hash over the bytes of a block: fast on long texts without instructions that not every processor has, and not cryptographic.
//!
//! ```text
//! up to 512 B   16 bytes at a time ─ multiply and fold ─▶ state
//! longer        512 B at a time ─ add ─▶ 8 lanes and their sums ─ multiply and fold ─▶ state
//! ```
//! The lanes are a checksum like Fletcher's: a change of one word always changes its lane, and an exchange of two its sum.

/// Odd numbers without a pattern: the fraction of pi.
const FACTOR: u64 = 0x243f_6a88_85a3_08d3;
const SECRET: u64 = 0x1319_8a2e_0370_7345;

/// The number of lanes, which the compiler keeps in vector registers.
const LANES: usize = 8;
/// The bytes that one step over all lanes reads: 8 rows of one word per lane.
const STRIDE: usize = 512;

/// A lane for each word of a row, and the sum of its values.
struct Lanes {
    values: [u64; LANES],
    sums: [u64; LANES],
}

/// Returns the hash of `text`. Texts with different seeds have different hashes.
pub(super) fn hash(seed: u64, text: &[u8]) -> u64 {
    let state = fold(seed ^ SECRET, FACTOR ^ text.len() as u64);
    if text.len() < STRIDE {
        return narrow(state, text);
    }
    let (strides, rest) = text.as_chunks();
    narrow(wide(state, strides), rest)
}

/// Takes in `value` after everything that `state` stands for.
pub(super) fn mix(state: u64, value: u64) -> u64 {
    fold(state ^ SECRET, value ^ FACTOR)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn narrow(mut state: u64, text: &[u8]) -> u64 {
    let (pairs, rest) = text.as_chunks();
    for pair in pairs {
        state = pair_of(state, pair);
    }
    match text.last_chunk() {
        _ if rest.is_empty() => state,
        // Some of these bytes are read twice, which costs less than to copy the rest.
        Some(last) => pair_of(state, last),
        None => pair_of(state, &padded(rest)),
    }
}

fn padded(rest: &[u8]) -> [u8; 16] {
    let mut pair = [0; 16];
    pair.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    pair
}

fn pair_of(state: u64, pair: &[u8; 16]) -> u64 {
    let (words, _) = pair.as_chunks();
    fold(u64::from_le_bytes(words[0]) ^ SECRET, u64::from_le_bytes(words[1]) ^ state)
}

fn wide(mut state: u64, strides: &[[u8; STRIDE]]) -> u64 {
    let mut lanes = Lanes { values: [state; LANES], sums: [0; LANES] };
    strides.iter().for_each(|stride| lanes.absorb(stride));
    for (index, (value, sum)) in lanes.values.into_iter().zip(lanes.sums).enumerate() {
        let place = FACTOR.wrapping_mul(2 * index as u64 + 1);
        state = fold(value ^ place, sum ^ SECRET).wrapping_add(state.rotate_left(7));
    }
    state
}

impl Lanes {
    /// Adds each row to the lanes, and the lanes to the sums, so that the order of the rows counts. The lanes change their places
    /// after each row, and the sums are rotated after each stride. Otherwise a high bit would leave a sum by overflow.
    // As a function of its own it loads and stores whole vectors. Inlined, the lanes become single words.
    #[inline(never)]
    fn absorb(&mut self, stride: &[u8; STRIDE]) {
        let (words, _) = stride.as_chunks();
        for row in words.chunks_exact(LANES) {
            for (lane, word) in row.iter().enumerate() {
                self.values[lane] = self.values[lane].wrapping_add(u64::from_le_bytes(*word));
                self.sums[lane] = self.sums[lane].wrapping_add(self.values[lane]);
            }
            let [a, b, c, d, e, f, g, h] = self.values;
            self.values = [c, d, e, f, g, h, a, b];
        }
        for sum in &mut self.sums {
            *sum = sum.rotate_left(21);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * at / 7 + at) as u8).collect()
    }

    #[test]
    fn every_length_and_seed_has_its_own_hash() {
        let zeros = [0; 3000];
        let hashes: HashSet<_> = (0..3000).map(|length| hash(1, &zeros[..length])).collect();
        assert_eq!(hashes.len(), 3000);
        let text = text(5000);
        assert_ne!(hash(1, &text), hash(2, &text));
        assert_ne!(hash(1, b""), hash(2, b""));
    }

    #[test]
    fn a_change_of_any_byte_changes_the_hash() {
        for length in [1, 15, 16, 17, 511, 512, 513, 1100] {
            let original = text(length);
            let mut hashes: HashSet<_> = [hash(0, &original)].into();
            for at in 0..length {
                let mut changed = original.clone();
                changed[at] ^= 0x20;
                assert!(hashes.insert(hash(0, &changed)), "{length}, {at}");
            }
        }
    }

    #[test]
    fn an_exchange_of_equally_placed_words_changes_the_hash() {
        let original = text(8192);
        for (one, other) in
            (0..1024).flat_map(|one| [1, 8, 16, 24, 32, 64, 128, 256].map(|by| (one, one + by)))
        {
            if other >= 512 || original[one * 8..][..8] == original[other * 8..][..8] {
                continue;
            }
            let mut changed = original.clone();
            for at in 0..8 {
                changed.swap(one * 8 + at, other * 8 + at);
            }
            assert_ne!(hash(0, &changed), hash(0, &original), "{one}, {other}");
        }
    }

    proptest! {
        #[test]
        fn opposite_changes_of_two_letters_change_the_hash(
            length in 512..6000usize, one: prop::sample::Index, rows in 1..70usize,
            other in prop::sample::select(&b"A!qcI"[..]),
        ) {
            let mut original = vec![b'a'; length];
            let (one, distance) = (one.index(length), rows * LANES * size_of::<u64>());
            prop_assume!(one + distance < length);
            original[one] = other;
            let mut changed = original.clone();
            changed.swap(one, one + distance);
            prop_assert_ne!(hash(0, &changed), hash(0, &original));
        }
    }
}
