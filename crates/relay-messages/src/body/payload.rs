//! The body of an upstream request: slices of the client's body with edits between them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

use super::grammar::Span;

/// A body of a few pieces, sent in order with its exact total length. Clones share the pieces.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    pieces: SmallVec<[Bytes; 3]>,
    /// The number of pieces that have been polled.
    sent: usize,
}

impl Payload {
    /// Creates a payload from `body` with each span of `edits` replaced. The bytes of `body` are not copied.
    ///
    /// The spans must lie within `body`, in ascending order, and must not overlap.
    pub(super) fn splice(body: &Bytes, edits: &[(Span, Bytes)]) -> Self {
        let mut pieces = SmallVec::new();
        let mut at = 0;
        let mut push = |piece: Bytes| {
            if !piece.is_empty() {
                pieces.push(piece);
            }
        };
        for (span, replacement) in edits {
            push(body.slice(at..span.start));
            push(replacement.clone());
            at = span.end;
        }
        push(body.slice(at..));
        Self { pieces, sent: 0 }
    }

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

    /// The pieces that are still to be sent, for example to compute a signature over them.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces[self.sent..].iter()
    }
}

impl From<Bytes> for Payload {
    fn from(body: Bytes) -> Self {
        Self::splice(&body, &[])
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
