//! Failures of the ledger.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// A failure to open, write or read a ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// No relay has written a ledger to this file yet.
    #[error("there is no usage ledger at {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file or its directory cannot be created.
    #[error("the usage ledger {} cannot be created", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The thread that writes the ledger cannot be started.
    #[error("the thread of the usage ledger cannot be started")]
    Thread(#[source] io::Error),
    /// A later version of the program has written the file. It is not touched.
    #[error(
        "the usage ledger {} has version {found} of its schema, and this program knows versions up to {known}: \
         update cc-relay, or set usage.path to another file",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// The file is a database of another program. It is not touched.
    #[error("{} is a database of another program: set usage.path to another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database returned an error: a full disk, a file without permission to write, a lock that another process holds, a
    /// damaged file.
    #[error("the usage ledger {} cannot be {action}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// The action that failed: `opened`, `written` or `read`.
        action: &'static str,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl LedgerError {
    /// Returns `true` if there is no ledger to read.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// Returns a function that makes an error of the database's.
    pub(super) fn at<'a>(path: &'a Path, action: &'static str) -> impl Fn(rusqlite::Error) -> Self + 'a {
        move |source| Self::Database { path: path.to_owned(), action, source: source.into() }
    }
}
