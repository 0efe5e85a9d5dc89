//! Shortens texts of clients and upstreams for messages and log lines.

use std::borrow::Cow;

/// The most bytes of a text that are kept.
const KEPT: usize = 200;

/// Returns at most the first 200 bytes of `text`, cut between two characters and followed by an ellipsis if something was cut.
///
/// A text of a client in an error message or a log field passes this function, so that a single request cannot fill a log.
#[must_use]
pub fn cut(text: &str) -> Cow<'_, str> {
    match text.len() <= KEPT {
        true => text.into(),
        false => format!("{}…", &text[..text.floor_char_boundary(KEPT)]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(cut(text), expected);
        }
        check("", "");
        check(&"x".repeat(200), &"x".repeat(200));
        check(&"x".repeat(201), &format!("{}…", "x".repeat(200)));
        check(&format!("x{}", "ü".repeat(100)), &format!("x{}…", "ü".repeat(99)));
    }
}
