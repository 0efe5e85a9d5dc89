//! The cache breakpoints in a body: the members called `cache_control`, collected while it is scanned.

use smallvec::SmallVec;

const KEY: &[u8] = b"\"cache_control\"";
/// The maximum number of breakpoints that are kept. The API accepts four.
pub(super) const MAX: usize = 64;

/// The offsets of the keys of all breakpoints, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Breakpoints(SmallVec<[u32; 4]>);

impl Breakpoints {
    /// Takes the key at `start`, with its quotes.
    #[inline]
    pub(super) fn key(&mut self, start: usize, key: &[u8]) {
        if key == KEY {
            self.add(start);
        }
    }

    #[cold]
    fn add(&mut self, start: usize) {
        if let Ok(start) = u32::try_from(start)
            && self.0.len() < MAX
        {
            self.0.push(start);
        }
    }

    /// The offsets of the keys, in ascending order.
    pub(super) fn starts(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|start| *start as usize)
    }
}
