//! Sockets that a service manager has opened: `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`, as systemd sets them.
//!
//! # Source
//! `sd_listen_fds(3)`, `systemd.socket(5)`.

use std::io;
use std::os::fd::OwnedFd;

use listenfd::ListenFd;

use super::inherited::Inherited;
use super::service::Service;
use crate::settings::variable;

/// An error in the sockets of a service manager.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    #[error(
        "the service manager passes {found} for {name:?}, which is no listening socket of TCP or Unix; check ListenStream= in \
         the socket unit"
    )]
    Kind { name: String, found: &'static str },
    #[error("cannot read the address of the socket {name:?} that the service manager passes")]
    Address {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "the service manager passes a Unix socket without a path for {name:?}; use a path in ListenStream="
    )]
    Abstract { name: String },
}

/// Takes the sockets that a service manager has opened for this process. A socket without the name of a service is the relay's.
/// Must be called before another thread reads or writes environment variables.
pub(crate) fn activated() -> Result<Vec<Inherited>, ActivationError> {
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut descriptors = ListenFd::from_env();
    let names = names.split(':').chain(std::iter::repeat(""));
    (0..descriptors.len()).zip(names).map(|(index, name)| take(&mut descriptors, index, name)).collect()
}

fn take(descriptors: &mut ListenFd, index: usize, name: &str) -> Result<Inherited, ActivationError> {
    let service = Service::named(name).unwrap_or(Service::Relay);
    let name = if name.is_empty() { format!("descriptor {}", index + 3) } else { name.to_owned() };
    let (place, descriptor) = socket(descriptors, index, &name)?;
    Ok(Inherited { service, place, is_given: true, removes_file: false, descriptor })
}

/// Takes a socket and returns it with its address.
fn socket(
    descriptors: &mut ListenFd,
    index: usize,
    name: &str,
) -> Result<(String, OwnedFd), ActivationError> {
    let address = |source| ActivationError::Address { name: name.to_owned(), source };
    if let Ok(Some(socket)) = descriptors.take_tcp_listener(index) {
        let place = socket.local_addr().map_err(address)?.to_string();
        return Ok((place, socket.into()));
    }
    if let Ok(Some(socket)) = descriptors.take_unix_listener(index) {
        let path = socket.local_addr().map_err(address)?.as_pathname().map(ToOwned::to_owned);
        let path = path.ok_or_else(|| ActivationError::Abstract { name: name.to_owned() })?;
        return Ok((format!("unix:{}", path.display()), socket.into()));
    }
    let is_datagram = matches!(descriptors.take_udp_socket(index), Ok(Some(_)))
        || matches!(descriptors.take_unix_datagram(index), Ok(Some(_)));
    let found = if is_datagram { "a socket for datagrams" } else { "a descriptor" };
    Err(ActivationError::Kind { name: name.to_owned(), found })
}
