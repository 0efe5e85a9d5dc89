//! Configuration of cc-relay: a file and the environment in, a validated and precisely typed [`Config`] out.

mod config;
mod names;
mod secret;

pub use config::{
    ClientAuth, ClientKey, CompatibleAuth, Config, DebugOptions, KeyConfig, ListenAddress, LogFormat,
    LogLevel, LogOutput, LoggingConfig, ProviderConfig, ProviderKind, RoutingConfig, ServerConfig, Strategy,
};
pub use names::{BaseUrl, BaseUrlError, KeyId, ModelMapping, ProviderName};
pub use secret::Secret;
