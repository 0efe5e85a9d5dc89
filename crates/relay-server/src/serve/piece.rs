//! A piece of a response in the buffers of the server.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::progress::Progress;

/// A piece of a response. It notes its own progress: hyper and h2 do not report when the bytes in their buffers leave.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    progress: Arc<Progress>,
}

impl Piece {
    pub(super) fn new(bytes: Bytes, progress: &Arc<Progress>) -> Self {
        if !bytes.is_empty() {
            progress.piece_held();
        }
        Self { bytes, progress: Arc::clone(progress) }
    }

    /// Notes that the client has accepted a part. A piece without a rest no longer counts as held.
    fn accepted(&self, count: usize) {
        match (count, self.bytes.is_empty()) {
            (0, _) => {}
            (_, false) => self.progress.part_accepted(),
            (_, true) => self.progress.piece_released(),
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.accepted(count);
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        let bytes = self.bytes.copy_to_bytes(count);
        self.accepted(count);
        bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.progress.piece_released();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_held_until_its_last_byte_has_left_or_it_is_dropped() {
        let progress = Arc::new(Progress::new(false, true, Arc::default()));
        let mut sent = Piece::new(Bytes::from_static(b"abc"), &progress);
        sent.advance(2);
        assert!(!progress.is_released());
        sent.advance(1);
        assert!(progress.is_released());
        let dropped = Piece::new(Bytes::from_static(b"abc"), &progress);
        drop(sent);
        assert!(!progress.is_released());
        drop(dropped);
        assert!(progress.is_released());
        drop(Piece::new(Bytes::new(), &progress));
        assert!(progress.is_released() && progress.held_since().is_none());
    }
}
