//! Locks that nothing poisons.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// No panic can leave what this crate locks half changed, so that a poisoned lock is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
