//! The part of a relay that only its listeners use.

use relay_config::ServerConfig;

use super::accept::ConnectionLimit;
use super::settings::{ListenerOptions, ServeSettings};

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
}
