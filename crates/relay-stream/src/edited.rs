//! The output of an edit of one chunk.

use bytes::BytesMut;

/// The bytes to forward for a chunk: a prefix of the chunk, or a copy from the first edit on.
pub(crate) struct Edited<'a> {
    chunk: &'a [u8],
    same: usize,
    edited: Option<BytesMut>,
}

impl<'a> Edited<'a> {
    pub(crate) fn new(chunk: &'a [u8]) -> Self {
        Edited { chunk, same: 0, edited: None }
    }

    /// Appends the bytes of the chunk from `start` to `end`.
    pub(crate) fn keep(&mut self, start: usize, end: usize) {
        if self.edited.is_none() && start == self.same {
            self.same = end;
        } else {
            self.insert(&self.chunk[start..end]);
        }
    }

    /// Appends bytes that are not in the chunk.
    pub(crate) fn insert(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.edit().extend_from_slice(bytes);
        }
    }

    /// Returns the copy, to append bytes to it.
    pub(crate) fn edit(&mut self) -> &mut BytesMut {
        let start = &self.chunk[..self.same];
        self.edited.get_or_insert_with(|| BytesMut::from(start))
    }

    /// Returns the length of the prefix, and the copy if there is one, which contains the prefix.
    pub(crate) fn into_parts(self) -> (usize, Option<BytesMut>) {
        (self.same, self.edited)
    }
}
