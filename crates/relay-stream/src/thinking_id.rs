//! The identity of a signature, computed from pieces of any length.

/// The identity of a signature or of the data of a redacted thinking block: a 128-bit hash of its text, which is the same in every
/// process.
///
/// # Source
/// FNV-1a over words of 8 bytes in the place of bytes, with the number of bytes at the end. A conversation has up to a thousand
/// signatures of a kilobyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThinkingId(u128);

impl ThinkingId {
    /// Computes the id of the text between the quotes of a JSON string, as written. Backslashes are ignored:
    /// a signature is base64, in which only the slash has two forms in JSON, with and without a backslash.
    pub fn of(written: &[u8]) -> Self {
        let mut pieces = Pieces::default();
        match memchr::memchr(b'\\', written) {
            None => pieces.add(written),
            Some(_) => written.split(|&byte| byte == b'\\').for_each(|piece| pieces.add(piece)),
        }
        pieces.id()
    }
}

/// The pieces of a text of which the id is computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces {
    hash: u128,
    /// The bytes after the last whole word, the first one lowest.
    rest: u64,
    /// The number of bytes in all pieces.
    length: u64,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { hash: 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, rest: 0, length: 0 }
    }
}

impl Pieces {
    pub(crate) fn add(&mut self, mut piece: &[u8]) {
        while !self.length.is_multiple_of(8)
            && let Some((&byte, after)) = piece.split_first()
        {
            self.add_byte(byte);
            piece = after;
        }
        let (words, last) = piece.as_chunks();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        self.length += 8 * words.len() as u64;
        last.iter().for_each(|&byte| self.add_byte(byte));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn id(mut self) -> ThinkingId {
        self.mix(self.rest);
        self.mix(self.length);
        ThinkingId(self.hash)
    }

    fn add_byte(&mut self, byte: u8) {
        self.rest |= u64::from(byte) << (8 * (self.length % 8));
        self.length += 1;
        if self.length.is_multiple_of(8) {
            self.mix(self.rest);
            self.rest = 0;
        }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ u128::from(word)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_length_and_every_changed_byte_has_its_own_id() {
        let zeros = [0; 100];
        let mut ids: HashSet<_> = (0..=100).map(|length| ThinkingId::of(&zeros[..length])).collect();
        assert_eq!(ids.len(), 101);
        for at in 0..100 {
            for bit in 0..8 {
                let mut changed = zeros;
                changed[at] ^= 1 << bit;
                ids.insert(ThinkingId::of(&changed));
            }
        }
        // A change to a backslash would drop the byte: none of these bits does.
        assert_eq!(ids.len(), 901);
    }

    #[test]
    fn a_slash_has_the_same_id_with_and_without_a_backslash() {
        assert_eq!(ThinkingId::of(br"Erk\/x+\/\/="), ThinkingId::of(b"Erk/x+//="));
    }

    proptest! {
        #[test]
        fn pieces_have_the_id_of_the_whole(text in prop::collection::vec(prop::sample::select(&b"AZaz09+/="[..]), 0..200), cuts in prop::collection::vec(0..40usize, 0..20)) {
            let (mut pieces, mut rest) = (Pieces::default(), &text[..]);
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.add(piece);
                rest = after;
            }
            pieces.add(rest);
            prop_assert_eq!(pieces.is_empty(), text.is_empty());
            prop_assert_eq!(pieces.id(), ThinkingId::of(&text));
        }
    }
}
