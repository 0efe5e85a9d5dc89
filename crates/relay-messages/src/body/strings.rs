//! Skips the inside of JSON strings, many bytes at a time.
//!
//! Text in requests is mostly code, with an escape every 10 to 40 bytes. A search that starts anew after each one would spend
//! most of its time on its start. The bytes of a block are therefore compared once, into a mask with one bit for each byte
//! that is not plain, and the escapes are then taken from the mask.

/// The number of bytes that are compared at once.
const BLOCK: usize = 64;
/// The number of bytes at the start of a string that are read in words. Keys and most values end within them.
const SHORT: usize = 16;

/// Returns the number of bytes at the start of `text` that are plain or belong to an escape of two bytes, such as `\n`.
///
/// The byte after them is a quotation mark, a control character, or the backslash of an escape that is longer or not valid,
/// unless `text` ends there.
pub(super) fn prefix(text: &[u8]) -> usize {
    match in_words(text, 0, SHORT) {
        Skipped::To(at) => match in_blocks(text, at) {
            Skipped::To(at) => match in_words(text, at, text.len()) {
                Skipped::To(at) => in_bytes(text, at),
                Skipped::All(at) => at,
            },
            Skipped::All(at) => at,
        },
        Skipped::All(at) => at,
    }
}

/// The result of one way of skipping.
enum Skipped {
    /// The prefix goes on at this byte.
    To(usize),
    /// The prefix ends before this byte.
    All(usize),
}

/// Skips words of eight bytes from `at` on, while they start before `end`.
fn in_words(text: &[u8], mut at: usize, end: usize) -> Skipped {
    while at < end
        && let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk())
    {
        match special_in_word(u64::from_le_bytes(*word)) {
            0 => at += word.len(),
            special => {
                at += special.trailing_zeros() as usize / 8;
                if !is_short_escape(text, at) {
                    return Skipped::All(at);
                }
                at += 2;
            }
        }
    }
    Skipped::To(at)
}

/// Skips whole blocks from `at` on.
fn in_blocks(text: &[u8], mut at: usize) -> Skipped {
    // The byte after the block may be escaped by its last one.
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<{ BLOCK + 1 }>()) {
        let mut special = special_in_block(block);
        let mut next = BLOCK;
        while special != 0 {
            let offset = special.trailing_zeros() as usize % BLOCK;
            if block[offset] != b'\\' || !SHORT_ESCAPES[usize::from(block[offset + 1])] {
                return Skipped::All(at + offset);
            }
            // The escaped byte may be a quotation mark or a backslash.
            special &= !(0b11 << offset);
            next = next.max(offset + 2);
        }
        at += next;
    }
    Skipped::To(at)
}

fn in_bytes(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' | b'\\' | 0..0x20 if !is_short_escape(text, at) => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at.min(text.len())
}

/// Returns `true` if an escape of two bytes starts at `at`.
fn is_short_escape(text: &[u8], at: usize) -> bool {
    let escaped = text.get(at + 1).is_some_and(|&byte| SHORT_ESCAPES[usize::from(byte)]);
    escaped && text[at] == b'\\'
}

/// The bytes after the backslash of an escape of two bytes.
const SHORT_ESCAPES: [bool; 256] = {
    let mut escapes = [false; 256];
    let bytes = b"\"\\/bfnrt";
    let mut index = 0;
    while index < bytes.len() {
        escapes[bytes[index] as usize] = true;
        index += 1;
    }
    escapes
};

/// Returns a mask with one bit for each byte of `block` but the last that is a quotation mark, a backslash or a control character.
fn special_in_block(block: &[u8; BLOCK + 1]) -> u64 {
    /// Moves the lowest bits of eight bytes next to each other, into the highest byte of the product.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut flags = [0; BLOCK];
    // The compiler turns this loop into vector instructions.
    for (flag, &byte) in flags.iter_mut().zip(block) {
        *flag = u8::from((byte == b'"') | (byte == b'\\') | (byte < 0x20));
    }
    let (words, _) = flags.as_chunks();
    let bits = words.iter().map(|word| u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56);
    bits.rev().fold(0, |mask, bits| mask << 8 | bits)
}

/// Returns the high bit of each byte of `word` that is a quotation mark, a backslash or a control character. Bits above the
/// lowest one may be wrong.
fn special_in_word(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    is(b'"') | is(b'\\') | below(word, 0x20)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_ends_at_the_first_byte_that_is_neither_plain_nor_escaped() {
        for end in ["\"", "\\u00e9", "\\x", "\0", "\u{1f}", "\n", "\\"] {
            for length in 0..200 {
                for escape in ["", "\\n", "\\\\", "\\\""] {
                    let text = format!("{}{escape}", "x".repeat(length));
                    for tail in ["", "\"", "abcdefghi", &"y\"".repeat(70)] {
                        if end == "\\" && !tail.is_empty() {
                            continue;
                        }
                        let whole = format!("{text}{end}{tail}");
                        assert_eq!(prefix(whole.as_bytes()), text.len(), "{whole:?}");
                    }
                }
            }
        }
        let plain = "übergrößen\u{7f} plain text \u{1f980}".repeat(9);
        assert_eq!(prefix(plain.as_bytes()), plain.len());
    }

    proptest! {
        #[test]
        fn every_way_of_skipping_finds_the_same_prefix(text in "([a-zß]{0,70}|\\\\[\"\\\\/bfnrt]|[\"\\\\ué\n]){0,40}") {
            prop_assert_eq!(prefix(text.as_bytes()), in_bytes(text.as_bytes(), 0));
        }
    }
}
