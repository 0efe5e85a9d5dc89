//! Tokens of JSON text that arrives in chunks.
//!
//! The lexer finds strings and punctuation and nothing else. It does not validate, keeps one byte of state
//! and copies nothing, so every reader of the same bytes can share one pass over them.

use memchr::memchr2;

/// Splits JSON text, cut anywhere, into tokens. The value is the state before the next byte.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lexer {
    /// Between two strings.
    #[default]
    Outside,
    /// Inside a string.
    String,
    /// Inside a string, directly after a backslash.
    Escape,
}

/// A piece of JSON text. A chunk boundary can split [`Text`](Token::Text) and [`Other`](Token::Other) into
/// several tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// The quote that opens a string.
    Open,
    /// The quote that closes a string.
    Close,
    /// A part of a string's text, as written.
    Text(&'a [u8]),
    /// The backslash of an escape sequence. The rest of the sequence follows as text.
    Backslash,
    /// A bracket or a comma: `{`, `[`, `}`, `]` or `,`.
    Punctuation(u8),
    /// White space, colons, numbers and literals.
    Other(&'a [u8]),
}

impl Lexer {
    /// Takes one token from the front of `rest`. `None` if `rest` is empty.
    #[inline]
    pub(crate) fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Token<'a>> {
        let bytes = *rest;
        let first = *bytes.first()?;
        let (len, token) = match (*self, first) {
            (Lexer::Outside, b'"') => {
                *self = Lexer::String;
                (1, Token::Open)
            }
            (Lexer::Outside, byte) if is_punctuation(byte) => (1, Token::Punctuation(byte)),
            (Lexer::Outside, _) => {
                let is_end = |&byte: &u8| IS_STRUCTURAL[usize::from(byte)];
                let len = bytes.iter().position(is_end).unwrap_or(bytes.len());
                (len, Token::Other(&bytes[..len]))
            }
            (Lexer::String, b'"') => {
                *self = Lexer::Outside;
                (1, Token::Close)
            }
            (Lexer::String, b'\\') => {
                *self = Lexer::Escape;
                (1, Token::Backslash)
            }
            (Lexer::String | Lexer::Escape, _) => {
                // The first byte is text in both states: an escaped quote does not close the string.
                *self = Lexer::String;
                let len = find_quote_or_backslash(&bytes[1..]).map_or(bytes.len(), |len| len + 1);
                (len, Token::Text(&bytes[..len]))
            }
        };
        *rest = &bytes[len..];
        Some(token)
    }

    /// Skips the rest of the current string, up to the end of `rest` at most.
    pub(crate) fn skip_string(&mut self, rest: &mut &[u8]) {
        let bytes = *rest;
        let mut at = usize::from(*self == Lexer::Escape && !bytes.is_empty());
        if at == 1 {
            *self = Lexer::String;
        }
        while *self == Lexer::String {
            let Some(len) = find_quote_or_backslash(&bytes[at..]) else { break };
            at += len + 1;
            match (bytes[at - 1], bytes.len() - at) {
                (b'"', _) => *self = Lexer::Outside,
                (_, 0) => *self = Lexer::Escape,
                _ => at += 1,
            }
        }
        *rest = if *self == Lexer::Outside { &bytes[at..] } else { &[] };
    }
}

/// The length of the start of a text that is searched word by word. Most strings are shorter, and a call of `memchr` costs more
/// than a few words.
const NEAR: usize = 32;

/// Returns the place of the first quote or backslash in `bytes`.
#[inline]
pub(crate) fn find_quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < NEAR
        && let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk)
    {
        match first_special(u64::from_le_bytes(*word)) {
            8 => at += 8,
            len => return Some(at + len),
        }
    }
    memchr2(b'"', b'\\', &bytes[at..]).map(|len| at + len)
}

/// Returns the number of bytes before the first quote or backslash in `word`, at most 8. The first byte of the text is the
/// lowest.
#[inline]
fn first_special(word: u64) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // Sets the high bit of each zero byte. Only bytes above the first of them may be marked wrongly, by a borrow.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let equal = |byte: u8| zero(word ^ (ONES * u64::from(byte)));
    (equal(b'"') | equal(b'\\')).trailing_zeros() as usize / 8
}

/// True for a quote, a bracket or a comma: the bytes at which a piece of text between two strings ends.
pub(crate) static IS_STRUCTURAL: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b"\"{[}],";
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

fn is_punctuation(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'}' | b']' | b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Token<'_> {
        fn write_to(self, out: &mut Vec<u8>) {
            match self {
                Token::Open | Token::Close => out.push(b'"'),
                Token::Backslash => out.push(b'\\'),
                Token::Punctuation(byte) => out.push(byte),
                Token::Text(bytes) | Token::Other(bytes) => out.extend_from_slice(bytes),
            }
        }
    }

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let (mut lexer, mut rest) = (Lexer::default(), text.as_bytes());
        std::iter::from_fn(|| lexer.next(&mut rest)).collect()
    }

    #[test]
    fn strings_punctuation_and_other_text_are_separate_tokens() {
        use Token::{Backslash, Close, Open, Other, Punctuation, Text};
        assert_eq!(
            tokens(r#"{"a": ["b\"{", 1]}"#),
            [
                Punctuation(b'{'),
                Open,
                Text(b"a"),
                Close,
                Other(b": "),
                Punctuation(b'['),
                Open,
                Text(b"b"),
                Backslash,
                Text(b"\"{"),
                Close,
                Punctuation(b','),
                Other(b" 1"),
                Punctuation(b']'),
                Punctuation(b'}'),
            ]
        );
        assert_eq!(tokens(r#""\\""#), [Open, Backslash, Text(b"\\"), Close]);
        assert_eq!(tokens(""), []);
    }

    proptest! {
        #[test]
        fn the_first_quote_or_backslash_is_found_in_any_bytes(bytes in proptest::collection::vec(
            prop_oneof![20 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..100,
        )) {
            let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(find_quote_or_backslash(&bytes), expected);
        }

        #[test]
        fn a_skipped_string_ends_like_one_that_is_read(
            text in "(\"|\\\\|,|[a-z]{0,9}){0,12}", is_escape in any::<bool>(),
        ) {
            let start = if is_escape { Lexer::Escape } else { Lexer::String };
            let (mut skipped, mut rest) = (start, text.as_bytes());
            skipped.skip_string(&mut rest);
            let (mut read, mut expected) = (start, text.as_bytes());
            while read != Lexer::Outside && read.next(&mut expected).is_some() {}
            prop_assert_eq!((skipped, rest), (read, expected));
        }

        #[test]
        fn tokens_contain_every_byte_at_every_cut(
            text in "(\"|\\\\|\\{|,|:| |[a-z]{0,9}){0,30}", cut in 0_usize..100,
        ) {
            let (a, b) = text.as_bytes().split_at(cut.min(text.len()));
            let (mut lexer, mut whole, mut out) = (Lexer::default(), Lexer::default(), Vec::new());
            for mut rest in [a, b] {
                while let Some(token) = lexer.next(&mut rest) {
                    token.write_to(&mut out);
                }
            }
            let mut rest = text.as_bytes();
            while whole.next(&mut rest).is_some() {}
            prop_assert_eq!(out, text.as_bytes());
            prop_assert_eq!(lexer, whole);
        }
    }
}
