//! The `routing` settings: the choice of the provider for a request.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::names::ProviderName;

/// The choice of the provider for a request, and the failover to the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutingConfig {
    /// The strategy that ranks the providers.
    pub strategy: Strategy,
    /// The time after the first failed attempt during which another attempt may start. Default 5 s.
    pub failover_timeout: Duration,
    /// The number of upstream attempts for one request. Default 6.
    pub max_attempts: NonZeroU32,
    /// Adds `x-cc-relay-*` headers to responses, which name the provider, the key and the attempts.
    pub debug: bool,
    /// If `true`, a provider whose `models` lack the model is never tried. If `false`, it is tried last.
    pub strict_models: bool,
    /// Replaces the upstream's model name in responses of mapped models by the name that the client requested. Default `true`:
    /// Claude Code's `--continue` requests the name that the last answer carries.
    pub restore_model_name: bool,
    /// The affinity of requests of the same conversation.
    pub affinity: Affinity,
    /// The end of the client's stream if the upstream's stream breaks off.
    pub on_stream_break: StreamBreak,
    /// For [`Strategy::ModelBased`]: prefixes of model names, and the provider that is tried first for each.
    pub model_mapping: BTreeMap<String, ProviderName>,
    /// For [`Strategy::ModelBased`]: the provider that is tried first for any other model. Default: as with
    /// [`Strategy::Failover`].
    pub default_provider: Option<ProviderName>,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            failover_timeout: Duration::from_secs(5),
            max_attempts: NonZeroU32::new(6).unwrap_or(NonZeroU32::MIN),
            debug: false,
            strict_models: false,
            restore_model_name: true,
            affinity: Affinity::default(),
            on_stream_break: StreamBreak::default(),
            model_mapping: BTreeMap::new(),
            default_provider: None,
        }
    }
}

/// The choice of the provider that is tried first. The others follow by priority with every strategy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// The highest priority first; the order in the file breaks ties.
    #[default]
    Failover,
    /// Each provider in turn.
    RoundRobin,
    /// Each provider in turn, in proportion to its [share](crate::ProviderConfig::share) and evenly spread.
    WeightedRoundRobin,
    /// Random order, each provider once in a round.
    Shuffle,
    /// The provider of the longest prefix of the model's name in `model_mapping`, otherwise `default_provider`.
    ModelBased,
    /// The provider with the fewest requests in flight relative to its [share](crate::ProviderConfig::share), then
    /// the one that has been idle for longest.
    LeastLoaded,
}

impl Strategy {
    /// Returns the name in the configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::RoundRobin => "round_robin",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::Shuffle => "shuffle",
            Self::ModelBased => "model_based",
            Self::LeastLoaded => "least_loaded",
        }
    }
}

/// The affinity of requests of the same conversation. It preserves the upstream's prompt cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Affinity {
    /// A session keeps the provider and key that served it last, as long as both are available.
    #[default]
    Session,
    /// No affinity: every request is distributed independently.
    None,
}

/// The end of the client's stream if the upstream's stream breaks off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamBreak {
    /// The client's connection is closed abruptly, so that the client retries.
    #[default]
    Abort,
    /// The client receives an `error` event, and its stream ends cleanly.
    ErrorEvent,
}
