//! The reasons that a request gets no response head.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tower::BoxError;

use crate::open_files::is_about_open_files;

/// The reason that there is no response head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No connection could be made: refused, unreachable, unknown name, TLS, or too slow. Nothing was sent.
    #[error("cannot connect to the upstream")]
    Connect(#[source] BoxError),
    /// The relay itself has no room for a further connection. Nothing was sent, and the upstream is not at fault.
    #[error("the relay has no free connection to the upstream")]
    Saturated(#[source] BoxError),
    /// The connection failed before the response head. Part of the request may have been sent.
    #[error("the upstream closed the connection before it answered")]
    Exchange(#[source] BoxError),
}

/// No connection became free within the limit of [`PoolLimits::queue`](super::limits::PoolLimits::queue).
#[derive(Debug, thiserror::Error)]
#[error("every connection is in use, and none became free in time")]
pub(super) struct NoneFree;

/// A failed connection attempt that several requests waited for.
#[derive(Debug, Clone)]
struct SharedError(Arc<dyn Error + Send + Sync>);

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for SharedError {
    // The error itself and not its source, so that its type can be found.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl SendError {
    /// Returns the error of a failed connection attempt for each of `count` requests.
    pub(super) fn of_attempt(error: BoxError, count: usize) -> impl Iterator<Item = Self> {
        let is_local = is_about_open_files(&*error);
        let shared = SharedError(error.into());
        (0..count).map(move |_| {
            let error = shared.clone().into();
            if is_local { Self::Saturated(error) } else { Self::Connect(error) }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[track_caller]
    fn check(error: impl Into<BoxError>, is_saturated: bool) {
        let errors: Vec<_> = SendError::of_attempt(error.into(), 2).collect();
        assert_eq!(errors.len(), 2);
        for error in errors {
            assert_eq!(matches!(error, SendError::Saturated(_)), is_saturated, "{error:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_lack_of_open_files_is_not_a_failure_of_the_upstream() {
        check(io::Error::from_raw_os_error(24), true);
        check(io::Error::from_raw_os_error(23), true);
        check(io::Error::from(io::ErrorKind::ConnectionRefused), false);
        check("no connection within 200 ms", false);
    }
}
