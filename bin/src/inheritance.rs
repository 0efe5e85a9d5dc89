//! The sockets that the process takes over at its start.

#[cfg(unix)]
use crate::cli::Settings;
#[cfg(unix)]
use crate::handover::{Predecessor, ReceiveError};
use crate::sockets::Sockets;
#[cfg(unix)]
use crate::sockets::{ActivationError, Service, activated};

/// The sockets of the process, and the old process that has handed them over.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    pub(crate) sockets: Sockets,
    #[cfg(unix)]
    pub(crate) predecessor: Option<Predecessor>,
}

/// An error in the sockets that the process takes over.
#[cfg(unix)]
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum InheritanceError {
    Activation(#[from] ActivationError),
    HandOver(#[from] ReceiveError),
}

#[cfg(unix)]
impl Inheritance {
    /// Takes the sockets of the old process, or those of a service manager. The addresses of the latter replace those in `settings`,
    /// so that every rule for an address applies to them.
    pub(crate) fn take(settings: &mut Settings) -> Result<Self, InheritanceError> {
        let (predecessor, inherited) = match Predecessor::receive()? {
            Some((predecessor, inherited)) => (Some(predecessor), inherited),
            None => (None, activated()?),
        };
        for service in Service::ALL {
            let given = inherited.iter().filter(|socket| socket.is_given && socket.service == service);
            set_addresses(settings, service, given.map(|socket| &*socket.place).collect());
        }
        Ok(Self { sockets: Sockets::new(inherited), predecessor })
    }
}

/// Sets the addresses of the sockets that a service manager has opened for `service`.
#[cfg(unix)]
fn set_addresses(settings: &mut Settings, service: Service, mut places: Vec<&str>) {
    // The admin listener and that of the metrics have one address in the configuration. Other rules apply if other machines can
    // reach it.
    let is_loopback = |place: &&str| {
        place.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().to_canonical().is_loopback())
    };
    places.sort_by_key(is_loopback);
    let (Some(first), key) = (places.first(), service.key()) else { return };
    let value = if service == Service::Relay { places.join(",") } else { (*first).to_owned() };
    if service == Service::Relay {
        settings.listen.clear();
    }
    settings.determined.push((key, value));
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_a_service_manager_replace_the_configured_ones() {
        let mut settings = Settings { listen: vec!["127.0.0.1:1".to_owned()], ..Settings::default() };
        set_addresses(&mut settings, Service::Relay, vec!["[::]:80", "unix:/run/relay.sock"]);
        set_addresses(&mut settings, Service::Admin, vec!["127.0.0.1:81", "0.0.0.0:81"]);
        set_addresses(&mut settings, Service::Metrics, Vec::new());
        assert!(settings.listen.is_empty());
        let expected = [
            ("server.listen", "[::]:80,unix:/run/relay.sock".to_owned()),
            ("admin.listen", "0.0.0.0:81".to_owned()),
        ];
        assert_eq!(settings.determined, expected);
    }
}
