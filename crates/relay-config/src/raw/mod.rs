//! The configuration as it may be written: a mirror of the file, and the source of its JSON Schema.
//!
//! The first paragraph of a field's comment is what the schema, and so an editor, says about it. Bounds, choices and
//! secrets are stated here once; `validate` enforces them by walking the schema. Fields that no code reads are there
//! to be known: `unavailable` refuses them with a better message than "unknown key".

mod cloud;
mod health;
mod logging;
mod provider;
mod routing;
mod server;
mod unimplemented;

pub(crate) use cloud::{AzureAuth, BedrockApi};
pub(crate) use health::Health;
pub(crate) use logging::{LogFormat, LogLevel, Logging};
pub(crate) use provider::{Auth, Capabilities, Key, PoolingStrategy, Provider, ProviderType};
pub(crate) use routing::{Affinity, OnStreamBreak, Routing, Strategy};
pub(crate) use server::{ClientAuth, Listen, Server};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use unimplemented::{Admin, Metrics, State};

/// Configuration of cc-relay.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, rename = "Configuration")]
pub(crate) struct Root {
    /// Where clients connect, who they are, and what they may use up.
    pub(crate) server: Server,
    /// The upstreams.
    pub(crate) providers: Vec<Provider>,
    /// Which upstream is asked, and when the next one is.
    pub(crate) routing: Routing,
    /// When an upstream is left alone, and how it comes back.
    pub(crate) health: Health,
    /// What is logged, how, and where to.
    pub(crate) logging: Logging,
    /// Prometheus metrics.
    metrics: Metrics,
    /// The admin listener.
    admin: Admin,
    /// Where limits and cooldowns are kept.
    state: State,
    /// Accepted, without effect: there is no response cache.
    #[schemars(with = "serde_json::Value")]
    cache: Option<IgnoredAny>,
    /// Accepted, without effect.
    #[schemars(with = "serde_json::Value")]
    grpc: Option<IgnoredAny>,
}
