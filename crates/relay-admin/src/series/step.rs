//! The steps of time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time that one point covers.
pub const STEP: Duration = Duration::from_secs(10);

/// Returns the number of the step since the Unix epoch that contains `time`.
pub(super) fn step_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / STEP.as_secs()
}

/// Returns the start of a step, in milliseconds since the Unix epoch.
pub(super) fn start_of(step: u64) -> u64 {
    step * STEP.as_millis() as u64
}
