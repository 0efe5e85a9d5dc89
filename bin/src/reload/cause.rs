//! The causes of a reload.

use std::fmt;

/// The cause of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The configuration file, or a file that it names, has other contents.
    FileChange,
    /// SIGHUP.
    Signal,
    /// `POST /admin/v1/reload`.
    AdminApi,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileChange => "file change",
            Self::Signal => "SIGHUP",
            Self::AdminApi => "admin API",
        })
    }
}
