//! Composes the relay of the process from its configuration.

use relay_config::Config;
use relay_server::{Builder, Relay};

/// Returns the builder of the relay that listens on the addresses in `server.listen` and nowhere else.
pub(crate) fn relay(config: Config) -> Builder {
    let loopback_only = config.server.is_loopback_only();
    // The loader has warned about a configuration without an enabled provider, which an operator may complete later.
    Relay::builder(config).reachable_from_loopback_only(loopback_only).allow_no_provider()
}
