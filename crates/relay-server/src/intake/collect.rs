//! Collects a body into one piece.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use relay_transport::in_time;
use tower::BoxError;

use super::budget::BodyPermit;
use crate::error::Error;

/// The longest time between two frames of a client's body.
const BODY_IDLE: Duration = Duration::from_secs(30);
/// The number of bytes after which other tasks of the thread get their turn. A client nearby sends faster than the relay reads, so
/// that its body would otherwise be read without a pause.
const TURN: usize = 256 * 1024;
/// The factor by which the memory of a body is larger than what has arrived, up to its announced size. A body is copied when its
/// memory grows: at this factor, a sixteenth of it.
const AHEAD: usize = 16;

/// Reads all of `body`, at most `limit` bytes, into one piece. `permit` grows with it.
///
/// The memory grows with the bytes that arrive, since a client can announce a body that it never sends. At most sixteen times
/// as much is reserved, of which the system provides what is written. After each 256 KiB, other tasks get their turn, such as
/// streams of other clients.
///
/// # Errors
/// [`Error::BodyTooLarge`] above the limit, [`Error::BuffersFull`] if `permit` cannot grow, [`Error::BodyStalled`] after a
/// pause of 30 s, [`Error::BodyUnreadable`] if the connection fails.
pub(super) async fn collect<B>(body: B, limit: usize, permit: &mut BodyPermit) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(Error::BodyTooLarge { limit });
    }
    // A body that cannot fit is refused before it is read. This reserves nothing. `announced` is at most `limit`.
    permit.check(announced as usize)?;
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    let mut turn_end = TURN;
    loop {
        // The body of a small request has usually arrived together with its head.
        let frame = in_time(|| BODY_IDLE, body.frame()).await;
        let Some(frame) = frame.ok_or(Error::BodyStalled { after: BODY_IDLE })? else {
            return Ok(bytes.into());
        };
        let Ok(data) = frame.map_err(|_| Error::BodyUnreadable)?.into_data() else {
            continue;
        };
        if data.len() > limit - bytes.len() {
            return Err(Error::BodyTooLarge { limit });
        }
        if bytes.is_empty() && data.len() as u64 == announced {
            permit.resize(data.len())?;
            return Ok(data);
        }
        let needed = bytes.len() + data.len();
        permit.resize(needed)?;
        if needed > bytes.capacity() {
            bytes.reserve_exact(capacity(needed, announced as usize) - bytes.len());
        }
        bytes.extend_from_slice(&data);
        if bytes.len() >= turn_end {
            turn_end = bytes.len() + TURN;
            tokio::task::yield_now().await;
        }
    }
}

/// Returns the capacity of a body of which `needed` bytes have arrived. Of a body whose size is not known, it is twice as much.
fn capacity(needed: usize, announced: usize) -> usize {
    if needed <= announced { announced.min(needed.saturating_mul(AHEAD)) } else { needed.saturating_mul(2) }
}

#[cfg(test)]
mod tests {
    use http_body_util::channel::Channel;
    use http_body_util::{Full, StreamBody};

    use super::super::budget::BodyBudget;
    use super::*;

    fn permit() -> BodyPermit {
        BodyBudget::new(None).permit()
    }

    #[tokio::test]
    async fn a_body_in_one_frame_is_not_copied() {
        let bytes = Bytes::from(vec![b'x'; 1000]);
        let mut permit = permit();
        let collected = collect(Full::new(bytes.clone()), 1000, &mut permit).await.unwrap();
        assert_eq!(collected.as_ptr(), bytes.as_ptr());
        assert_eq!(permit.bytes(), 1000);
    }

    #[tokio::test]
    async fn the_limit_applies_to_announced_and_received_sizes() {
        let too_large = collect(Full::new(Bytes::from_static(b"12345")), 4, &mut permit()).await;
        assert!(matches!(too_large, Err(Error::BodyTooLarge { limit: 4 })));

        let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
        for part in ["12", "34", "5"] {
            sender.send_data(part.into()).await.unwrap();
        }
        drop(sender);
        assert!(matches!(collect(body, 4, &mut permit()).await, Err(Error::BodyTooLarge { limit: 4 })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_an_error() {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
        sender.send_data("12".into()).await.unwrap();
        assert!(matches!(
            collect(body, 4, &mut permit()).await,
            Err(Error::BodyStalled { after: BODY_IDLE })
        ));
        drop(sender);
    }

    /// A body that announces `announced` bytes.
    struct Announced<B> {
        body: B,
        announced: u64,
    }

    impl<B: Body + Unpin> Body for Announced<B> {
        type Data = B::Data;
        type Error = B::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
            std::pin::Pin::new(&mut self.body).poll_frame(cx)
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.announced)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn memory_grows_with_the_bytes_that_arrive_and_not_with_those_announced() {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
        sender.send_data("{".into()).await.unwrap();
        let mut permit = permit();
        let body = Announced { body, announced: 30_000_000 };
        assert!(collect(body, 32_000_000, &mut permit).await.is_err());
        assert!(permit.bytes() < 1000, "{} bytes are held for one byte of a body", permit.bytes());
        drop(sender);
    }

    #[tokio::test]
    async fn a_request_holds_the_bytes_that_have_arrived() {
        let frames = || {
            let frame = http_body::Frame::data(Bytes::from(vec![b'x'; 1000]));
            StreamBody::new(futures_util::stream::iter((0..100).map(move |_| {
                Ok::<_, BoxError>(http_body::Frame::data(frame.data_ref().cloned().unwrap_or_default()))
            })))
        };
        let mut known = permit();
        let body = Announced { body: frames(), announced: 100_000 };
        assert_eq!(collect(body, 1 << 20, &mut known).await.unwrap(), vec![b'x'; 100_000]);
        assert_eq!(known.bytes(), 100_000);
        let mut unknown = permit();
        assert_eq!(collect(frames(), 1 << 20, &mut unknown).await.unwrap(), vec![b'x'; 100_000]);
        assert_eq!(unknown.bytes(), 100_000);
    }

    #[test]
    fn the_memory_of_a_body_is_ahead_of_it_by_a_factor_within_its_announced_size() {
        assert_eq!(capacity(8, 30_000), 128);
        assert_eq!(capacity(2000, 30_000), 30_000);
        assert_eq!(capacity(30_000, 30_000), 30_000);
        assert_eq!(capacity(30_001, 30_000), 60_002, "a body longer than announced is one of unknown size");
        assert_eq!(capacity(8, 0), 16);
    }

    #[tokio::test]
    async fn other_tasks_run_while_a_large_body_is_read() {
        let frame = || Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(vec![b'x'; TURN / 4])));
        let body = StreamBody::new(futures_util::stream::iter((0..40).map(move |_| frame())));
        let mut permit = permit();
        let mut collecting = pin!(collect(body, 40 * TURN, &mut permit));
        let mut turns = 0;
        let collected = std::future::poll_fn(|cx| {
            turns += 1;
            collecting.as_mut().poll(cx)
        });
        assert_eq!(collected.await.unwrap().len(), 10 * TURN);
        assert_eq!(turns, 11);
    }

    #[tokio::test]
    async fn a_body_that_does_not_fit_into_the_budget_is_refused() {
        let budget = BodyBudget::new(Some(1000));
        let result = collect(Full::new(Bytes::from(vec![0; 1001])), 5000, &mut budget.permit()).await;
        assert!(matches!(result, Err(Error::BuffersFull { limit: 1000 })));
    }
}
