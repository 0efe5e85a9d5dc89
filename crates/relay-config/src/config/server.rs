//! The `server` settings: addresses and limits.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::web::{HostName, Origin};
use super::{ClientAuth, TlsConfig, UnixSocket};

/// The listener for clients.
///
/// ```
/// use std::time::Duration;
/// use relay_config::{ListenAddress, ServerConfig};
///
/// let server = ServerConfig::default()
///     .with_listen([ListenAddress::new("::1", 9000)])
///     .with_timeout(Duration::from_secs(300))
///     .with_max_concurrent(64);
/// assert!(server.is_loopback_only());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The addresses to listen on; empty only if there are Unix sockets. Default `127.0.0.1:8787`.
    pub listen: Vec<ListenAddress>,
    /// The Unix sockets to listen on, which `server.listen` names too. Default: none.
    pub unix_sockets: Vec<UnixSocket>,
    /// The certificate of the addresses; Unix sockets have none. `None`, the default, serves plain HTTP.
    pub tls: Option<TlsConfig>,
    /// The timeout for a request up to its response headers, all attempts included; `None` is no limit. Default 600
    /// s.
    pub timeout: Option<Duration>,
    /// The requests in flight at the same time; a further one is answered with 503 `overloaded_error`. `None`, the
    /// default, is no limit.
    pub max_concurrent: Option<NonZeroU32>,
    /// The largest request body in bytes, after decompression. Default 32 MiB.
    pub max_body_bytes: usize,
    /// The bytes of request bodies held at the same time, over all requests; a body beyond it is answered with 503
    /// `overloaded_error`. `None` is no limit. Default 1 GiB.
    pub max_buffered_bytes: Option<usize>,
    /// The time that a shutdown waits for requests in flight. Default 30 s.
    pub drain_timeout: Duration,
    /// The time before a shutdown's drain in which `/readyz` answers 503 and new requests are still served. Default 0.
    pub drain_delay: Duration,
    /// The longest time for which a client may accept no further byte of its response; `None` is no limit. Default
    /// 60 s.
    pub write_timeout: Option<Duration>,
    /// Serves HTTP/2 in addition to HTTP/1.1: with prior knowledge in cleartext (h2c), and by ALPN over TLS. Default
    /// `true`.
    pub enable_http2: bool,
    /// The hosts that a request may name, in addition to loopback names and addresses. Empty, the default: those alone on
    /// a loopback listener, every host on another one.
    pub allowed_hosts: Vec<HostName>,
    /// The origins of the web pages that may call the relay (`server.cors.allowed_origins`). Default: none.
    pub allowed_origins: Vec<Origin>,
    /// The clients that are admitted.
    pub auth: ClientAuth,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddress::default()],
            unix_sockets: Vec::new(),
            tls: None,
            timeout: Some(Duration::from_secs(600)),
            max_concurrent: None,
            max_body_bytes: 32 * 1024 * 1024,
            max_buffered_bytes: Some(1024 * 1024 * 1024),
            drain_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            write_timeout: Some(Duration::from_secs(60)),
            enable_http2: true,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            auth: ClientAuth::default(),
        }
    }
}

impl ServerConfig {
    /// Sets the addresses to listen on.
    #[must_use]
    pub fn with_listen(mut self, addresses: impl IntoIterator<Item = ListenAddress>) -> Self {
        self.listen = addresses.into_iter().collect();
        self
    }

    /// Sets the Unix sockets to listen on, in addition to the addresses.
    #[must_use]
    pub fn with_unix_sockets(mut self, sockets: impl IntoIterator<Item = UnixSocket>) -> Self {
        self.unix_sockets = sockets.into_iter().collect();
        self
    }

    /// Sets the certificate of the addresses.
    #[must_use]
    pub fn with_tls(mut self, tls: impl Into<Option<TlsConfig>>) -> Self {
        self.tls = tls.into();
        self
    }

    /// Sets the timeout for a request up to its response headers, all attempts included; `None` is no limit.
    #[must_use]
    pub fn with_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Limits the requests in flight at the same time. 0, the default, is no limit.
    #[must_use]
    pub fn with_max_concurrent(mut self, requests: u32) -> Self {
        self.max_concurrent = NonZeroU32::new(requests);
        self
    }

    /// Sets the largest request body in bytes, after decompression.
    #[must_use]
    pub fn with_max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Sets the bytes of request bodies held at the same time, over all requests; `None` is no limit.
    #[must_use]
    pub fn with_max_buffered_bytes(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.max_buffered_bytes = bytes.into();
        self
    }

    /// Sets the time that a shutdown waits for requests in flight.
    #[must_use]
    pub fn with_drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Sets the hosts that a request may name, in addition to loopback names and addresses.
    #[must_use]
    pub fn with_allowed_hosts(mut self, hosts: impl IntoIterator<Item = HostName>) -> Self {
        self.allowed_hosts = hosts.into_iter().collect();
        self
    }

    /// Sets the origins of the web pages that may call the relay.
    #[must_use]
    pub fn with_allowed_origins(mut self, origins: impl IntoIterator<Item = Origin>) -> Self {
        self.allowed_origins = origins.into_iter().collect();
        self
    }

    /// Sets the clients that are admitted.
    #[must_use]
    pub fn with_auth(mut self, auth: ClientAuth) -> Self {
        self.auth = auth;
        self
    }

    /// Returns `true` if there are addresses or Unix sockets, and each is reachable from this machine only.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        let has_any = !self.listen.is_empty() || !self.unix_sockets.is_empty();
        has_any && self.listen.iter().all(ListenAddress::is_loopback)
    }

    /// Returns `true` if every client outside of this machine needs a certificate (`server.tls.client_ca`).
    #[must_use]
    pub fn admits_by_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// Returns `true` if a request that carries only a subscription token may be served with configured keys, for a
    /// relay that itself listens on [`listen`](Self::listen) and nowhere else. For other relays see
    /// [`ClientAuth::subscription_may_use_keys_at`].
    #[must_use]
    pub fn subscription_may_use_keys(&self) -> bool {
        self.auth.subscription_may_use_keys_at(self.is_loopback_only())
    }
}

/// An address `host:port`. The host is a name or an IP address, IPv6 without its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenAddress {
    /// A host name or an IP address.
    pub host: String,
    /// A port; 0 lets the system choose.
    pub port: u16,
}

impl ListenAddress {
    /// Creates an address. IPv6 has no brackets; port 0 lets the system choose.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Returns `true` if only this machine can reach the address. A name other than `localhost` counts as reachable
    /// from others.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 8787 }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
