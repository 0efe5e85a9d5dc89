//! Probes: find out that a failed provider is reachable again, without a client's request.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::clock;
use crate::lock::lock;

/// A service that returns `true` if an upstream can be reached. It must not cause costs at the upstream.
///
/// ```
/// use std::convert::Infallible;
///
/// use relay_routing::Probe;
/// use tower::service_fn;
///
/// let probe = Probe::new(service_fn(|()| async { Ok::<_, Infallible>(true) }));
/// # let _ = probe;
/// ```
#[derive(Debug, Clone)]
pub struct Probe(BoxCloneSyncService<(), bool, Infallible>);

impl Probe {
    /// Boxes `service`. An upstream that it cannot reach is no error of the service: it returns `false`.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<(), Response = bool, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(service))
    }
}

/// The settings of probes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ProbeSettings {
    /// The time between two probes, and the longest time that one may take.
    pub interval: Duration,
}

impl ProbeSettings {
    /// Creates the settings with this time between two probes.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval }
    }
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
        let next = Arc::new(Mutex::new(clock::now() + settings.interval));
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
        tokio::time::sleep_until(at.into()).await;
        let result = tokio::time::timeout(interval, probe.0.clone().oneshot(())).await;
        if on_result(matches!(result, Ok(Ok(true)))).is_break() {
            return;
        }
        *lock(&next) = clock::now() + interval;
    }
}
