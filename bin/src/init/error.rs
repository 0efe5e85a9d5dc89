//! The failure of `config init`.

use std::io;
use std::path::PathBuf;

/// The failure of `config init`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    #[error("neither $XDG_CONFIG_HOME nor $HOME is set; name the file to write with --config")]
    NoHome,
    #[error(
        "{}: the name must end in .yaml or .yml for YAML, in .toml for TOML, and agree with --format",
        path.display()
    )]
    Extension { path: PathBuf },
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
        matches!(self, Self::Extension { .. })
    }
}
