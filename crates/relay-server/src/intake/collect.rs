//! Collects a body into one piece.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tower::BoxError;

use crate::error::Error;

/// The longest time between two frames of a client's body.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// Reads all of `body`, at most `limit` bytes, into one allocation of its announced size.
///
/// # Errors
/// [`Error::BodyTooLarge`] above the limit, [`Error::BodyStalled`] after a pause of 30 s, [`Error::BodyUnreadable`] if the
/// connection fails.
pub(super) async fn collect<B>(body: B, limit: usize) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(Error::BodyTooLarge { limit });
    }
    let mut body = pin!(body);
    let mut bytes = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(BODY_IDLE, body.frame());
        let Some(frame) = frame.await.map_err(|_| Error::BodyStalled { after: BODY_IDLE })? else {
            return Ok(bytes.freeze());
        };
        let Ok(data) = frame.map_err(|_| Error::BodyUnreadable)?.into_data() else {
            continue;
        };
        if data.len() > limit - bytes.len() {
            return Err(Error::BodyTooLarge { limit });
        }
        if bytes.is_empty() {
            if data.len() as u64 == announced {
                return Ok(data);
            }
            // `announced` is at most `limit`, as checked above.
            bytes.reserve((announced as usize).max(data.len()));
        }
        bytes.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use http_body_util::channel::Channel;

    use super::*;

    #[tokio::test]
    async fn a_body_in_one_frame_is_not_copied() {
        let bytes = Bytes::from(vec![b'x'; 1000]);
        let collected = collect(Full::new(bytes.clone()), 1000).await.unwrap();
        assert_eq!(collected.as_ptr(), bytes.as_ptr());
    }

    #[tokio::test]
    async fn the_limit_applies_to_announced_and_received_sizes() {
        let too_large = collect(Full::new(Bytes::from_static(b"12345")), 4).await;
        assert!(matches!(too_large, Err(Error::BodyTooLarge { limit: 4 })));

        let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
        for part in ["12", "34", "5"] {
            sender.send_data(part.into()).await.unwrap();
        }
        drop(sender);
        assert!(matches!(collect(body, 4).await, Err(Error::BodyTooLarge { limit: 4 })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_an_error() {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
        sender.send_data("12".into()).await.unwrap();
        assert!(matches!(collect(body, 4).await, Err(Error::BodyStalled { after: BODY_IDLE })));
        drop(sender);
    }
}
