//! The bound on every wait.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

/// How long a step may take before the test fails. Far more than any step needs: it is a guard, never a measure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Awaits `step`, and fails the test when it takes longer than [`PATIENCE`]. `what` completes "no … within".
#[track_caller]
pub fn patiently<F: Future>(what: &'static str, step: F) -> impl Future<Output = F::Output> {
    patiently_for(PATIENCE, what, step)
}

/// As [`patiently`], with a bound of its own: for a real client that retries, or a step that has to be quick.
#[track_caller]
pub fn patiently_for<F: Future>(
    bound: Duration,
    what: &'static str,
    step: F,
) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(bound, step).await {
            Ok(output) => output,
            Err(_) => panic!("no {what} within {bound:?} ({caller})"),
        }
    }
}
