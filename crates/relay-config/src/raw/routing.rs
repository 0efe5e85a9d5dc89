//! `routing` in the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// How upstreams are chosen.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Routing {
    /// How providers are ranked.
    #[schemars(extend("default" = "failover"))]
    pub(crate) strategy: Option<Strategy>,
    /// From the first failed attempt on, how long a further attempt may still be started, in milliseconds. Never cuts
    /// one under way.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 5_000))]
    pub(crate) failover_timeout: Option<u64>,
    /// Upstream attempts for one request.
    #[schemars(range(min = 1, max = 1_000), extend("default" = 6))]
    pub(crate) max_attempts: Option<u32>,
    /// Put `X-CC-Relay-*` headers on responses that say how they came about.
    #[schemars(extend("default" = false))]
    pub(crate) debug: Option<bool>,
    /// Never ask a provider whose `models` lack the model, instead of asking it last.
    #[schemars(extend("default" = false))]
    pub(crate) strict_models: Option<bool>,
    /// Put the client's own model name back into answers of mapped models.
    #[schemars(extend("default" = false))]
    pub(crate) restore_model_name: Option<bool>,
    /// What the client sees when an upstream breaks off within a stream.
    #[schemars(extend("default" = "abort"))]
    pub(crate) on_stream_break: Option<OnStreamBreak>,
    /// What keeps the requests of a conversation together.
    #[schemars(extend("default" = "session"))]
    pub(crate) affinity: Option<Affinity>,
    /// For `model_based`: what a model's name starts with, to the provider that is asked first for it. The longest
    /// prefix wins.
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub(crate) model_mapping: BTreeMap<String, String>,
    /// For `model_based`: the provider that is asked first for models that `model_mapping` does not hold.
    #[schemars(length(min = 1))]
    pub(crate) default_provider: Option<String>,
}

/// How providers are ranked.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strategy {
    /// Highest priority first, file order on ties.
    Failover,
    /// Each provider in turn.
    RoundRobin,
    /// Each provider in turn, as often as its weight says.
    WeightedRoundRobin,
    /// By chance, each provider once in a round.
    Shuffle,
    /// By the model's name: see `model_mapping` and `default_provider`.
    ModelBased,
    /// The one with the fewest requests under way, for its weight.
    LeastLoaded,
}

/// What the client sees when an upstream breaks off within a stream.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnStreamBreak {
    /// Its own connection breaks off too.
    Abort,
    /// It gets an `error` event.
    ErrorEvent,
}

/// What keeps the requests of a conversation together.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Affinity {
    /// A session stays with the provider and key that served it last, as long as these can be used.
    Session,
    /// Nothing: every request is dealt anew.
    None,
}
