//! The lines of the log about the listeners and their end.

use std::io;

use relay_config::{Config, ServerConfig};
use relay_server::Listener;

use crate::client_hint::{self, Hint};
use crate::client_listeners::Addresses;

/// Logs the addresses of the relay, and the commands that point Claude Code at them.
pub(super) fn announce(addresses: &Addresses, config: &Config) {
    addresses.shown().for_each(|address| tracing::info!("listening on {address}"));
    let Some(url) = addresses.url() else {
        tracing::info!(
            "Claude Code needs a proxy in front of a Unix socket, or a further address in server.listen"
        );
        return;
    };
    for (index, hint) in client_hint::of(config).iter().enumerate() {
        let start = if index == 0 { "to use it" } else { "or" };
        match hint {
            Hint::Command { .. } => tracing::info!("{start}: {}", hint.command(&url)),
            Hint::Unusable(reason) => tracing::warn!("no client can be served: {reason}"),
        }
    }
}

/// Logs the addresses of a further service.
pub(super) fn announce_also(service: &str, listeners: &[Listener], path: &str) -> io::Result<()> {
    for listener in listeners {
        tracing::info!("{service} on http://{}{path}", listener.local_addr()?);
    }
    Ok(())
}

/// Logs the begin of a stop.
pub(super) fn log_stop(signal: &str, server: &ServerConfig) {
    let (delay, limit) = (server.drain_delay, server.drain_timeout);
    if delay.is_zero() {
        tracing::info!(signal, ?limit, "draining: open requests may finish; a second signal ends at once");
    } else {
        tracing::info!(
            signal,
            ?delay,
            ?limit,
            "draining after a delay, in which requests are still served and /readyz answers 503; a second signal ends \
             at once"
        );
    }
}
