//! Pings during silence.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::sse::Boundary;

/// The ping event, byte for byte as Anthropic sends it.
const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// A timer for [`KeepAliveBody`] that expires once per reset.
///
/// Each async runtime has its own timer, and this crate depends on none of them, so the caller chooses the
/// timer. `TokioTimer` (feature `tokio`) is the timer of tokio.
pub trait Timer {
    /// Returns `Ready` once the timer has expired, until the next [`reset`](Self::reset). Before that,
    /// returns `Pending` and registers the task.
    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Sets the timer to expire `after` from now, which replaces the earlier deadline. It is called for every
    /// frame, so it should be cheap.
    fn reset(self: Pin<&mut Self>, after: Duration);
}

pin_project! {
    /// Forwards an SSE body and inserts a `ping` event after each interval of silence.
    ///
    /// Clients, and proxies before them, close a stream that sends no byte for some minutes, and Event
    /// Streams have no pings. A ping is inserted between two events, never inside one: while the upstream
    /// pauses inside an event, no ping is sent. The size hint never announces a length, so the caller must
    /// not copy a `content-length`.
    ///
    /// With the timer of tokio (feature `tokio`):
    /// ```
    /// # #[cfg(feature = "tokio")]
    /// # fn main() {
    /// use std::time::Duration;
    ///
    /// use http_body_util::{BodyExt, Full};
    /// use relay_stream::body::{KeepAliveBody, TokioTimer};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let every = Duration::from_secs(15);
    /// let upstream = Full::new(bytes::Bytes::from("event: message_stop\ndata: {}\n\n"));
    /// let body = KeepAliveBody::new(upstream, every, TokioTimer::new(every));
    /// assert_eq!(body.collect().await?.to_bytes(), "event: message_stop\ndata: {}\n\n");
    /// # Ok::<(), std::convert::Infallible>(())
    /// # }).unwrap();
    /// # }
    /// # #[cfg(not(feature = "tokio"))]
    /// # fn main() {}
    /// ```
    #[derive(Debug)]
    pub struct KeepAliveBody<B, T> {
        #[pin]
        inner: B,
        #[pin]
        timer: T,
        every: Duration,
        boundary: Boundary,
        // The inner body has ended or failed, so no ping may follow.
        done: bool,
    }
}

impl<B, T: Timer> KeepAliveBody<B, T> {
    /// Wraps `inner`, a body at its start, and inserts a ping after each interval `every` of silence. The
    /// first ping follows the expiry of `timer`, so the caller sets its first interval. An interval of zero
    /// is one millisecond.
    pub fn new(inner: B, every: Duration, timer: T) -> Self {
        let every = every.max(Duration::from_millis(1));
        KeepAliveBody { inner, timer, every, boundary: Boundary::new(), done: false }
    }
}

impl<B, T> Body for KeepAliveBody<B, T>
where
    B: Body<Data = Bytes>,
    T: Timer,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if let Poll::Ready(next) = this.inner.poll_frame(cx) {
            let last = match next {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        follow(this.boundary, &data);
                        this.timer.reset(*this.every);
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Err(trailers) => Some(Ok(trailers)),
                },
                last => last,
            };
            *this.done = true;
            return Poll::Ready(last);
        }
        if !*this.done && this.timer.as_mut().poll_elapsed(cx).is_ready() {
            this.timer.as_mut().reset(*this.every);
            if this.boundary.at_start() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(PING)))));
            }
            // A timer that was reset wakes no task until it has been polled.
            if this.timer.poll_elapsed(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.inner.size_hint().lower());
        hint
    }
}

fn follow(boundary: &mut Boundary, mut bytes: &[u8]) {
    if boundary.skip_events(bytes) {
        return;
    }
    while let Some(len) = boundary.find_end(bytes) {
        bytes = &bytes[len..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::scripted::ScriptedBody;

    /// A timer that expires at a given number of polls, so that the test needs no clock.
    struct PollTimer(u32);

    impl Timer for PollTimer {
        fn poll_elapsed(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0 = self.0.saturating_sub(1);
            if self.0 == 0 { Poll::Ready(()) } else { Poll::Pending }
        }

        fn reset(mut self: Pin<&mut Self>, _: Duration) {
            self.0 = 2;
        }
    }

    /// Compares the data of every poll. `…` is a pending poll.
    #[track_caller]
    fn check(script: ScriptedBody, expected: &[&str]) {
        let mut body = KeepAliveBody::new(script, Duration::ZERO, PollTimer(1));
        let mut task = tokio_test::task::spawn(());
        for expected in expected {
            let found = match task.enter(|cx, _| Pin::new(&mut body).poll_frame(cx)) {
                Poll::Pending => "…".to_owned(),
                Poll::Ready(None) => "end".to_owned(),
                Poll::Ready(Some(Err(error))) => error.to_owned(),
                Poll::Ready(Some(Ok(frame))) => frame
                    .into_data()
                    .map_or("trailers".to_owned(), |data| String::from_utf8(data.into()).unwrap()),
            };
            let expected = if *expected == "ping" { std::str::from_utf8(PING).unwrap() } else { expected };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_ping_is_inserted_between_events_and_never_inside_one() {
        check(
            ScriptedBody::new().pending().pending().pending().data("x"),
            &["ping", "…", "ping", "x", "end"],
        );
        let cut = ScriptedBody::new()
            .data("data: 1\n")
            .pending()
            .pending()
            .pending()
            .data("\n")
            .pending()
            .pending();
        check(cut, &["data: 1\n", "…", "…", "…", "\n", "…", "ping", "end"]);
        check(
            ScriptedBody::new().data("data: 1\r\r").pending().pending(),
            &["data: 1\r\r", "…", "ping", "end"],
        );
    }

    #[test]
    fn no_ping_follows_an_end_trailers_or_an_error() {
        check(ScriptedBody::new().pending(), &["ping", "end", "end"]);
        check(
            ScriptedBody::new().trailers().pending().pending().pending(),
            &["trailers", "…", "…", "…", "end"],
        );
        check(ScriptedBody::new().error("reset").pending().pending(), &["reset", "…", "…"]);
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn silence_is_measured_from_the_last_frame() {
        use http_body_util::BodyExt;

        use crate::body::TokioTimer;

        let every = Duration::from_secs(15);
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes, &'static str>::new(1);
        let mut body = std::pin::pin!(KeepAliveBody::new(body, every, TokioTimer::new(every)));
        let start = tokio::time::Instant::now();
        tokio::time::sleep(Duration::from_secs(10)).await;
        sender.send_data(Bytes::from_static(b"data: 1\n\n")).await.unwrap();
        let mut frames = Vec::new();
        for _ in 0..3 {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            frames.push((start.elapsed().as_secs(), data));
        }
        let ping = Bytes::from_static(PING);
        assert_eq!(frames, [(10, Bytes::from_static(b"data: 1\n\n")), (25, ping.clone()), (40, ping)]);
    }
}
