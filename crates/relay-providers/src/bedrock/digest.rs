//! The SHA-256 of a body, which a signature covers.

use relay_messages::Payload;
use sha2::{Digest, Sha256};
use tokio::task::yield_now;

/// The number of bytes that are hashed before other tasks of the thread get their turn: about 0.1 ms.
const TURN: usize = 128 * 1024;

/// Returns the SHA-256 of the pieces of `body`, in hexadecimal.
pub(super) async fn digest(body: &Payload) -> String {
    if body.remaining() > TURN {
        // Few bodies are large: the memory of their hash is not part of every request.
        return Box::pin(in_turns(body)).await;
    }
    let mut hash = Sha256::new();
    body.pieces().for_each(|piece| hash.update(piece));
    hexadecimal(hash)
}

/// Hashes `body` in parts of at most [`TURN`] bytes.
async fn in_turns(body: &Payload) -> String {
    let mut hash = Sha256::new();
    for part in body.pieces().flat_map(|piece| piece.chunks(TURN)) {
        hash.update(part);
        yield_now().await;
    }
    hexadecimal(hash)
}

fn hexadecimal(hash: Sha256) -> String {
    let halves = hash.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let mut text = String::with_capacity(64);
    text.extend(halves.filter_map(|half| char::from_digit(half.into(), 16)));
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use relay_messages::{Edits, MessagesBody};
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    /// The digest of the empty text is from FIPS 180-4's test vectors, that of a million times `a` too.
    #[tokio::test]
    async fn digests_equal_the_published_ones() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(&Payload::default()).await, empty);
        let million = Payload::from(Bytes::from(vec![b'a'; 1_000_000]));
        let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(digest(&million).await, expected);
    }

    // Outside of a runtime, `yield_now` wakes its task at once.
    #[test]
    fn other_tasks_run_while_a_large_body_is_hashed() {
        let body = MessagesBody::parse(format!(r#"{{"model":"m","x":"{}"}}"#, "x".repeat(4 * TURN)).into());
        let (body, mut edits) = (body.unwrap(), Edits::default());
        edits.set_model(&body, "another");
        let pieces = edits.apply(&body);
        let mut hashing = task::spawn(digest(&pieces));
        for _ in 0..4 {
            assert_pending!(hashing.poll());
            assert!(hashing.is_woken());
        }
        let small = Payload::from(Bytes::from(vec![0; TURN]));
        assert_ready!(task::spawn(digest(&small)).poll());
    }

    #[tokio::test]
    async fn a_large_body_in_pieces_has_the_digest_of_the_joined_body() {
        let body = MessagesBody::parse(format!(r#"{{"model":"m","x":"{}"}}"#, "x".repeat(4 * TURN)).into());
        let (body, mut edits) = (body.unwrap(), Edits::default());
        edits.set_model(&body, "another");
        let pieces = edits.apply(&body);
        assert!(pieces.pieces().count() > 1);
        assert_eq!(digest(&pieces).await, hexadecimal(Sha256::new_with_prefix(pieces.to_bytes())));
    }
}
