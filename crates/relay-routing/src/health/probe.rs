//! Asking a provider that has failed whether it is back, so that no request has to.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::ProviderHealth;

/// Says whether an upstream can be reached, without asking anything of it that costs.
pub type Probe = BoxCloneSyncService<(), bool, Infallible>;

/// How open circuits are probed.
#[derive(Debug, Clone, Copy)]
pub struct ProbeSettings {
    /// The time between two probes, and the most that one may take.
    pub interval: Duration,
}

/// A task that probes one provider as long as its circuit is open. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Probing(AbortHandle);

impl Probing {
    /// `None` outside of a runtime, where nothing could run.
    pub(super) fn start(
        health: &Arc<ProviderHealth>,
        probe: &Probe,
        settings: ProbeSettings,
    ) -> Option<Self> {
        let task = run(Arc::downgrade(health), probe.clone(), settings.interval);
        Some(Self(Handle::try_current().ok()?.spawn(task).abort_handle()))
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(health: Weak<ProviderHealth>, probe: Probe, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let reached = tokio::time::timeout(interval, probe.clone().oneshot(())).await;
        // Without anybody who could ask the provider, nobody wants to know.
        let Some(health) = health.upgrade() else { return };
        if let Ok(Ok(true)) = reached {
            return health.probed(tokio::time::Instant::now());
        }
    }
}
