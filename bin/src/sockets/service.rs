//! The services of the process that have listeners.

use std::fmt;

/// A service that has listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Relay,
    Admin,
    Metrics,
}

impl Service {
    /// Every service.
    #[cfg(unix)]
    pub(crate) const ALL: [Self; 3] = [Self::Relay, Self::Admin, Self::Metrics];

    /// Returns the name that a service manager gives to its sockets (`FileDescriptorName=`).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }

    /// Returns the key of the setting of its addresses.
    #[cfg(unix)]
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Relay => "server.listen",
            Self::Admin => "admin.listen",
            Self::Metrics => "metrics.listen",
        }
    }

    /// Returns the way to choose other addresses.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Relay => "--listen or server.listen",
            Self::Admin => "admin.listen",
            Self::Metrics => "metrics.listen",
        }
    }

    /// Returns the service with this name.
    #[cfg(unix)]
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
