//! Probes: find out that a failed provider is reachable again, without a client's request.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::lock::lock;

/// Returns `true` if an upstream can be reached. A probe must not cause costs at the upstream.
pub type Probe = BoxCloneSyncService<(), bool, Infallible>;

/// The settings of probes.
#[derive(Debug, Clone, Copy)]
pub struct ProbeSettings {
    /// The time between two probes, and the longest time that one may take.
    pub interval: Duration,
}

/// A task that probes one provider while its circuit is open. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct ProbeTask {
    task: AbortHandle,
    /// The time at which the next probe is sent.
    next: Arc<Mutex<Instant>>,
}

impl ProbeTask {
    /// Spawns the task, or returns `None` outside of a runtime. `on_result` receives the result of each probe
    /// and decides if the task goes on.
    pub(super) fn spawn(
        probe: Probe,
        settings: ProbeSettings,
        on_result: impl Fn(bool) -> ControlFlow<()> + Send + 'static,
    ) -> Option<Self> {
        let next = Arc::new(Mutex::new(Instant::now() + settings.interval));
        let task = run(probe, settings.interval, Arc::clone(&next), on_result);
        Some(Self { task: Handle::try_current().ok()?.spawn(task).abort_handle(), next })
    }

    /// Returns the time until the next probe is sent; zero while one is under way.
    pub(super) fn wait_time(&self, now: Instant) -> Duration {
        lock(&self.next).saturating_duration_since(now)
    }
}

impl Drop for ProbeTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    probe: Probe,
    interval: Duration,
    next: Arc<Mutex<Instant>>,
    on_result: impl Fn(bool) -> ControlFlow<()>,
) {
    loop {
        let at = *lock(&next);
        tokio::time::sleep_until(at).await;
        let result = tokio::time::timeout(interval, probe.clone().oneshot(())).await;
        if on_result(matches!(result, Ok(Ok(true)))).is_break() {
            return;
        }
        *lock(&next) = Instant::now() + interval;
    }
}
