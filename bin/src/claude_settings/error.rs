//! The failures of the commands that edit the settings of Claude Code.

use std::io;
use std::path::{Path, PathBuf};

use super::invalid::Invalid;
use crate::settings::SettingsError;

/// The failure of a `config cc` command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaudeSettingsError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("neither $CLAUDE_CONFIG_DIR nor $HOME is set; name the settings file with --settings")]
    NoHome,
    #[error("neither $XDG_STATE_HOME nor $HOME is set, so that the former values cannot be remembered")]
    NoStateDirectory,
    #[error("{}: {invalid}; Claude Code ignores the whole file until this is corrected; it was not changed", path.display())]
    Invalid { path: PathBuf, invalid: Invalid },
    #[error("{}: cannot read the file", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: cannot write the file; it was not changed", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: the {what} is read-only; it was not changed", path.display())]
    ReadOnly { path: PathBuf, what: &'static str },
    #[error("{}: symbolic links form a loop", path.display())]
    LinkLoop { path: PathBuf },
    #[error("{}: another program keeps changing the file; it was not changed", path.display())]
    Busy { path: PathBuf },
    #[error(
        "{}: not a list of former values; they would be lost, so that nothing was changed; move the file away to start \
         without them",
        path.display()
    )]
    State { path: PathBuf },
    #[error(
        "found {url:?} as the URL of the relay: expected one like http://127.0.0.1:8787, without user name, query and /v1"
    )]
    Url { url: String },
    #[error(
        "the relay listens on Unix sockets only, which Claude Code cannot use; add an address to server.listen, or name one with --url"
    )]
    NoAddress,
    #[error("server.listen has no fixed port, so that the URL of the relay is not known; name it with --url")]
    NoPort,
    #[error(
        "the client key of the relay would be written to {}, which is usually shared with others; use --local or the \
         file of the user",
        path.display()
    )]
    SharedKey { path: PathBuf },
    #[error("no client can be served: {0}")]
    Unusable(&'static str),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl ClaudeSettingsError {
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Settings(error) => error.is_usage(),
            Self::Url { .. } => true,
            _ => false,
        }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path: path.to_owned(), what: "file system" }
            }
            _ => Self::Write { path: path.to_owned(), source },
        }
    }
}
