//! The failure of `config init`.

use std::io;
use std::path::PathBuf;

use crate::destination::DestinationError;

/// The failure of `config init`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
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

impl InitError {
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Destination(_))
    }
}
