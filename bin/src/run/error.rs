//! The failures of `cc-relay run`.

use std::io;
use std::path::PathBuf;

use crate::claude_settings::Invalid;
use crate::serve::ServeError;

/// An error that prevents the command from running.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The relay of the command cannot run.
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("--listen names Unix sockets only, which the command cannot use; add a HOST:PORT")]
    NoAddress,
    #[error("there is no provider called {name:?}; the configuration has {known}")]
    Provider { name: String, known: String },
    #[error("the provider {name:?} is disabled (enabled: false)")]
    Disabled { name: String },
    #[error("no client can be served: {0}")]
    Unusable(&'static str),
    #[error("{name}: {invalid}")]
    Given { name: String, invalid: Invalid },
    #[error("{}: cannot read the settings of --settings", path.display())]
    ReadGiven {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot pass the settings to the command")]
    PassSettings(#[source] io::Error),
    #[error("cannot wait for the command")]
    Wait(#[source] io::Error),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl RunError {
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Serve(error) => error.is_usage(),
            Self::NoAddress
            | Self::Provider { .. }
            | Self::Disabled { .. }
            | Self::Given { .. }
            | Self::ReadGiven { .. } => true,
            _ => false,
        }
    }
}
