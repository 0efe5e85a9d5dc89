//! The hash of a scheme and an authority.

use std::hash::Hasher;

/// The FNV-1a hash. `http` hashes an authority byte by byte, for which the default hasher needs about 50 instructions each.
///
/// The hash has no secret. It is for hosts that the configuration names, of which a map holds few.
///
/// # Source
/// "The FNV Non-Cryptographic Hash Algorithm", draft-eastlake-fnv, section 2 and the constants for 64 bits.
pub(super) struct HostHasher(u64);

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Default for HostHasher {
    fn default() -> Self {
        Self(OFFSET_BASIS)
    }
}

impl Hasher for HostHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        #[track_caller]
        fn check(text: &str, expected: u64) {
            let mut hasher = HostHasher::default();
            hasher.write(text.as_bytes());
            assert_eq!(hasher.finish(), expected, "{text}");
        }
        // Appendix C of the draft.
        check("", 0xcbf2_9ce4_8422_2325);
        check("a", 0xaf63_dc4c_8601_ec8c);
        check("foobar", 0x8594_4171_f739_67e8);
    }
}
