//! The shape of the file: the types that it is deserialized into, and the source of its JSON Schema.
//!
//! The doc comment of a field is its description in the schema, which editors show as hover text. Bounds, choices
//! and secrets are declared here once; `validate` enforces them along the schema. Some fields have no reader: they
//! belong to features that are not implemented, and `unimplemented_keys` refuses them with a better message than
//! "unknown key".

mod cloud;
mod health;
mod logging;
mod observe;
mod prices;
mod provider;
mod routing;
mod server;
mod unimplemented;

pub(crate) use cloud::{AzureAuth, BedrockApi, BedrockGuardrail, GuardrailTrace};
pub(crate) use health::Health;
pub(crate) use logging::{LogFormat, LogLevel, Logging};
pub(crate) use observe::{Admin, Metrics, Usage};
pub(crate) use prices::{Price, PriceTier};
pub(crate) use provider::{Auth, Capabilities, Key, PoolingStrategy, Provider, ProviderType};
pub(crate) use routing::{Affinity, OnStreamBreak, Routing, Strategy};
pub(crate) use server::{BudgetPeriod, ClientAuth, ClientKey, Listen, Server, Tls};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use unimplemented::State;

/// The configuration of cc-relay, a relay between clients of the Anthropic Messages API and their upstreams.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Configuration")]
pub(crate) struct Root {
    /// The listener for clients: addresses, limits, and the clients that are admitted.
    pub(crate) server: Server,
    /// The upstreams that requests are sent to. Their order in the file breaks ties of priority.
    pub(crate) providers: Vec<Provider>,
    /// The choice of the provider for a request, and the failover to the next one.
    pub(crate) routing: Routing,
    /// Circuit breaker and health checks: when a failing upstream is skipped, and when it is used again.
    pub(crate) health: Health,
    /// The log of the process: its level, its format and its destination.
    pub(crate) logging: Logging,
    /// Metrics in the format of Prometheus.
    pub(crate) metrics: Metrics,
    /// The listener for administration: the state of the relay, its requests, and actions of an operator.
    pub(crate) admin: Admin,
    /// The ledger of usage: a database with one row for each request and its cost.
    pub(crate) usage: Usage,
    /// Prices of models, over the built-in ones. The first that matches the provider and the model of a request applies.
    pub(crate) prices: Vec<Price>,
    /// The store of rate limits and cooldowns.
    state: State,
    /// Accepted without effect, with a warning: cc-relay has no response cache.
    #[schemars(with = "serde_json::Value")]
    cache: Option<IgnoredAny>,
    /// Accepted without effect, with a warning: cc-relay has no gRPC interface.
    #[schemars(with = "serde_json::Value")]
    grpc: Option<IgnoredAny>,
}
