//! Keeps the work on large bodies from delaying other requests.
//!
//! The relay scans and signs a body in turns, but adapts it in one go: up to some seconds for the largest bodies and the strictest
//! upstreams. A thread of the runtime that does this serves no other request meanwhile. For a large body, the runtime therefore
//! hands the other tasks of the thread to another one.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// The size above which a body is large, in bytes. The work on a smaller one takes a few milliseconds.
const LARGE: usize = 1 << 20;

/// A mark of a [`ListenerRules`](crate::listener_rules::ListenerRules): the tasks of its runtime can move to another thread.
///
/// Only `serve` sets it. A service that embeds the relay may poll it where a task must not block: in a runtime of one thread, or
/// in a `LocalSet`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MayBlock(());

impl MayBlock {
    /// Returns the mark if the caller, a task that was spawned on the runtime, may block its thread.
    #[cfg_attr(not(feature = "serve"), allow(dead_code))] // only `serve` sets the mark
    pub(crate) fn here() -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        (runtime.runtime_flavor() == RuntimeFlavor::MultiThread).then_some(Self(()))
    }
}

/// The place of the work on one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offload {
    is_needed: bool,
}

impl Offload {
    /// Chooses the place for a body of `size` bytes.
    pub(crate) fn of(size: usize, may_block: Option<MayBlock>) -> Self {
        Self { is_needed: size > LARGE && may_block.is_some() }
    }

    fn run<T>(self, work: impl FnOnce() -> T) -> T {
        if self.is_needed { block_in_place(work) } else { work() }
    }

    /// Returns a future that polls `inner` at this place.
    pub(crate) fn future<F>(self, inner: F) -> Offloaded<F> {
        Offloaded { inner, place: self }
    }
}

pin_project! {
    /// The future of [`Offload::future`].
    pub(crate) struct Offloaded<F> {
        #[pin]
        inner: F,
        place: Offload,
    }
}

impl<F: Future> Future for Offloaded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.place.run(|| this.inner.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_run_while_a_large_body_is_worked_on() {
        let (sender, receiver) = mpsc::channel();
        let working = tokio::spawn(async move {
            let (started, may_finish) = mpsc::channel();
            // The only thread of the runtime has to run this task while the other one blocks.
            tokio::spawn(async move { started.send(sender).unwrap() });
            Offload::of(LARGE + 1, MayBlock::here()).future(async move { may_finish.recv().unwrap() }).await
        });
        working.await.unwrap().send(()).unwrap();
        receiver.recv().unwrap();
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_is_never_blocked_in_place() {
        assert!(MayBlock::here().is_none());
        assert_eq!(Offload::of(LARGE + 1, MayBlock::here()).future(async { 1 }).await, 1);
    }
}
