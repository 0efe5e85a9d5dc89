//! The `metrics`, `admin` and `usage` settings: the observation and the administration of a relay.

use std::num::NonZeroU32;
use std::path::PathBuf;

use super::ListenAddress;
use crate::secret::Secret;

/// Metrics in the format of Prometheus.
///
/// ```
/// use relay_config::{ListenAddress, MetricsConfig};
///
/// let metrics = MetricsConfig::default().with_listen(ListenAddress::new("0.0.0.0", 9090));
/// assert!(metrics.enabled && metrics.path == "/metrics");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsConfig {
    /// Serves the metrics. Default `true`.
    pub enabled: bool,
    /// The address that serves the metrics and nothing else. `None`, the default: the admin listener serves them.
    pub listen: Option<ListenAddress>,
    /// The path of the request that returns the metrics. Default `/metrics`.
    pub path: String,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { enabled: true, listen: None, path: "/metrics".to_owned() }
    }
}

impl MetricsConfig {
    /// Serves the metrics, or does not.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets the address that serves the metrics and nothing else.
    #[must_use]
    pub fn with_listen(mut self, address: ListenAddress) -> Self {
        self.listen = Some(address);
        self
    }
}

/// The listener for administration: the state of the relay, its requests, and actions of an operator.
///
/// ```
/// use relay_config::{AdminConfig, ListenAddress, Secret};
///
/// let admin = AdminConfig::default();
/// assert_eq!(admin.listen.to_string(), "127.0.0.1:8788");
/// let admin = admin.with_listen(ListenAddress::new("0.0.0.0", 9000)).with_token(Secret::new("token"));
/// assert!(admin.is_explicit);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdminConfig {
    /// Opens the listener. Default `true`.
    pub enabled: bool,
    /// The address of the listener. Default `127.0.0.1:8788`.
    pub listen: ListenAddress,
    /// True if the address was chosen: by the file, the environment, the command line or [`with_listen`](Self::with_listen).
    /// An address that was not chosen may be in use by another relay, and the relay then runs without the listener.
    pub is_explicit: bool,
    /// The token that clients of the listener send, as `Authorization: Bearer` or `x-api-key`. Required outside of loopback.
    pub token: Option<Secret>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        let listen = ListenAddress::new("127.0.0.1", 8788);
        Self { enabled: true, listen, is_explicit: false, token: None }
    }
}

impl AdminConfig {
    /// Opens the listener, or does not.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets the address of the listener.
    #[must_use]
    pub fn with_listen(mut self, address: ListenAddress) -> Self {
        self.listen = address;
        self.is_explicit = true;
        self
    }

    /// Sets the token that clients of the listener send.
    #[must_use]
    pub fn with_token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }
}

/// The ledger of usage: a database with one row for each request and its cost.
///
/// ```
/// use relay_config::UsageConfig;
///
/// assert_eq!(UsageConfig::default().retention_days.map(u32::from), Some(90));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageConfig {
    /// Keeps the ledger. Default `true`.
    pub enabled: bool,
    /// The file of the database. `None`, the default: a file in the user's data directory.
    pub path: Option<PathBuf>,
    /// The days for which rows are kept; `None` is for ever. Default 90.
    pub retention_days: Option<NonZeroU32>,
}

impl Default for UsageConfig {
    fn default() -> Self {
        Self { enabled: true, path: None, retention_days: NonZeroU32::new(90) }
    }
}

impl UsageConfig {
    /// Keeps the ledger, or does not.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets the file of the database.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }
}
