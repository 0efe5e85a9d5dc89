//! The tasks of HTTP/2 streams, each with a time limit for its client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::activity::Activity;
use super::progress::Progress;
use super::stop::Stopping;

/// Spawns the streams of one connection.
///
/// A stream ends early if its client accepts no byte within `write_timeout`, or if its request does not arrive soon after
/// the listener has closed. The client then receives RST_STREAM, and other streams are not affected.
#[derive(Debug, Clone)]
pub(super) struct StreamExecutor {
    pub(super) activity: Arc<Activity>,
    pub(super) write_timeout: Option<Duration>,
    pub(super) stopping: Stopping,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, future: F) {
        // The server calls its service for a stream directly before it spawns the stream.
        let Some(progress) = self.activity.take_next_stream() else {
            tokio::spawn(future);
            return;
        };
        let stop = self.stopping.clone().ends_arrivals();
        let limit = self.write_timeout;
        tokio::spawn(Stream { future, progress, limit, timer: None, stop: Some(Box::pin(stop)) });
    }
}

pin_project! {
    /// The task of one stream.
    struct Stream<F> {
        #[pin]
        future: F,
        progress: Arc<Progress>,
        limit: Option<Duration>,
        // The timer of a piece that waits for the client.
        timer: Option<Pin<Box<Sleep>>>,
        // `None` once requests are no longer waited for.
        stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.as_mut().project().future.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let this = self.project();
        if let Some(stop) = this.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            *this.stop = None;
            if this.progress.is_incomplete() {
                return Poll::Ready(());
            }
        }
        let (Some(since), Some(limit)) = (this.progress.held_since(), *this.limit) else {
            return Poll::Pending;
        };
        let deadline = since + limit;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        this.progress.set_stalled();
        tracing::info!(
            ?limit,
            "reset an HTTP/2 stream: the client accepted nothing (server.write_timeout_ms)"
        );
        Poll::Ready(())
    }
}
