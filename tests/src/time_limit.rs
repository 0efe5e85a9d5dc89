//! The bound on every wait.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

/// How long a step may take before the test fails. Far more than any step needs: it is a guard, never a measure.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// Awaits `step`, and fails the test when it takes longer than [`STEP_TIMEOUT`]. `what` completes "no … within".
#[track_caller]
pub fn within_limit<F: Future>(what: &'static str, step: F) -> impl Future<Output = F::Output> {
    within(STEP_TIMEOUT, what, step)
}

/// As [`within_limit`], with a bound of its own: for a real client that retries, or a step that has to be quick.
#[track_caller]
pub fn within<F: Future>(bound: Duration, what: &'static str, step: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(bound, step).await {
            Ok(output) => output,
            Err(_) => panic!("no {what} within {bound:?} ({caller})"),
        }
    }
}
