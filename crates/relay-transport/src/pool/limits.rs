//! The limits of the pool.

use std::time::Duration;

/// The receive window of each HTTP/2 stream, in bytes. A client that stops reading holds at most this much of its answer in
/// the relay. A stream gets 2.5 MB/s over a round trip of 200 ms.
pub(super) const STREAM_WINDOW: u32 = 512 * 1024;

/// The receive window of an HTTP/2 connection, in bytes. It is above [`PoolLimits::streams`] times [`STREAM_WINDOW`], so that
/// unread streams never use up the window of the others. Half of it is the budget of h2 for the overhead of unread DATA
/// frames of less than 256 bytes, beyond which h2 closes the connection: 100 unread streams of server-sent events fit.
pub(super) const CONNECTION_WINDOW: u32 = 256 * 1024 * 1024;

/// The largest header list of an HTTP/2 response, in bytes. hyper's default of 16 KiB is below the headers of some gateways.
pub(super) const HEADER_LIST: u32 = 64 * 1024;

/// The largest number of informational responses (1xx) to one request. A server that reports progress every
/// second (102) reaches it after more than eight minutes.
pub(super) const INTERIM_RESPONSES: u32 = 512;

/// The interval of HTTP/2 pings while a stream is open. An unanswered ping ends the connection after [`PING_TIMEOUT`].
/// It is longer than the 30 s after which TCP keep-alive has detected a lost network, since an unacknowledged ping stops
/// the probes of keep-alive. Pings are for peers without these, and for losses on the other side of a proxy.
/// Without a stream none are sent: the connection is soon closed, and some servers refuse such pings.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(35);
/// The time within which a ping must be answered.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// The time for which other requests wait for the SETTINGS of a new HTTP/2 connection. The first request does not wait.
pub(super) const SETTINGS_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause before a further connection is tried, if the last one failed while others to the same host are in use.
pub(super) const FURTHER_PAUSE: Duration = Duration::from_secs(1);

/// The time after a response in which an HTTP/1.1 connection must have sent its request and be ready for the next one.
pub(super) const REUSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time after which the end of a reused connection is no longer explained by the idle timeout of the upstream: the
/// request was then received, and may have been processed.
pub(super) const IDLE_CLOSE_WINDOW: Duration = Duration::from_secs(10);

/// The limits of a pool that tests change.
#[derive(Debug, Clone)]
pub(super) struct PoolLimits {
    /// The time after which an idle connection is closed. It is shorter than the upstream's own limit (60 s at the usual
    /// load balancers), which could close the connection during a request.
    pub(super) idle: Duration,
    /// The largest number of idle HTTP/1.1 connections per host. It is above the number of clients that are usually served
    /// at once, so that a burst of requests directly after another one opens no connections anew.
    pub(super) idle_per_host: usize,
    /// The number of idle HTTP/1.1 connections per host that are kept for the whole of `idle`. Those above it are surplus.
    pub(super) kept_per_host: usize,
    /// The time after which a surplus idle connection is closed: the requests of this time have not needed it, and it takes about
    /// 18 KB.
    pub(super) surplus: Duration,
    /// The largest number of connections per host. Requests beyond it wait.
    pub(super) connections: usize,
    /// The largest number of streams on one HTTP/2 connection, even if the upstream allows more. A lost packet delays
    /// every stream of its connection.
    pub(super) streams: usize,
    /// The longest wait for a free connection, in addition to the time limit of a connection attempt.
    pub(super) queue: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(50),
            idle_per_host: 512,
            kept_per_host: 64,
            surplus: Duration::from_secs(5),
            connections: 16 * 1024,
            streams: 100,
            queue: Duration::from_secs(30),
        }
    }
}

impl PoolLimits {
    /// Returns the number of streams that the pool opens on a connection whose peer allows `allowed`. A tenth stays free: the
    /// peer counts a cancelled stream until it has received the cancellation.
    pub(super) fn usable_streams(&self, allowed: usize) -> usize {
        (allowed - allowed / 10).min(self.streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_of_all_streams_fit_in_the_window_of_their_connection() {
        let streams = u32::try_from(PoolLimits::default().streams).unwrap();
        assert!(streams * STREAM_WINDOW <= CONNECTION_WINDOW);
    }

    #[test]
    fn a_tenth_of_the_allowed_streams_stays_free() {
        let usable = |allowed| PoolLimits::default().usable_streams(allowed);
        assert_eq!([0, 1, 9, 10, 100, 128, usize::MAX].map(usable), [0, 1, 9, 9, 90, 100, 100]);
    }
}
