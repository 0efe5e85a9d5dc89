//! The `routing` section of the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// The choice of the provider for a request, and the failover to the next one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Routing {
    /// The strategy that ranks the providers for each request. Default `failover`.
    #[schemars(extend("default" = "failover"))]
    pub(crate) strategy: Option<Strategy>,
    /// Time after the first failed attempt during which another attempt may start, in milliseconds. Default 5000.
    /// An attempt in progress is never cut off.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 5_000))]
    pub(crate) failover_timeout: Option<u64>,
    /// The number of upstream attempts for one request. Default 6.
    #[schemars(range(min = 1, max = 1_000), extend("default" = 6))]
    pub(crate) max_attempts: Option<u32>,
    /// Add `X-CC-Relay-*` headers to responses, which name the provider, the key and the attempts. Default false.
    #[schemars(extend("default" = false))]
    pub(crate) debug: Option<bool>,
    /// Never try a provider whose `models` lack the requested model. Default false: it is tried last.
    #[schemars(extend("default" = false))]
    pub(crate) strict_models: Option<bool>,
    /// Replace the upstream's model name in responses of mapped models by the name that the client requested. Default true.
    #[schemars(extend("default" = true))]
    pub(crate) restore_model_name: Option<bool>,
    /// The end of the client's stream if the upstream's stream breaks off. Default `abort`.
    #[schemars(extend("default" = "abort"))]
    pub(crate) on_stream_break: Option<OnStreamBreak>,
    /// The affinity of requests of the same conversation to a provider and key. Default `session`.
    #[schemars(extend("default" = "session"))]
    pub(crate) affinity: Option<Affinity>,
    /// For `model_based`: prefixes of model names, and the provider that is tried first for each. The longest
    /// prefix wins.
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub(crate) model_mapping: BTreeMap<String, String>,
    /// For `model_based`: the provider that is tried first for a model without a prefix in `model_mapping`.
    #[schemars(length(min = 1))]
    pub(crate) default_provider: Option<String>,
}

/// The strategy that ranks the providers for each request.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strategy {
    /// The highest priority first; the order in the file breaks ties.
    Failover,
    /// Each provider in turn.
    RoundRobin,
    /// Each provider in turn, in proportion to its weight.
    WeightedRoundRobin,
    /// Random order, each provider once in a round.
    Shuffle,
    /// The provider that `model_mapping` or `default_provider` names for the model, then by priority.
    ModelBased,
    /// The provider with the fewest requests in flight relative to its weight.
    LeastLoaded,
    /// The provider with the lowest price for the request, among those of the highest priority.
    CostBased,
    /// The provider with the shortest measured time to the first content, among those of the highest priority.
    LatencyBased,
}

/// The end of the client's stream if the upstream's stream breaks off.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnStreamBreak {
    /// The connection of the client is closed abruptly, so that the client retries.
    Abort,
    /// The client receives an `error` event, and its stream ends cleanly.
    ErrorEvent,
}

/// The affinity of requests of the same conversation.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Affinity {
    /// A session keeps the provider and key that served it last, as long as both are available.
    Session,
    /// No affinity: every request is distributed independently.
    None,
}
