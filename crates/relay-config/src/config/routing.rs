//! `routing`: how upstreams are chosen.

use std::num::NonZeroU32;
use std::time::Duration;

/// How upstreams are chosen.
#[derive(Debug, Clone)]
pub struct RoutingConfig {
    /// How providers are ranked.
    pub strategy: Strategy,
    /// From the first failed attempt on, how long a further attempt may still be started. Default 5 s.
    pub failover_timeout: Duration,
    /// Upstream attempts for one request. Default 6.
    pub max_attempts: NonZeroU32,
    /// Whether responses carry `x-cc-relay-*` headers that say how they came about.
    pub debug: bool,
    /// Whether a provider whose `models` lack the model is never asked, instead of last.
    pub strict_models: bool,
    /// Whether answers of mapped models carry the client's own model name.
    pub restore_model_name: bool,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            failover_timeout: Duration::from_secs(5),
            max_attempts: NonZeroU32::new(6).unwrap_or(NonZeroU32::MIN),
            debug: false,
            strict_models: false,
            restore_model_name: false,
        }
    }
}

/// How providers are ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Highest priority first, file order on ties.
    #[default]
    Failover,
}

impl Strategy {
    /// The name in the configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
        }
    }
}
