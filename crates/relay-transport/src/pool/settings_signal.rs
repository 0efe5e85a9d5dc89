//! The arrival of the peer's SETTINGS on an HTTP/2 connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::sync::Notify;

/// Runs the tasks of an HTTP/2 connection. hyper does not report the arrival of the peer's SETTINGS, so each progress of a
/// task is signalled until [`finish`](Self::finish) is called. Clones share the signal.
#[derive(Debug, Clone, Default)]
pub(super) struct SignallingExecutor(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    progress: Notify,
    is_finished: AtomicBool,
}

impl SignallingExecutor {
    /// Waits for progress of a task since the last call.
    pub(super) async fn progress(&self) {
        self.0.progress.notified().await;
    }

    /// Ends the signals.
    pub(super) fn finish(&self) {
        self.0.is_finished.store(true, Ordering::Relaxed);
    }
}

impl<F> Executor<F> for SignallingExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(Signalling { future, signal: Arc::clone(&self.0) });
    }
}

pin_project! {
    struct Signalling<F> {
        #[pin]
        future: F,
        signal: Arc<Signal>,
    }
}

impl<F: Future> Future for Signalling<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let progress = this.future.poll(cx);
        if !this.signal.is_finished.load(Ordering::Relaxed) {
            this.signal.progress.notify_one();
        }
        Poll::Ready(ready!(progress))
    }
}
