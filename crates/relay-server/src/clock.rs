//! The clock of the crate: tokio's, which tests can pause and advance, in the type of std that the quotas of relay-routing use.

use std::time::Instant;

/// Returns the current time.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
