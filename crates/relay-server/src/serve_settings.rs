//! The settings of a listener.

use std::time::Duration;

use relay_config::ServerConfig;

/// The time in which the first request head of a connection has to arrive.
const FIRST_HEAD: Duration = Duration::from_secs(30);
/// The time in which each further request head has to arrive, the pause since the previous request included.
const NEXT_HEAD: Duration = Duration::from_secs(120);

/// The settings that serving on a socket reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServeSettings {
    /// `server.enable_http2`: accepts cleartext HTTP/2 with prior knowledge.
    pub(crate) enable_http2: bool,
    /// `server.drain_timeout_ms`.
    pub(crate) drain_timeout: Duration,
    pub(crate) head_timeouts: HeadTimeouts,
}

impl ServeSettings {
    pub(crate) fn new(server: &ServerConfig, head_timeouts: HeadTimeouts) -> Self {
        let ServerConfig { enable_http2, drain_timeout, .. } = *server;
        Self { enable_http2, drain_timeout, head_timeouts }
    }
}

/// The time that a client has to send a request head. A connection that exceeds it is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadTimeouts {
    /// From the accepted connection to the end of its first request head.
    pub(crate) first: Duration,
    /// From the end of an HTTP/1.1 exchange to the end of the next request head.
    pub(crate) next: Duration,
}

impl Default for HeadTimeouts {
    fn default() -> Self {
        Self { first: FIRST_HEAD, next: NEXT_HEAD }
    }
}
