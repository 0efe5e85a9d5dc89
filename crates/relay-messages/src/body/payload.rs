//! The body of an upstream request: slices of the client's body with edits between them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

use super::grammar::Span;
use super::seals::Seals;

/// The length from which a part of a body becomes a separate piece. Shorter parts are copied.
const COPIED: usize = 1024;

/// A body of a few pieces, sent in order with its exact total length. Clones share the pieces.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    pieces: SmallVec<[Bytes; 3]>,
    /// The number of pieces that have been polled.
    sent: usize,
    /// The seals of the thinking blocks, if the client's body was only changed elsewhere.
    seals: Seals,
}

impl Payload {
    /// Returns the remaining payload as one piece. Copies only if there are several pieces.
    pub fn to_bytes(&self) -> Bytes {
        match &self.pieces[self.sent..] {
            [piece] => piece.clone(),
            pieces => pieces.concat().into(),
        }
    }

    /// The number of bytes that are still to be sent.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.pieces[self.sent..].iter().map(Bytes::len).sum()
    }

    #[cfg(test)]
    pub(super) fn of_pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self { pieces: pieces.into_iter().collect(), ..Self::default() }
    }

    /// Sets the seals of the thinking blocks in the payload.
    pub(super) fn with_seals(self, seals: Seals) -> Self {
        Self { seals, ..self }
    }

    /// The seals of the thinking blocks in the payload.
    pub(crate) fn seals(&self) -> &Seals {
        &self.seals
    }

    /// The pieces that are still to be sent.
    pub(super) fn unsent(&self) -> &[Bytes] {
        &self.pieces[self.sent..]
    }

    /// The pieces that are still to be sent, for example to compute a signature over them.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces[self.sent..].iter()
    }
}

impl From<Bytes> for Payload {
    fn from(body: Bytes) -> Self {
        PayloadWriter::new(std::slice::from_ref(&body)).finish()
    }
}

/// Builds a payload from a body with replaced spans.
///
/// Long parts of the body are not copied. Short ones are, into one buffer with their neighbours: a separate piece costs
/// more than its bytes, and a client may cause millions of edits.
pub(super) struct PayloadWriter<'b> {
    /// The pieces of the body from the position on.
    body: &'b [Bytes],
    /// The start of the first of these pieces in the body.
    start: usize,
    /// The number of bytes of the body that have been written or replaced.
    at: usize,
    copied: Vec<u8>,
    pieces: SmallVec<[Bytes; 3]>,
}

impl<'b> PayloadWriter<'b> {
    /// Creates a writer at the start of the body that `body` makes up.
    pub(super) fn new(body: &'b [Bytes]) -> Self {
        Self { body, start: 0, at: 0, copied: Vec::new(), pieces: SmallVec::new() }
    }

    /// Writes the body up to `span`, and `text` in the place of `span`. The spans must be in ascending order and must not
    /// overlap.
    pub(super) fn replace(&mut self, span: Span, text: &Bytes) {
        self.copy_to(span.start);
        self.push(text);
        self.at = span.end;
    }

    /// Writes the rest of the body.
    pub(super) fn finish(mut self) -> Payload {
        self.copy_to(usize::MAX);
        self.flush();
        Payload { pieces: self.pieces, ..Payload::default() }
    }

    /// Writes the body from the position to `end`, or to its end.
    fn copy_to(&mut self, end: usize) {
        while let [piece, rest @ ..] = self.body
            && self.start < end
        {
            let piece_end = self.start + piece.len();
            if self.at < piece_end {
                let part_end = piece_end.min(end);
                self.push(&piece.slice(self.at - self.start..part_end - self.start));
                self.at = part_end;
            }
            if piece_end > end {
                return;
            }
            (self.body, self.start) = (rest, piece_end);
        }
    }

    fn push(&mut self, piece: &Bytes) {
        if piece.len() < COPIED {
            self.copied.extend_from_slice(piece);
        } else {
            self.flush();
            self.pieces.push(piece.clone());
        }
    }

    fn flush(&mut self) {
        if !self.copied.is_empty() {
            self.pieces.push(std::mem::take(&mut self.copied).into());
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let piece = this.pieces.get_mut(this.sent).map(std::mem::take);
        this.sent += usize::from(piece.is_some());
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.pieces.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining() as u64)
    }
}
