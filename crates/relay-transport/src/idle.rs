//! The idle timeout of a response's body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_messages::media_type;
use relay_stream::body::TokioTimer;
use relay_stream::watch::ActivityWatch;
use tokio::time::Instant;

use crate::arrivals::Arrivals;
use crate::body::AnswerBodyError;

/// The longest limit that is counted.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pin_project! {
    /// Passes frames on. Ends with an error if no frame has arrived for `limit`. A stream of server-sent events also ends if
    /// only keep-alives (comments, blank lines and pings) have arrived for twice as long.
    pub struct IdleTimeout<B> {
        #[pin]
        body: B,
        timer: TokioTimer,
        silence: Silence,
        arrivals: Option<Arrivals>,
    }
}

impl<B> IdleTimeout<B> {
    /// Limits the silence of `body`, the decompressed body of a response with `headers`. A limit above a day counts as a day.
    pub fn new(headers: &HeaderMap, body: B, limit: Duration) -> Self {
        let (limit, now) = (limit.min(DAY), Instant::now());
        let events = has_events(headers).then(ActivityWatch::new);
        let silence = Silence { limit, last_frame: now, last_activity: now, events };
        Self { body, timer: TokioTimer::new(limit), silence, arrivals: None }
    }

    /// Notes the times at which the frames arrive.
    pub(crate) fn with_arrivals(self, arrivals: Option<Arrivals>) -> Self {
        Self { arrivals, ..self }
    }
}

/// Returns `true` if a body with these headers is a readable stream of server-sent events.
fn has_events(headers: &HeaderMap) -> bool {
    media_type::is(headers, media_type::EVENTS) && !headers.contains_key(CONTENT_ENCODING)
}

impl<B> Body for IdleTimeout<B>
where
    B: Body<Data = Bytes, Error = AnswerBodyError>,
{
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let mut this = self.project();
        let data = match this.body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data(),
            Poll::Ready(last) => return Poll::Ready(last),
            Poll::Pending => {
                ready!(Pin::new(this.timer).poll_until(cx, || Some(this.silence.deadline().into())));
                return Poll::Ready(Some(Err(this.silence.error(Instant::now()))));
            }
        };
        let now = Instant::now();
        if let Some(arrivals) = this.arrivals {
            arrivals.note(now);
        }
        // After the last frame of a body of known length, there is no silence to limit.
        if !this.body.is_end_stream() && !this.silence.observe(data.as_ref().ok(), now) {
            return Poll::Ready(Some(Err(this.silence.error(now))));
        }
        Poll::Ready(Some(Ok(data.map_or_else(|trailers| trailers, Frame::data))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The silence of a body.
struct Silence {
    limit: Duration,
    last_frame: Instant,
    last_activity: Instant,
    /// `None` for a body whose frames all count as activity.
    events: Option<ActivityWatch>,
}

impl Silence {
    /// Begins with a frame of `data`, which has arrived at `now`. Returns `false` if it ends a time of keep-alives alone that is
    /// too long.
    fn observe(&mut self, data: Option<&Bytes>, now: Instant) -> bool {
        let is_activity = match (&mut self.events, data) {
            (Some(events), Some(data)) => events.observe(data),
            _ => true,
        };
        self.last_frame = now;
        if is_activity {
            self.last_activity = now;
        }
        is_activity || now < self.keep_alives_until()
    }

    /// The end of the time in which keep-alives alone may arrive.
    fn keep_alives_until(&self) -> Instant {
        self.last_activity + self.limit * 2
    }

    /// The time at which the silence is too long. No frame makes it earlier.
    fn deadline(&self) -> Instant {
        (self.last_frame + self.limit).min(self.keep_alives_until())
    }

    /// Returns the error for a silence that is too long `now`.
    fn error(&self, now: Instant) -> AnswerBodyError {
        match self.last_frame > self.last_activity && now >= self.keep_alives_until() {
            true => AnswerBodyError::OnlyPings { after: self.limit * 2 },
            false => AnswerBodyError::Idle { after: self.limit },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// A body that sends `text` every `every`, `count` times.
    fn drip(
        text: &'static str,
        every: Duration,
        count: usize,
    ) -> impl Body<Data = Bytes, Error = AnswerBodyError> {
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

    /// Reads a stream of events with an idle timeout of 10 s, up to its error. Returns the number of frames before the error,
    /// the error, and the seconds that have passed.
    async fn outcome(body: impl Body<Data = Bytes, Error = AnswerBodyError>) -> (usize, String, u64) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        let mut body = Box::pin(IdleTimeout::new(&headers, body, Duration::from_secs(10)));
        let (mut frames, started) = (0, Instant::now());
        loop {
            match body.frame().await {
                Some(Ok(_)) => frames += 1,
                Some(Err(error)) => return (frames, error.to_string(), started.elapsed().as_secs()),
                None => panic!("the body ended"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_body_with_an_error() {
        let silence = "the upstream sent nothing for 10 s".to_owned();
        assert_eq!(outcome(drip("data: 1\n\n", Duration::from_secs(11), 9)).await, (0, silence.clone(), 10));
        assert_eq!(outcome(drip("data: 1\n\n", Duration::from_secs(9), 9)).await, (9, silence.clone(), 91));
        assert_eq!(outcome(drip(": x\n\n", Duration::from_secs(5), 1)).await, (1, silence, 15));
    }

    #[tokio::test(start_paused = true)]
    async fn keep_alives_in_any_spelling_extend_the_limit_at_most_to_its_double() {
        let only_pings = "the upstream sent only pings for 20 s";
        for keep_alive in [
            "event: ping\ndata: {\"type\": \"ping\"}\n\n",
            "event:ping\r\ndata:{}\r\n\r\n",
            "data: {\"type\":\"ping\"}\n\n",
            ": keep-alive\n\n",
            "\n",
            ": one\n\n: two\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n",
        ] {
            let found = outcome(drip(keep_alive, Duration::from_secs(6), 90)).await;
            assert_eq!(found, (3, only_pings.to_owned(), 20), "{keep_alive:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_arrival_of_each_frame_is_noted() {
        let arrivals = Arrivals::new();
        let body = IdleTimeout::new(&HeaderMap::new(), drip("x", Duration::from_secs(9), 3), DAY);
        let mut body = Box::pin(body.with_arrivals(Some(arrivals.clone())));
        for frame in 1..4 {
            assert!(matches!(body.frame().await, Some(Ok(_))));
            assert_eq!(arrivals.last(), Duration::from_secs(9) * frame);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_frame_of_another_body_is_activity() {
        let body = drip("\n", Duration::from_secs(9), 5);
        let mut body = Box::pin(IdleTimeout::new(&HeaderMap::new(), body, Duration::from_secs(10)));
        for _ in 0..5 {
            assert!(matches!(body.frame().await, Some(Ok(_))));
        }
    }
}
