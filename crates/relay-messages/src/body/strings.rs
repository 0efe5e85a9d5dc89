//! Skips the inside of JSON strings, a block of many bytes at a time.
//!
//! Text in requests is mostly code, with an escape every 10 to 40 bytes. A branch for each of them would be taken in an order that
//! no processor predicts, and a wrong prediction costs as much as the comparison of a whole block. The bytes of a block are
//! therefore compared at once, into masks with one bit for each byte, and arithmetic on these masks finds the bytes that are escaped.

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, u8x16, u8x64};

/// The number of bytes that are compared at once.
const BLOCK: usize = 64;
/// The number of bytes within which a short string ends. Keys and most values are short.
const START: usize = 16;

/// Returns the text of a string, if it is short and has no escapes. `text` starts after the quotation mark of the string, and goes on
/// after its end.
#[inline(always)]
pub(super) fn short(text: &[u8]) -> Option<&[u8]> {
    let start = text.first_chunk()?;
    // These vectors belong to every machine, so that no call is needed for a choice.
    let special = dispatch!(Level::baseline(), simd => special_at_start(simd, start));
    let length = special.trailing_zeros() as usize;
    (start.get(length) == Some(&b'"')).then(|| &start[..length])
}

/// Returns a mask with one bit for each byte of `start` that is a quotation mark, a backslash or a control character.
#[inline(always)]
fn special_at_start<S: Simd>(simd: S, start: &[u8; START]) -> u64 {
    let bytes = u8x16::simd_from(simd, *start);
    (bytes.simd_eq(b'"') | bytes.simd_eq(b'\\') | bytes.simd_lt(0x20)).to_bitmask()
}

/// Returns the number of bytes at the start of `text` that are plain or belong to an escape.
///
/// The byte after them is a quotation mark, a control character, or the backslash of an escape that is not valid or not complete,
/// unless `text` ends there.
pub(super) fn prefix(text: &[u8]) -> usize {
    dispatch!(Level::new(), simd => in_blocks(simd, text))
}

/// Returns the prefix of `text`, which is read in blocks.
#[inline(always)]
fn in_blocks<S: Simd>(simd: S, text: &[u8]) -> usize {
    let (mut at, mut carry) = (0, 0);
    while let Some(block) = text[at..].first_chunk() {
        let block = Block::of(simd, block, carry);
        if let Some(end) = block.end(text, at) {
            return end;
        }
        (at, carry) = (at + BLOCK, block.carry);
    }
    // The bytes after the text are control characters.
    let mut block = [0; BLOCK];
    block[..text.len() - at].copy_from_slice(&text[at..]);
    Block::of(simd, &block, carry).end(text, at).unwrap_or(text.len())
}

/// Masks with one bit for each byte of a block, that of the first byte lowest.
struct Block {
    /// The control characters, and the quotation marks that are not escaped.
    ends: u64,
    /// The bytes after each backslash that is not escaped itself.
    escaped: u64,
    /// The escaped bytes that need a closer look.
    unusual: u64,
    /// 1 if the first byte of the next block is escaped.
    carry: u64,
}

impl Block {
    #[inline(always)]
    fn of<S: Simd>(simd: S, block: &[u8; BLOCK], carry: u64) -> Self {
        let bytes = u8x64::simd_from(simd, *block);
        let (quotes, backslashes) = (bytes.simd_eq(b'"'), bytes.simd_eq(b'\\'));
        let letters = bytes.simd_eq(b'n') | bytes.simd_eq(b't') | bytes.simd_eq(b'r');
        let usual = (letters | quotes | backslashes).to_bitmask();
        let controls = bytes.simd_lt(0x20).to_bitmask();
        let (escaped, carry) = escaped(backslashes.to_bitmask(), carry);
        Self { ends: controls | quotes.to_bitmask() & !escaped, escaped, unusual: escaped & !usual, carry }
    }

    /// Returns the end of the prefix of `text`, if it is in this block, which starts at `at`.
    #[inline(always)]
    fn end(&self, text: &[u8], at: usize) -> Option<usize> {
        let mut ends = self.ends;
        if self.unusual != 0 {
            // Those after the end belong to other strings.
            ends |= first_invalid(self.unusual & (ends ^ ends.wrapping_sub(1)), text, at);
        }
        let offset = ends.trailing_zeros();
        // A byte that is not a valid escape ends the prefix before its backslash, maybe the last byte of the block before.
        (ends != 0).then(|| at + offset as usize - (self.escaped >> offset & 1) as usize)
    }
}

/// Returns the bytes after each of `backslashes` that is not escaped itself, and the carry for the next block. `carry` is 1 if the
/// first byte is escaped.
///
/// # Source
/// The algorithm of simdjson (`json_escape_scanner`): a subtraction carries a bit through each run of backslashes, so that
/// every second one is found, whatever the length of the run.
#[inline(always)]
fn escaped(backslashes: u64, carry: u64) -> (u64, u64) {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let starts = backslashes & !carry;
    let codes = (starts << 1 | ODD).wrapping_sub(starts) ^ ODD;
    (codes ^ (backslashes | carry), (codes & backslashes) >> (BLOCK - 1))
}

/// Returns the bit of the first byte of `escaped` that makes no valid escape, or 0. `escaped` is a mask of the block of `text` at `at`.
#[cold]
fn first_invalid(mut escaped: u64, text: &[u8], at: usize) -> u64 {
    while escaped != 0 {
        let offset = escaped.trailing_zeros() as usize;
        if escape(&text[at + offset - 1..]).is_none() {
            return 1 << offset;
        }
        escaped &= escaped - 1;
    }
    0
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
        let is_short = text.len() >= START && text.get(expected) == Some(&b'"') && expected < START;
        let is_plain = !text[..expected].contains(&b'\\');
        assert_eq!(
            short(text).map(<[u8]>::len),
            (is_short && is_plain).then_some(expected),
            "{shown:?}, as a short one"
        );
        for level in levels() {
            let found = dispatch!(level, simd => in_blocks(simd, text));
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
