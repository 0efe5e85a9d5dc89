//! The resolved configuration: every default applied, every value in its precise type.
//!
//! Nothing in this module reads a file. An embedding service can build a [`Config`] in code. Each part of the
//! program takes the small struct that concerns it; none takes `&Config`.

mod auth;
mod azure;
mod bedrock;
mod health;
mod key;
mod kind;
mod logging;
mod provider;
mod routing;
mod secrets;
mod server;
mod vertex;
mod web;

pub use auth::{ClientAuth, ClientKey, ClientLimits};
pub use azure::{AzureAuth, AzureConfig, EntraConfig};
pub use bedrock::{AwsCredentials, BedrockApi, BedrockConfig, BedrockGuardrail, GuardrailTrace, aws_service};
pub use health::HealthConfig;
pub use key::{KeyConfig, KeyLimits, Pooling};
pub use kind::ProviderKind;
pub use logging::{DebugOptions, LogFormat, LogLevel, LogOutput, LoggingConfig};
pub use provider::{ProviderConfig, ProviderHeaders};
pub use routing::{Affinity, RoutingConfig, Strategy, StreamBreak};
pub use server::{ListenAddress, ServerConfig};
pub use vertex::{GoogleCredentials, VertexConfig};
pub use web::{HostName, Origin};

/// The complete configuration of a relay.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The listener for clients, its limits, and the clients that are admitted.
    pub server: ServerConfig,
    /// The upstreams in the order of the file, disabled ones included.
    pub providers: Vec<ProviderConfig>,
    /// The choice of the provider for a request, and the failover to the next one.
    pub routing: RoutingConfig,
    /// The circuit breaker of each upstream, and its probes.
    pub health: HealthConfig,
    /// The log of the process.
    pub logging: LoggingConfig,
}
