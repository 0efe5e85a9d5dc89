//! The state of a relay at one moment, for operators and for programs that show it.

use std::time::{SystemTime, UNIX_EPOCH};

use relay_config::ProviderName;
use relay_routing::{PoolState, ProviderPool};
use serde::Serialize;

/// The state of a relay at one moment. It contains no secret.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RelayState {
    /// The version of cc-relay.
    pub version: &'static str,
    /// The configuration in use.
    pub configuration: ConfigurationState,
    /// True once a shutdown has begun: `/readyz` answers 503.
    pub is_draining: bool,
    /// True if the relay accepts requests and some provider may answer one.
    pub is_ready: bool,
    /// The providers in the order of the configuration, disabled ones included.
    pub providers: Vec<ProviderState>,
}

/// The configuration that a relay uses.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ConfigurationState {
    /// The number of the configuration: 1 for the first one, and 1 more for each that inherits its state.
    pub generation: u64,
    /// The time at which the relay began to use it, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

/// The state of one provider.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ProviderState {
    /// The name in the configuration.
    pub name: String,
    /// The `type` in the configuration.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// True if the provider receives requests.
    pub is_enabled: bool,
    /// The circuit, the resting models and the keys; `None` if the provider is disabled. Its members are serialized beside
    /// those above.
    #[serde(flatten)]
    pub pool: Option<PoolState>,
}

impl RelayState {
    pub(crate) fn new(
        configuration: ConfigurationState,
        is_draining: bool,
        is_ready: bool,
        providers: Vec<ProviderState>,
    ) -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), configuration, is_draining, is_ready, providers }
    }
}

impl ConfigurationState {
    pub(crate) fn new(generation: u64, since: SystemTime) -> Self {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { generation, since_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl ProviderState {
    pub(crate) fn new(
        name: &ProviderName,
        kind: &'static str,
        is_enabled: bool,
        pool: Option<&ProviderPool>,
    ) -> Self {
        Self { name: name.to_string(), kind, is_enabled, pool: pool.map(ProviderPool::state) }
    }
}
