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
                let is_end = |&byte: &u8| byte == b'"' || is_punctuation(byte);
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
                let len = memchr2(b'"', b'\\', &bytes[1..]).map_or(bytes.len(), |len| len + 1);
                (len, Token::Text(&bytes[..len]))
            }
        };
        *rest = &bytes[len..];
        Some(token)
    }
}

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
