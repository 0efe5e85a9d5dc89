//! The idle timeout of a response's body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower::BoxError;

use crate::body::ResponseBodyError;

/// The start of a ping event, as Anthropic and compatible upstreams write it.
const PING: &[u8] = b"event: ping";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest frame that can be a ping alone. A longer frame contains a further event.
const PING_LENGTH: usize = 64;

pin_project! {
    /// Passes frames on. Ends with an error if no frame has arrived for `limit`, or only pings for twice as long.
    pub struct IdleTimeout<B> {
        #[pin]
        body: B,
        #[pin]
        sleep: Sleep,
        limit: Duration,
        last_content: Instant,
    }
}

impl<B> IdleTimeout<B> {
    /// Limits the silence of `body`. A limit above a day counts as a day.
    pub fn new(body: B, limit: Duration) -> Self {
        let limit = limit.min(DAY);
        Self { body, sleep: tokio::time::sleep(limit), limit, last_content: Instant::now() }
    }
}

impl<B> Body for IdleTimeout<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let mut this = self.project();
        let frame = match this.body.poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(this.sleep.poll(cx));
                return Poll::Ready(Some(Err(ResponseBodyError::Idle { after: *this.limit })));
            }
        };
        let now = Instant::now();
        if let Some(Ok(frame)) = &frame {
            let is_ping =
                frame.data_ref().is_some_and(|data| data.len() <= PING_LENGTH && data.starts_with(PING));
            if !is_ping {
                *this.last_content = now;
            } else if now - *this.last_content >= *this.limit * 2 {
                return Poll::Ready(Some(Err(ResponseBodyError::OnlyPings { after: *this.limit * 2 })));
            }
            this.sleep.as_mut().reset(now + *this.limit);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| ResponseBodyError::Transport(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// A body that sends `text` every `every`, `count` times.
    fn drip(
        text: &'static str,
        every: Duration,
        count: usize,
    ) -> impl Body<Data = Bytes, Error = Infallible> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..count {
                tokio::time::sleep(every).await;
                if sender.send(Ok(Frame::data(Bytes::from_static(text.as_bytes())))).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        StreamBody::new(Receiver(receiver))
    }

    struct Receiver<T>(tokio::sync::mpsc::Receiver<T>);

    impl<T> futures_core::Stream for Receiver<T> {
        type Item = T;
        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
            self.0.poll_recv(cx)
        }
    }

    #[track_caller]
    fn check(
        body: impl Body<Data = Bytes, Error = Infallible>,
        frames: usize,
        end: &str,
    ) -> impl Future<Output = ()> {
        let body = IdleTimeout::new(body, Duration::from_secs(10));
        async move {
            let mut body = Box::pin(body);
            let mut seen = 0;
            loop {
                match body.frame().await {
                    Some(Ok(_)) => seen += 1,
                    Some(Err(error)) => {
                        assert_eq!((seen, error.to_string().as_str()), (frames, end));
                        return;
                    }
                    None => panic!("the body ended"),
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_body_with_an_error() {
        check(drip("data", Duration::from_secs(11), 9), 0, "the upstream sent nothing for 10 s").await;
        check(drip("data", Duration::from_secs(9), 9), 9, "the upstream sent nothing for 10 s").await;
    }

    #[tokio::test(start_paused = true)]
    async fn pings_extend_the_limit_at_most_to_its_double() {
        let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
        check(drip(ping, Duration::from_secs(5), 90), 3, "the upstream sent only pings for 20 s").await;
    }
}
