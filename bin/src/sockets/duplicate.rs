//! A second descriptor of a listener, for the next process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use relay_server::{Listener, SocketFile};

use super::service::Service;

/// A second descriptor of a listener, which is handed over to the next process. As long as it exists, the system accepts
/// connections for it.
#[derive(Debug)]
pub(crate) struct Duplicate {
    pub(crate) service: Service,
    /// The address that the listener was opened for.
    pub(crate) place: String,
    /// True if a service manager has opened the socket.
    pub(crate) is_given: bool,
    /// The file of a Unix socket that is removed with the listener.
    pub(crate) file: Option<SocketFile>,
    pub(crate) descriptor: OwnedFd,
}

impl Duplicate {
    pub(super) fn of(service: Service, place: String, listener: &Listener) -> io::Result<Self> {
        let descriptor = listener.as_fd().try_clone_to_owned()?;
        Ok(Self { service, place, is_given: false, file: listener.file().cloned(), descriptor })
    }
}
