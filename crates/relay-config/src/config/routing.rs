//! `routing`: how upstreams are chosen.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::names::ProviderName;

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
    /// What keeps the requests of a conversation together.
    pub affinity: Affinity,
    /// What a client gets when an upstream breaks off within a stream.
    pub on_stream_break: StreamBreak,
    /// For [`Strategy::ModelBased`]: what a model's name starts with, to the provider that is asked first for it.
    pub model_mapping: BTreeMap<String, ProviderName>,
    /// For [`Strategy::ModelBased`]: who is asked first for any other model. Default: as with [`Strategy::Failover`].
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
            restore_model_name: false,
            affinity: Affinity::default(),
            on_stream_break: StreamBreak::default(),
            model_mapping: BTreeMap::new(),
            default_provider: None,
        }
    }
}

/// Which provider is asked first; the others follow by priority, whatever the strategy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Highest priority first, file order on ties.
    #[default]
    Failover,
    /// Each in turn.
    RoundRobin,
    /// Each in turn, as often as its [share](crate::ProviderConfig::share) says, and evenly spread.
    WeightedRoundRobin,
    /// By chance, each once in a round.
    Shuffle,
    /// By the longest prefix of the model's name in `model_mapping`, else `default_provider`.
    ModelBased,
    /// The one with the fewest requests under way, for its [share](crate::ProviderConfig::share); then the one that has
    /// been idle for longest.
    LeastLoaded,
}

impl Strategy {
    /// The name in the configuration file.
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

/// What keeps the requests of a conversation together. Prompt caches are worth it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Affinity {
    /// A session stays with the provider and key that served it last, as long as these can be used.
    #[default]
    Session,
    /// Nothing: every request is dealt anew.
    None,
}

/// What a client gets when an upstream breaks off within a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamBreak {
    /// The client's own connection breaks off too, so that it repeats the request.
    #[default]
    Abort,
    /// An `error` event, and a clean end.
    ErrorEvent,
}
