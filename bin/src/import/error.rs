//! The failures of an import.

use std::io;
use std::path::{Path, PathBuf};

use relay_config::LoadError;

use crate::destination::DestinationError;

/// The reason that a file could not be imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("{}: cannot read the file", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: the file has more than {limit} bytes, which no such configuration has", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{}: a list or a table has more than {limit} values; import them in parts", path.display())]
    TooLong { path: PathBuf, limit: usize },
    #[error("{}: not valid JSON5", path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: json5::Error,
    },
    #[error(transparent)]
    Syntax(LoadError),
    #[error(
        "{}: neither a configuration of claude-code-router (Providers, Router), nor of LiteLLM (model_list), nor of the Go cc-relay \
         (providers, server); name the program with --from",
        path.display()
    )]
    Unknown { path: PathBuf },
    #[error("no provider of the file can be taken; nothing was written:\n{report}")]
    NoProvider { report: String },
    #[error("the converted configuration is not valid")]
    Invalid(#[source] LoadError),
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error("{} exists; --force replaces it", path.display())]
    Exists { path: PathBuf },
    #[error("{}: cannot write the file", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl ImportError {
    /// Returns the error of a file that could not be written.
    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists { path: path.to_owned() },
            _ => Self::Write { path: path.to_owned(), source },
        }
    }

    /// Returns `true` if the mistake is on the command line.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Destination(_))
    }
}
