//! Skips the inside of JSON strings, a block of many bytes at a time.
//!
//! Text in requests is mostly code, with an escape every 10 to 40 bytes. A branch for each of them would be taken in an order that
//! no processor predicts, and a wrong prediction costs as much as the comparison of a whole block. The bytes of a block are
//! therefore compared at once, into masks with one bit for each byte, and arithmetic on these masks finds the bytes that are escaped.

use fearless_simd::{Level, Simd, dispatch, prelude::*, u8x64};

/// The number of bytes that are compared at once.
const BLOCK: usize = 64;
/// The number of bytes at the start of a string that are read in words. Keys and most values end within them.
const SHORT: usize = 16;

/// Returns the number of bytes at the start of `text` that are plain or belong to an escape.
///
/// The byte after them is a quotation mark, a control character, or the backslash of an escape that is not valid or not complete,
/// unless `text` ends there.
pub(super) fn prefix(text: &[u8]) -> usize {
    match in_words(text) {
        Skipped::To(at) => dispatch!(Level::new(), simd => in_blocks(simd, text, at)),
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

/// Skips the first words of eight bytes.
fn in_words(text: &[u8]) -> Skipped {
    let mut at = 0;
    while at < SHORT
        && let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk())
    {
        match special_in_word(u64::from_le_bytes(*word)) {
            0 => at += word.len(),
            special => {
                at += special.trailing_zeros() as usize / 8;
                match text[at] {
                    b'\\' if let Some(length) = escape(&text[at..]) => at += length,
                    _ => return Skipped::All(at),
                }
            }
        }
    }
    Skipped::To(at)
}

/// Skips blocks from `at` on, which is not inside of an escape.
#[inline(always)]
fn in_blocks<S: Simd>(simd: S, text: &[u8], mut at: usize) -> usize {
    let mut escapes = Escapes::default();
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let block = rest.first_chunk().copied().unwrap_or_else(|| last_block(rest));
        let masks = Masks::of(simd, &block);
        let escaped = escapes.next(masks.backslashes);
        let mut ends = masks.controls | masks.quotes & !escaped;
        let mut unusual = escaped & !masks.usual;
        while unusual != 0 {
            let offset = unusual.trailing_zeros() as usize;
            // The backslash may be the last byte of the block before.
            if escape(&text[at + offset - 1..]).is_none() {
                ends |= 1 << offset;
                break;
            }
            unusual &= unusual - 1;
        }
        if ends != 0 {
            let offset = ends.trailing_zeros();
            // A byte that is not a valid escape ends the prefix before its backslash.
            return at + offset as usize - (escaped >> offset & 1) as usize;
        }
        at += BLOCK;
    }
}

/// Returns the block at the end of a text: the bytes after it are control characters.
#[cold]
fn last_block(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Masks with one bit for each byte of a block, that of the first byte lowest.
struct Masks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    /// The bytes that are usual after a backslash.
    usual: u64,
}

impl Masks {
    #[inline(always)]
    fn of<S: Simd>(simd: S, block: &[u8; BLOCK]) -> Self {
        let bytes = u8x64::simd_from(simd, *block);
        let (quotes, backslashes) = (bytes.simd_eq(b'"'), bytes.simd_eq(b'\\'));
        let letters = bytes.simd_eq(b'n') | bytes.simd_eq(b't') | bytes.simd_eq(b'r');
        Self {
            quotes: quotes.to_bitmask(),
            backslashes: backslashes.to_bitmask(),
            controls: bytes.simd_lt(0x20).to_bitmask(),
            usual: (letters | quotes | backslashes).to_bitmask(),
        }
    }
}

/// Finds the bytes that are escaped, one block after the other.
#[derive(Default)]
struct Escapes {
    /// 1 if the first byte of the next block is escaped.
    carry: u64,
}

impl Escapes {
    /// Returns the bytes after each backslash that is not escaped itself.
    ///
    /// # Source
    /// The algorithm of simdjson (`json_escape_scanner`): a subtraction carries a bit through each run of backslashes, so that
    /// every second one is found, whatever the length of the run.
    #[inline(always)]
    fn next(&mut self, backslashes: u64) -> u64 {
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        let starts = backslashes & !self.carry;
        let codes = ((starts << 1 | ODD).wrapping_sub(starts)) ^ ODD;
        let escaped = codes ^ (backslashes | self.carry);
        self.carry = (codes & backslashes) >> (BLOCK - 1);
        escaped
    }
}

/// Returns the length of the escape that `text` starts with, or `None` if it is not valid or not complete. The first byte
/// is a backslash.
fn escape(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => text.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
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

    /// Finds the prefix byte by byte.
    fn in_bytes(text: &[u8]) -> usize {
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'\\' => match escape(&text[at..]) {
                    Some(length) => at += length,
                    None => return at,
                },
                b'"' | 0..0x20 => return at,
                _ => at += 1,
            }
        }
        at
    }

    /// Checks the prefix of `text` at each level of instructions that the machine has.
    #[track_caller]
    fn check(text: &[u8], expected: usize) {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(prefix(text), expected, "{shown:?}");
        assert_eq!(in_bytes(text), expected, "{shown:?}, byte by byte");
        for level in levels() {
            let found = dispatch!(level, simd => in_blocks(simd, text, 0));
            assert_eq!(found, expected, "{shown:?}, {level:?}");
        }
    }

    fn levels() -> impl Iterator<Item = Level> {
        let level = Level::new();
        #[cfg(target_arch = "x86_64")]
        let lower = [
            level.as_avx2().map(Level::Avx2),
            level.as_sse4_2().map(Level::Sse4_2),
            level.as_sse2().map(Level::Sse2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let lower = [Some(Level::baseline())];
        lower.into_iter().flatten().chain([level])
    }

    #[test]
    fn a_prefix_ends_at_the_first_byte_that_is_neither_plain_nor_escaped() {
        for end in ["\"", "\\u00e", "\\u00eg", "\\x", "\\\u{1}", "\0", "\u{1f}", "\n", "\\"] {
            for length in 0..200 {
                for escape in ["", "\\n", "\\\\", "\\\"", "\\/", "\\b", "\\u00E9", "\\\\\\\\\\\""] {
                    let text = format!("{}{escape}", "x".repeat(length));
                    for tail in ["", "\"", "zbcdefghi", &"y\"".repeat(70)] {
                        if end == "\\" && !tail.is_empty() {
                            continue;
                        }
                        check(format!("{text}{end}{tail}").as_bytes(), text.len());
                    }
                }
            }
        }
        let plain = "übergrößen\u{7f} plain text \u{1f980}".repeat(9);
        check(plain.as_bytes(), plain.len());
    }

    #[test]
    fn every_byte_has_its_meaning_at_the_end_of_a_block() {
        for byte in 0..=u8::MAX {
            for length in BLOCK - 8..BLOCK + 2 {
                for start in [&b""[..], b"\\", b"\\\\", b"\\u00", b"\\u00e"] {
                    let text = [&[b'x'].repeat(length)[..], start, &[byte], b"00\"", &[b'y'; BLOCK]].concat();
                    check(&text, in_bytes(&text));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_way_of_skipping_finds_the_same_prefix(
            text in "([a-zß]{0,70}|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{3,4}|\\\\{1,70}|[\"\\\\u\n]){0,40}",
        ) {
            for start in (0..text.len()).step_by(11).filter(|at| text.is_char_boundary(*at)) {
                check(&text.as_bytes()[start..], in_bytes(&text.as_bytes()[start..]));
            }
        }

        #[test]
        fn any_bytes_have_the_same_prefix_in_every_way(text in prop::collection::vec(prop::sample::select(&b"\"\\/bfnrtu09aFg x\n\0\x7f\x80\xff"[..]), 0..200)) {
            for start in (0..text.len()).step_by(7) {
                check(&text[start..], in_bytes(&text[start..]));
            }
        }
    }
}
