//! Health of one credential of a provider.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::limits::{Cooldown, Quota};
use crate::load::Load;
use crate::lock::lock;

/// The time for which a rejected credential is tried only after all others. The first success ends it
/// earlier, so that an operator who repairs the key does not have to restart the relay.
const REJECTED: Duration = Duration::from_secs(600);

/// The state of one credential, shared by all attempts that use it.
#[derive(Debug)]
pub(crate) struct KeyHealth {
    /// `None` for the client's own credential, whose limits are not the relay's.
    quota: Option<Arc<Quota>>,
    rejection: Mutex<Cooldown>,
    /// `true` once the credential was rejected, until a success. It spares most requests the lock.
    was_rejected: AtomicBool,
    /// `true` while an operator drains the credential.
    is_drained: AtomicBool,
    load: Load,
}

impl KeyHealth {
    pub(crate) fn new(quota: Option<Arc<Quota>>) -> Self {
        Self {
            quota,
            rejection: Mutex::default(),
            was_rejected: AtomicBool::new(false),
            is_drained: AtomicBool::new(false),
            load: Load::default(),
        }
    }

    /// Takes over the state of the same credential under an earlier configuration.
    pub(crate) fn inherit_state(&self, other: &Self) {
        self.change_rejection(|rejection| *rejection = other.rejection().clone());
        self.is_drained.store(other.is_drained(), Ordering::Release);
        if let (Some(quota), Some(other)) = (self.quota(), other.quota()) {
            quota.inherit_state(other);
        }
    }

    pub(crate) fn quota(&self) -> Option<&Quota> {
        self.quota.as_deref()
    }

    /// Records that the upstream has rejected the account of the credential, and with it every key of the same organization.
    pub(crate) fn reject_account(&self, now: Instant) {
        self.reject(now);
        if let Some(quota) = self.quota() {
            quota.reject(REJECTED, now);
        }
    }

    /// Returns `true` if `other` belongs to the same organization, or is the same credential.
    pub(crate) fn shares_account(&self, other: &Self) -> bool {
        let quotas = self.quota.as_ref().zip(other.quota.as_ref());
        quotas.is_some_and(|(quota, other)| Arc::ptr_eq(quota, other))
    }

    /// Records that the upstream has rejected the credential.
    pub(crate) fn reject(&self, now: Instant) {
        self.change_rejection(|rejection| rejection.extend(REJECTED, now));
    }

    /// Records the success of a request that was sent at `sent_at`. It ends a rejection and a cooldown that began before.
    pub(crate) fn record_success(&self, sent_at: Instant) {
        if self.was_rejected() {
            self.change_rejection(|rejection| rejection.record_success(sent_at));
        }
        if let Some(quota) = self.quota() {
            quota.record_success(sent_at);
        }
    }

    /// Returns `true` if the upstream has recently rejected the credential or its account.
    pub(crate) fn is_rejected(&self, now: Instant) -> bool {
        self.was_rejected() && self.rejection().remaining(now).is_some()
            || self.quota().is_some_and(|quota| quota.is_rejected(now))
    }

    /// Returns `true` if an operator drains the credential: no further request uses it.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::Acquire)
    }

    /// Drains the credential, or uses it again. Returns `true` if that is a change.
    pub(crate) fn set_drained(&self, is_drained: bool) -> bool {
        self.is_drained.swap(is_drained, Ordering::AcqRel) != is_drained
    }

    /// Ends the rejection of the credential and of its account, and their cooldown. Returns `true` if one was running.
    pub(crate) fn reset_pauses(&self, now: Instant) -> bool {
        let mut was_rejected = false;
        self.change_rejection(|rejection| was_rejected = rejection.end(now));
        let had_pause = self.quota().is_some_and(|quota| quota.reset_pauses(now));
        was_rejected || had_pause
    }

    /// Returns `true` if no request can use the credential now, as far as that is known without a lock.
    pub(crate) fn is_known_to_be_limited(&self, now: Instant) -> bool {
        self.quota().is_some_and(|quota| quota.is_known_to_be_limited(now))
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    fn was_rejected(&self) -> bool {
        self.was_rejected.load(Ordering::Acquire)
    }

    fn change_rejection(&self, change: impl FnOnce(&mut Cooldown)) {
        let mut rejection = self.rejection();
        change(&mut rejection);
        self.was_rejected.store(rejection.is_running(), Ordering::Release);
    }

    fn rejection(&self) -> MutexGuard<'_, Cooldown> {
        lock(&self.rejection)
    }
}
