//! A piece of a response in the buffers of the server.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::activity::Activity;
use super::progress::Progress;

/// A piece of a response. It notes its own progress: hyper and h2 do not report when the bytes in their buffers leave.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    holder: Holder,
}

/// The place that counts a piece.
#[derive(Debug)]
pub(super) enum Holder {
    /// The connection, over HTTP/1.1, where the socket limits the time of each write.
    Connection(Arc<Activity>),
    /// The exchange, over HTTP/2.
    Stream(Arc<Progress>),
}

impl Piece {
    pub(super) fn new(bytes: Bytes, holder: Holder) -> Self {
        if !bytes.is_empty() {
            match &holder {
                Holder::Connection(activity) => activity.piece_held(),
                Holder::Stream(progress) => progress.piece_held(),
            }
        }
        Self { bytes, holder }
    }

    /// Notes that the client has accepted a part. A piece without a rest no longer counts as held.
    fn accepted(&self, count: usize) {
        if count > 0 && self.bytes.is_empty() {
            self.released();
        } else if let (1.., Holder::Stream(progress)) = (count, &self.holder) {
            progress.part_accepted();
        }
    }

    fn released(&self) {
        match &self.holder {
            Holder::Connection(activity) => activity.piece_released(),
            Holder::Stream(progress) => progress.piece_released(),
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
            self.released();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that `is_held` is true while a piece of `holder` waits for its client.
    #[track_caller]
    fn check(holder: impl Fn() -> Holder, is_held: impl Fn() -> bool) {
        let mut sent = Piece::new(Bytes::from_static(b"abc"), holder());
        sent.advance(2);
        assert!(is_held());
        sent.advance(1);
        assert!(!is_held());
        let dropped = Piece::new(Bytes::from_static(b"abc"), holder());
        drop(sent);
        assert!(is_held());
        drop(dropped);
        assert!(!is_held());
        drop(Piece::new(Bytes::new(), holder()));
        assert!(!is_held());
    }

    #[test]
    fn a_piece_is_held_until_its_last_byte_has_left_or_it_is_dropped() {
        let progress = Arc::new(Progress::new(false, true));
        check(|| Holder::Stream(Arc::clone(&progress)), || !progress.is_released());
        assert!(progress.held_since().is_none());
        let activity = Arc::new(Activity::new());
        check(|| Holder::Connection(Arc::clone(&activity)), || activity.holds_piece());
    }
}
