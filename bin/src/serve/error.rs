//! The failures of `cc-relay serve`.

use std::io;

use relay_admin::prices::PriceError;
use relay_server::{BuildError, ListenerTlsError};
use tokio::task::JoinError;

use crate::listen::ListenError;
use crate::logging::LoggingError;
use crate::settings::SettingsError;
use crate::traces::ExportError;
#[cfg(unix)]
use crate::{handover::ReceiveError, inheritance::InheritanceError};

/// An error that prevents the relay from running, or ends it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Logging(#[from] LoggingError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Tls(#[from] ListenerTlsError),
    #[error(transparent)]
    Price(#[from] PriceError),
    #[error("cannot start the threads of the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot read the port that the system chose")]
    LocalAddress(#[source] io::Error),
    #[error(transparent)]
    Traces(#[from] ExportError),
    #[cfg(unix)]
    #[error(transparent)]
    Inheritance(#[from] InheritanceError),
    #[cfg(unix)]
    #[error(transparent)]
    HandOver(#[from] ReceiveError),
    #[error("a listener failed")]
    Listener(#[from] JoinError),
}

impl ServeError {
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Settings(error) if error.is_usage())
    }
}
