//! A listening socket that another process has opened.

use std::os::fd::OwnedFd;

use relay_server::Listener;

use super::duplicate::Duplicate;
use super::error::InheritedError;
use super::service::Service;

/// A listening socket that another process has opened.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) service: Service,
    /// The address that it was opened for, such as `127.0.0.1:0` or `unix:/run/cc-relay.sock`.
    pub(crate) place: String,
    /// True if a service manager has opened it: it then takes the place of the configured addresses.
    pub(crate) is_given: bool,
    /// True if the file of a Unix socket is to be removed with the listener.
    pub(crate) removes_file: bool,
    pub(crate) descriptor: OwnedFd,
}

impl Inherited {
    /// Turns the socket into a listener, and adds a duplicate of it to `used`.
    pub(super) fn listener(self, used: &mut Vec<Duplicate>) -> Result<Listener, InheritedError> {
        let Self { service, place, is_given, removes_file, descriptor } = self;
        let error = |source| InheritedError { place: place.clone(), service, source };
        let mut listener = Listener::from_fd(descriptor).map_err(error)?;
        if removes_file {
            listener = listener.removing_file().map_err(error)?;
            // As long as the old process serves the socket. `Sockets::remove_files_at_end` changes it.
            listener.file().inspect(|file| file.keep());
        }
        let address = listener.local_addr().map_err(error)?;
        let origin = if is_given { "the service manager" } else { "the old process" };
        tracing::info!("{service} uses the socket {address} of {origin}");
        let duplicate = Duplicate::of(service, place.clone(), &listener).map_err(error)?;
        used.push(Duplicate { is_given, ..duplicate });
        Ok(listener)
    }

    /// Closes the socket, which this process does not use. A file that the old process has made is removed.
    pub(super) fn close(self) {
        let Self { service, place, removes_file, descriptor, .. } = self;
        tracing::warn!("an inherited socket is closed: {service} does not listen on {place}");
        if removes_file
            && let Err(error) = Listener::from_fd(descriptor).and_then(Listener::removing_file).map(drop)
        {
            tracing::warn!(%error, "the file of the socket {place} is left behind");
        }
    }
}
