//! The boundaries between events.
//!
//! Every reader of server-sent events in this crate is built on [`Boundary`], so that all of them agree about
//! the place at which an event ends.

use memchr::memchr2;

/// Finds the blank lines that end events, in slices cut anywhere.
///
/// A line ends with LF, CRLF or CR, and a stream may mix them. An event whose blank line ends with CR is
/// complete at that CR, so it does not wait for a possible LF. If the next slice starts with that LF, the LF
/// belongs to no line.
///
/// # Source
/// WHATWG HTML, "Parsing an event stream".
#[derive(Debug, Clone)]
pub(crate) struct Boundary {
    /// True if no byte of the current line has been seen.
    line_empty: bool,
    /// True if the last byte was a CR. An LF directly after it ends the same line.
    after_cr: bool,
    /// True if no byte has been seen since the last blank line.
    at_start: bool,
}

impl Boundary {
    /// Creates a boundary finder at the start of a stream.
    pub(crate) fn new() -> Self {
        Boundary { line_empty: true, after_cr: false, at_start: true }
    }

    /// Returns `true` between two events and before the first one.
    pub(crate) fn at_start(&self) -> bool {
        self.at_start
    }

    /// Consumes an LF at the start of `bytes` that belongs to the CR before it. Returns `true` if there was
    /// one.
    #[inline]
    pub(crate) fn take_lf(&mut self, bytes: &[u8]) -> bool {
        self.after_cr && !bytes.is_empty() && {
            self.after_cr = false;
            bytes[0] == b'\n'
        }
    }

    /// Consumes `bytes` if they end with a blank line, which ends an event in every state. Returns `false` if they do not, and
    /// consumes nothing.
    #[inline]
    pub(crate) fn skip_events(&mut self, bytes: &[u8]) -> bool {
        let ends = bytes.ends_with(b"\n\n");
        if ends {
            *self = Self::new();
        }
        ends
    }

    /// Consumes `bytes` up to the end of the current block and returns their number. Returns `None` if the
    /// block continues after `bytes`. The caller calls again with the rest.
    #[inline]
    pub(crate) fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = usize::from(self.take_lf(bytes));
        while let Some(len) = memchr2(b'\n', b'\r', &bytes[at..]) {
            let blank = self.line_empty && len == 0;
            let end = at + len;
            at = end + 1;
            if bytes[end] == b'\r' {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.line_empty = true;
            if blank {
                self.at_start = true;
                return Some(at);
            }
            self.at_start = false;
        }
        if at < bytes.len() {
            self.line_empty = false;
            self.at_start = false;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(slices: &[&str]) -> Vec<usize> {
        let (mut boundary, mut before, mut ends) = (Boundary::new(), 0, Vec::new());
        for slice in slices {
            let mut rest = slice.as_bytes();
            while let Some(len) = boundary.find_end(rest) {
                before += len;
                ends.push(before);
                rest = &rest[len..];
            }
            before += rest.len();
        }
        ends
    }

    #[track_caller]
    fn check(text: &str, expected: &[usize]) {
        assert_eq!(ends(&[text]), expected, "whole");
        for cut in 0..=text.len() {
            let (a, b) = text.split_at(cut);
            let found = ends(&[a, b]);
            assert_eq!(found.len(), expected.len(), "cut at {cut}");
            for (found, expected) in found.iter().zip(expected) {
                let lf_left_for_next = found + 1 == *expected && text.as_bytes()[*found] == b'\n';
                assert!(found == expected || lf_left_for_next, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_blank_line_ends_a_block_with_every_line_ending() {
        check("", &[]);
        check("a", &[]);
        check("a\n", &[]);
        check("a\n\nb\n\n", &[3, 6]);
        check("a\r\n\r\nb\r\n\r\n", &[5, 10]);
        check("a\r\rb\r\r", &[3, 6]);
        check("a\n\rb", &[3]);
        check("a\r\n\nb", &[4]);
        check("a\n\r\nb", &[4]);
        check("a\nb\n\n", &[5]);
        check("\n\n", &[1, 2]);
    }

    #[test]
    fn a_slice_that_ends_with_a_blank_line_ends_a_block_in_every_state() {
        for before in ["", "a", "a\n", "a\r", "a\r\n", "a\n\n", "a\r\r", "\r"] {
            for slice in ["\n\n", "b\n\n", "\n\n\n", "\r\n\n", "a\n\nb\n\n", "\n", "b\r\n\r\n"] {
                let mut read = Boundary::new();
                read.find_end(before.as_bytes());
                let (mut skipped, mut rest) = (read.clone(), slice.as_bytes());
                while let Some(len) = read.find_end(rest) {
                    rest = &rest[len..];
                }
                if skipped.skip_events(slice.as_bytes()) {
                    assert_eq!(format!("{skipped:?}"), format!("{read:?}"), "{before:?}, {slice:?}");
                }
            }
        }
    }

    #[test]
    fn at_start_is_true_only_between_two_blocks() {
        let mut boundary = Boundary::new();
        assert!(boundary.at_start());
        for (bytes, at_start) in [("a", false), ("\n", false), ("\r", true), ("\n", true), (":", false)] {
            boundary.find_end(bytes.as_bytes());
            assert_eq!(boundary.at_start(), at_start, "{bytes:?}");
        }
    }
}
