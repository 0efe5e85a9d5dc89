//! The cache breakpoints in a body: the members called `cache_control`, collected while it is scanned.

use std::ops::Range;

use smallvec::SmallVec;

use super::unescape::is_string;

/// The name of the member that sets a breakpoint.
pub(super) const NAME: &str = "cache_control";
/// The shortest key with this name, with its quotes.
const LENGTH: usize = NAME.len() + 2;
/// The maximum number of breakpoints that are kept. The API accepts four.
pub(super) const MAX: usize = 64;

/// The offsets of the keys of all breakpoints, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Breakpoints {
    starts: SmallVec<[u32; 4]>,
    /// `true` if the body has breakpoints that are not kept.
    has_more: bool,
}

impl Breakpoints {
    /// Takes the key at `start`, with its quotes.
    #[inline]
    pub(super) fn key(&mut self, start: usize, key: &[u8]) {
        // An escape is longer than its letter.
        if key.len() >= LENGTH && matches!(key[1], b'c' | b'\\') {
            self.long_key(start, key);
        }
    }

    #[cold]
    fn long_key(&mut self, start: usize, key: &[u8]) {
        if is_string(key, NAME) {
            match u32::try_from(start) {
                Ok(start) if self.starts.len() < MAX => self.starts.push(start),
                _ => self.has_more = true,
            }
        }
    }

    /// The offsets of the keys, in ascending order.
    pub(super) fn starts(&self) -> impl Iterator<Item = usize> {
        self.starts.iter().map(|start| *start as usize)
    }

    /// Returns `false` if the body has breakpoints that are not kept.
    pub(super) fn are_complete(&self) -> bool {
        !self.has_more
    }

    /// Returns `true` if one of the breakpoints that are kept is within `span`.
    pub(super) fn is_any_within(&self, span: &Range<usize>) -> bool {
        let at = self.starts.partition_point(|start| (*start as usize) < span.start);
        self.starts.get(at).is_some_and(|start| (*start as usize) < span.end)
    }
}
