//! The time limit of every wait.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

/// The time after which a step fails the test. It is far longer than any step needs, and not a performance limit.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// Awaits `step`, and fails the test if it takes longer than [`STEP_TIMEOUT`]. `what` completes "no … within".
#[track_caller]
pub fn within_limit<F: Future>(what: &'static str, step: F) -> impl Future<Output = F::Output> {
    within(STEP_TIMEOUT, what, step)
}

/// Awaits `step`, and fails the test if it takes longer than `limit`: for a real client that retries, or for a step that
/// has to be quick. `what` completes "no … within".
#[track_caller]
pub fn within<F: Future>(limit: Duration, what: &'static str, step: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(limit, step).await {
            Ok(output) => output,
            Err(_) => panic!("no {what} within {limit:?} ({caller})"),
        }
    }
}
