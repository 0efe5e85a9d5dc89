//! The errors of a hand-over.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// The reason for which the old process goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandOverError {
    #[error("cannot start {}", program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot pass the sockets on")]
    Send(#[source] io::Error),
    #[error("the new process is not ready: {0}")]
    Failed(String),
    #[error("the new process has ended ({0})")]
    Ended(ExitStatus),
    #[error("the new process has not served within {0:?}")]
    Late(Duration),
    #[error("cannot read the answer of the new process")]
    Answer(#[source] io::Error),
}

/// An error of a new process that takes the sockets over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("cannot receive the sockets of the old process")]
    Receive(#[source] io::Error),
    #[error("the old process passes its sockets in an unknown form")]
    Form,
    #[error("cannot report to the old process")]
    Report(#[source] io::Error),
    #[error("stopped by {0} before it served")]
    Stopped(&'static str),
}
