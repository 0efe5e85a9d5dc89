//! The settings of a listener.

use std::time::Duration;

use relay_config::ServerConfig;

/// The time in which the first request head of a connection has to arrive.
const FIRST_HEAD: Duration = Duration::from_secs(30);
/// The time in which each further request head has to arrive, the pause since the previous request included.
const NEXT_HEAD: Duration = Duration::from_secs(120);
/// The largest number of client connections at one time.
const CONNECTIONS: usize = 10_000;

/// The settings that serving on a socket reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServeSettings {
    /// `server.enable_http2`: accepts cleartext HTTP/2 with prior knowledge.
    pub(crate) enable_http2: bool,
    /// `server.drain_timeout_ms`.
    pub(crate) drain_timeout: Duration,
    /// `server.drain_delay_ms`.
    pub(crate) drain_delay: Duration,
    /// `server.write_timeout_ms`.
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) head_timeouts: HeadTimeouts,
}

impl ServeSettings {
    pub(super) fn new(server: &ServerConfig, head_timeouts: HeadTimeouts) -> Self {
        let ServerConfig { enable_http2, drain_timeout, drain_delay, write_timeout, .. } = *server;
        Self { enable_http2, drain_timeout, drain_delay, write_timeout, head_timeouts }
    }
}

/// The settings of listeners that a program makes in code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListenerOptions {
    pub(crate) head_timeouts: HeadTimeouts,
    /// The largest number of client connections at one time.
    pub(crate) connections: usize,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self { head_timeouts: HeadTimeouts::default(), connections: default_connections() }
    }
}

/// The time that a client has to send a request head. A connection that exceeds it is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadTimeouts {
    /// From the accepted connection to the end of its first request head.
    pub(crate) first: Duration,
    /// From the end of the last open exchange to the end of the next request head.
    pub(crate) next: Duration,
}

impl Default for HeadTimeouts {
    fn default() -> Self {
        Self { first: FIRST_HEAD, next: NEXT_HEAD }
    }
}

/// Returns the default limit of client connections: 10,000, or three quarters of the files that the process may open. The
/// rest is for connections to upstreams.
fn default_connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    open_files(&limits).map_or(CONNECTIONS, |files| CONNECTIONS.min((files / 4 * 3).max(1)))
}

/// Returns the soft limit of open files in the text of `/proc/self/limits`, or `None` if there is none.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read_from_the_systems_table() {
        #[track_caller]
        fn check(limits: &str, expected: Option<usize>) {
            assert_eq!(open_files(limits), expected);
        }
        let header = "Limit                     Soft Limit           Hard Limit           Units     \n";
        let line =
            |soft| format!("{header}Max open files            {soft:<20} 524288               files     \n");
        check(&line("1024"), Some(1024));
        check(&line("unlimited"), None);
        check(header, None);
        check("", None);
    }
}
