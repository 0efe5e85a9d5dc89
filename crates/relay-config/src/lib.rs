//! Configuration of cc-relay: a file and the environment in, a validated and precisely typed [`Config`] out.

mod config;
mod discover;
mod environment;
mod error;
mod find;
mod interpolate;
mod layer;
mod load;
mod misplaced;
mod names;
mod near;
mod raw;
mod report;
mod resolve;
mod schema;
mod secret;
mod show;
mod toml;
mod tree;
mod unavailable;
mod validate;
mod yaml;

pub use config::{
    ClientAuth, ClientKey, CompatibleAuth, Config, DebugOptions, KeyConfig, ListenAddress, LogFormat,
    LogLevel, LogOutput, LoggingConfig, ProviderConfig, ProviderKind, RoutingConfig, ServerConfig, Strategy,
};
pub use discover::{Discovery, demo};
pub use environment::PROCESS_VARIABLES;
pub use error::{Concern, Fault, LoadError, Place, Problem, Warning};
pub use find::{FindError, find_file};
pub use load::{Format, Loaded, Loader};
pub use names::{BaseUrl, BaseUrlError, KeyId, ModelMapping, ProviderName};
pub use schema::schema;
pub use secret::Secret;

/// The commented file that `cc-relay config init` writes.
pub const TEMPLATE: &str = include_str!("template.yaml");
