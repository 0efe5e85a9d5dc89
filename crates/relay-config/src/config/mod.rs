//! The resolved configuration: every default applied, every value in its precise type.
//!
//! Nothing here reads a file; an embedding service may build a [`Config`] in code. Each part of the program takes
//! the small struct that concerns it, none takes `&Config`.

mod cloud;
mod health;
mod logging;
mod provider;
mod routing;
mod server;

pub use cloud::{
    AwsCredentials, AzureAuth, AzureConfig, BedrockApi, BedrockConfig, EntraConfig, GoogleCredentials,
    VertexConfig,
};
pub use health::HealthConfig;
pub use logging::{DebugOptions, LogFormat, LogLevel, LogOutput, LoggingConfig};
pub use provider::{KeyConfig, KeyLimits, Pooling, ProviderConfig, ProviderKind};
pub use routing::{Affinity, RoutingConfig, Strategy, StreamBreak};
pub use server::{ClientAuth, ClientKey, ListenAddress, ServerConfig};

/// Everything that cc-relay can be told.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where clients connect, who they are, and what they may use up.
    pub server: ServerConfig,
    /// The upstreams, in file order, disabled ones included.
    pub providers: Vec<ProviderConfig>,
    /// Which upstream is asked, and when the next one is.
    pub routing: RoutingConfig,
    /// When an upstream is left alone, and how it comes back.
    pub health: HealthConfig,
    /// What is logged, how, and where to.
    pub logging: LoggingConfig,
}
