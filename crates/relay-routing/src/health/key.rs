//! What is known of one credential of a provider.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{Cooldown, Quota};
use crate::load::Load;
use crate::lock::lock;

/// How long a credential that the upstream has refused is asked with only when nothing else is left. Whoever mends it
/// need not tell the relay: the first success ends this.
const REJECTED: Duration = Duration::from_secs(600);

/// Shared by all who ask with one credential.
#[derive(Debug)]
pub(crate) struct KeyHealth {
    /// `None` for the client's own credential: what it may use says nothing about ours.
    quota: Option<Arc<Quota>>,
    rejection: Mutex<Cooldown>,
    load: Load,
}

impl KeyHealth {
    pub(crate) fn new(quota: Option<Arc<Quota>>) -> Self {
        Self { quota, rejection: Mutex::default(), load: Load::default() }
    }

    /// Goes on with what is known of the same credential under another configuration.
    pub(crate) fn inherit_state(&self, other: &Self) {
        *self.rejection() = other.rejection().clone();
        if let (Some(quota), Some(other)) = (self.quota(), other.quota()) {
            quota.inherit_state(other);
        }
    }

    pub(crate) fn quota(&self) -> Option<&Quota> {
        self.quota.as_deref()
    }

    /// The upstream does not accept the credential.
    pub(crate) fn reject(&self, now: Instant) {
        self.rejection().extend(REJECTED, now);
    }

    /// The upstream has accepted the credential, in a request that was sent at `asked`.
    pub(crate) fn accept(&self, asked: Instant) {
        self.rejection().served(asked);
    }

    /// Whether the upstream has refused the credential lately.
    pub(crate) fn is_rejected(&self, now: Instant) -> bool {
        self.rejection().left(now).is_some()
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    fn rejection(&self) -> MutexGuard<'_, Cooldown> {
        lock(&self.rejection)
    }
}
