//! The resolved configuration: every default applied, every value in its precise type.
//!
//! Nothing in this module reads a file. An embedding service can build a [`Config`] in code. Each part of the
//! program takes the small struct that concerns it; none takes `&Config`.

mod cloud;
mod health;
mod logging;
mod provider;
mod routing;
mod secrets;
mod server;
mod web;

pub use cloud::{
    AwsCredentials, AzureAuth, AzureConfig, BedrockApi, BedrockConfig, BedrockGuardrail, EntraConfig,
    GoogleCredentials, GuardrailTrace, VertexConfig, aws_service,
};
pub use health::HealthConfig;
pub use logging::{DebugOptions, LogFormat, LogLevel, LogOutput, LoggingConfig};
pub use provider::{KeyConfig, KeyLimits, Pooling, ProviderConfig, ProviderHeaders, ProviderKind};
pub use routing::{Affinity, RoutingConfig, Strategy, StreamBreak};
pub use server::{ClientAuth, ClientKey, ClientLimits, ListenAddress, ServerConfig};
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
