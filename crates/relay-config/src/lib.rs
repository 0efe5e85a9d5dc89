//! The configuration of cc-relay: from a file and the environment to a validated, precisely typed [`Config`].
//!
//! ```text
//! file ─yaml, toml─▶ tree with places ─${}─▶ checked against the schema ─┐
//! CC_RELAY_* ──────▶ tree with places ─────▶ checked against the schema ─┼figment▶ raw types ─resolve─▶ Config
//! flags ───────────▶ tree with places ─────▶ checked against the schema ─┘
//! ```
//!
//! Each step reports its problems and continues, so that an operator sees every [`Problem`] at once, each with its place.
//! [`schema`] returns the JSON Schema that sources are checked against. It is derived from the types that they are
//! deserialized into. Every fact about a kind of provider is an entry of [`KINDS`].
//!
//! ```
//! use relay_config::{Format, Loader};
//!
//! let error = Loader::new().with_text("c.yaml", Format::Yaml, "server: { lisen: '[::1]:80' }").load().unwrap_err();
//! assert_eq!(error.to_string(), "c.yaml:1:11: server.lisen: unknown key; did you mean `listen`?");
//! ```
//!
//! This crate opens no sockets and spawns no tasks. Reading arguments and watching the file are left to the binary. An
//! embedding service can also build a [`Config`] in code; [`Config::check`] applies the rules of the loader to it.

mod capabilities;
mod check;
mod claude_model;
mod cloud;
mod config;
mod config_file;
mod date;
mod describe;
mod difference;
mod discover;
mod document;
mod env_settings;
mod environment;
mod error;
mod interpolate;
mod invisible;
mod kinds;
mod layer;
mod load;
mod model_rule;
mod names;
mod other_relays;
mod proxy;
mod raw;
mod report;
mod resolve;
mod rules;
mod schema;
mod secret;
mod secret_text;
mod show;
mod suggest;
mod syntax;
mod text;
mod toml;
mod toml_rehome;
mod tree;
mod unimplemented_keys;
mod validate;
mod yaml;

pub use capabilities::{
    BetaRule, Capabilities, CapabilityTable, Companions, FieldPath, FieldRule, InvalidFieldPath,
    ModelCapabilities, PathStep, Pattern, Select,
};
pub use check::{InvalidConfig, InvalidSetting};
pub use claude_model::ClaudeModel;
pub use cloud::aws_endpoint::bedrock_url;
pub use cloud::aws_file::CorrectedAwsFiles;
pub use config::{
    AdminConfig, Affinity, AwsCredentials, AzureAuth, AzureConfig, BedrockApi, BedrockConfig,
    BedrockGuardrail, Budget, BudgetPeriod, ClientAuth, ClientKey, ClientLimits, Config, DebugOptions,
    EntraConfig, GoogleCredentials, GuardrailTrace, HealthConfig, HostName, KeyConfig, KeyLimits,
    ListenAddress, LogFormat, LogLevel, LogOutput, LoggingConfig, MetricsConfig, ModelPatterns, Origin,
    Pooling, PriceRank, PriceRule, PriceTier, ProviderConfig, ProviderHeaders, ProviderKind, RoutingConfig,
    ServerConfig, Strategy, StreamBreak, TlsConfig, TokenPrices, UnixSocket, UsageConfig, VertexConfig,
    aws_service,
};
pub use config_file::{FindError, find_file};
pub use date::{parse_rfc3339, write_rfc3339};
pub use describe::shown_url;
pub use difference::{Difference, DifferenceKind};
pub use discover::{CloudFiles, Discovery, demo};
pub use document::Document;
pub use env_settings::PROCESS_VARIABLES;
pub use error::{Concern, Fault, LoadError, Place, Problem, Warning};
pub use invisible::is_invisible;
pub use kinds::{
    Address, CompatibleAuth, DiscoverySource, Implementation, KINDS, KeyNeed, KindSpec, ModelList,
    ThinkingSignatures,
};
pub use load::{Format, Loaded, Loader};
pub use model_rule::{Deployment, ModelRule};
pub use names::{BaseUrl, BaseUrlError, KeyId, ModelMapping, ProviderName};
pub use proxy::{Proxy, proxy_exceptions};
pub use schema::schema;
pub use secret::{PLACEHOLDER, Secret};

/// A commented configuration file. `cc-relay config init` writes it with the providers that it finds.
pub const TEMPLATE: &str = include_str!("template.yaml");

/// [`TEMPLATE`] in TOML. The place of the providers is the line `# providers`.
pub const TEMPLATE_TOML: &str = include_str!("template.toml");

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
