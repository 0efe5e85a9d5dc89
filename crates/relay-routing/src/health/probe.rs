//! Probes: find out that a failed provider is reachable again, without a client's request.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

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
pub(super) struct ProbeTask(AbortHandle);

impl ProbeTask {
    /// Spawns the task, or returns `None` outside of a runtime. `on_result` receives the result of each probe
    /// and decides if the task goes on.
    pub(super) fn spawn(
        probe: Probe,
        settings: ProbeSettings,
        on_result: impl Fn(bool) -> ControlFlow<()> + Send + 'static,
    ) -> Option<Self> {
        let task = run(probe, settings.interval, on_result);
        Some(Self(Handle::try_current().ok()?.spawn(task).abort_handle()))
    }
}

impl Drop for ProbeTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(probe: Probe, interval: Duration, on_result: impl Fn(bool) -> ControlFlow<()>) {
    loop {
        tokio::time::sleep(interval).await;
        let result = tokio::time::timeout(interval, probe.clone().oneshot(())).await;
        if on_result(matches!(result, Ok(Ok(true)))).is_break() {
            return;
        }
    }
}
