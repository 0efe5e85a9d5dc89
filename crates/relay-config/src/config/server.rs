//! `server`: addresses, limits, clients.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::secret::Secret;

/// Settings of the main listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Addresses to listen on; never empty. Default `127.0.0.1:8787`.
    pub listen: Vec<ListenAddress>,
    /// A request's whole time up to its response head; `None` is without limit. Default 600 s.
    pub timeout: Option<Duration>,
    /// Requests in flight; beyond it 503 `overloaded_error`. `None` (the default) is without limit.
    pub max_concurrent: Option<NonZeroU32>,
    /// The largest request body in bytes, after decoding. Default 32 MiB.
    pub max_body_bytes: usize,
    /// How long a stop waits for open requests. Default 30 s.
    pub drain_timeout: Duration,
    /// Whether cleartext HTTP/2 (prior knowledge) is served beside HTTP/1.1. Default true.
    pub enable_http2: bool,
    /// Who may use the relay.
    pub auth: ClientAuth,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddress::default()],
            timeout: Some(Duration::from_secs(600)),
            max_concurrent: None,
            max_body_bytes: 32 * 1024 * 1024,
            drain_timeout: Duration::from_secs(30),
            enable_http2: true,
            auth: ClientAuth::default(),
        }
    }
}

impl ServerConfig {
    /// Whether every listener is reachable from this machine alone.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        self.listen.iter().all(ListenAddress::is_loopback)
    }

    /// Whether a request that carries only a subscription token may be served with configured keys.
    #[must_use]
    pub fn subscription_may_use_keys(&self) -> bool {
        self.auth.subscription_may_use_keys.unwrap_or_else(|| self.is_loopback_only())
    }
}

/// `host:port`; the host is a name or an IP address, IPv6 without its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// A host name or an IP address.
    pub host: String,
    /// A port; 0 lets the system choose.
    pub port: u16,
}

impl ListenAddress {
    /// Whether only this machine can reach the address. A name other than `localhost` counts as reachable.
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

/// Which clients are admitted. With nothing configured, every client is.
#[derive(Debug, Clone, Default)]
pub struct ClientAuth {
    /// Accepted keys (`server.auth.api_key`, `api_keys[]`), in either of the two credential headers.
    pub keys: Vec<ClientKey>,
    /// A further accepted bearer token.
    pub bearer_secret: Option<Secret>,
    /// Whether a client's own Claude subscription token admits it, and is passed through.
    pub allow_subscription: bool,
    /// Whether a request with only a subscription token may be served with configured keys; `None` asks
    /// [`ServerConfig::is_loopback_only`].
    pub subscription_may_use_keys: Option<bool>,
}

impl ClientAuth {
    /// Whether a client has to show anything at all.
    #[must_use]
    pub fn is_required(&self) -> bool {
        !self.keys.is_empty() || self.bearer_secret.is_some() || self.allow_subscription
    }
}

/// One named client.
#[derive(Debug, Clone)]
pub struct ClientKey {
    /// Used in logs; `default` for `server.auth.api_key`.
    pub name: String,
    /// What the client sends.
    pub key: Secret,
}
