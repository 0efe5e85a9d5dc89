//! The `routing` settings: the choice of the provider for a request.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::names::ProviderName;

/// The choice of the provider for a request, and the failover to the next one.
///
/// ```
/// use relay_config::{RoutingConfig, Strategy};
///
/// let routing = RoutingConfig::default()
///     .with_strategy(Strategy::ModelBased)
///     .with_model_provider("claude-haiku-", "ollama")
///     .with_default_provider("anthropic");
/// assert_eq!(routing.max_attempts.get(), 6);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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

impl RoutingConfig {
    /// Sets the strategy that ranks the providers.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets the time after the first failed attempt during which another attempt may start.
    #[must_use]
    pub fn with_failover_timeout(mut self, timeout: Duration) -> Self {
        self.failover_timeout = timeout;
        self
    }

    /// Sets the number of upstream attempts for one request.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the affinity of requests of the same conversation.
    #[must_use]
    pub fn with_affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = affinity;
        self
    }

    /// Sets the end of the client's stream if the upstream's stream breaks off.
    #[must_use]
    pub fn with_on_stream_break(mut self, end: StreamBreak) -> Self {
        self.on_stream_break = end;
        self
    }

    /// Sets the provider that is tried first for models with this prefix, for [`Strategy::ModelBased`].
    #[must_use]
    pub fn with_model_provider(
        mut self,
        prefix: impl Into<String>,
        provider: impl Into<ProviderName>,
    ) -> Self {
        self.model_mapping.insert(prefix.into(), provider.into());
        self
    }

    /// Sets the provider that is tried first for any other model, for [`Strategy::ModelBased`].
    #[must_use]
    pub fn with_default_provider(mut self, provider: impl Into<ProviderName>) -> Self {
        self.default_provider = Some(provider.into());
        self
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
    /// The provider with the lowest price for the request, among those of the highest priority.
    CostBased,
    /// The provider with the shortest measured time to the first content, among those of the highest priority.
    LatencyBased,
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
            Self::CostBased => "cost_based",
            Self::LatencyBased => "latency_based",
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
