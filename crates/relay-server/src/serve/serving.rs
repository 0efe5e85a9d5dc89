//! The part of a relay that only its listeners use.

use std::time::Duration;

use relay_config::ServerConfig;

use super::accept::ConnectionLimit;
use super::settings::{HeadTimeouts, ListenerOptions, ServeSettings};

/// The settings of a relay's listeners, and the places for their connections. Clones share the places.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    pub(super) settings: ServeSettings,
    pub(super) connections: ConnectionLimit,
}

impl Serving {
    pub(crate) fn new(server: &ServerConfig, options: &ListenerOptions) -> Self {
        Self {
            settings: ServeSettings::new(server, options.head_timeouts),
            connections: ConnectionLimit::new(options.connections),
        }
    }

    /// Applies the settings of `server` to further connections. The limit of connections and the timeouts of heads stay.
    pub(crate) fn apply(&mut self, server: &ServerConfig) {
        self.settings = ServeSettings::new(server, self.settings.head_timeouts);
    }

    /// Sets the largest number of connections. The places of connections that are open now are not counted.
    pub(crate) fn with_connection_limit(mut self, limit: usize) -> Self {
        self.connections = ConnectionLimit::new(limit);
        self
    }

    pub(crate) fn with_head_timeouts(mut self, first: Duration, next: Duration) -> Self {
        self.settings.head_timeouts = HeadTimeouts { first, next };
        self
    }
}
