//! The resolved configuration: every default applied, every value in its precise type.
//!
//! Nothing in this module reads a file. An embedding service can build a [`Config`] in code. Each part of the
//! program takes the small struct that concerns it; none takes `&Config`.

mod access;
mod auth;
mod azure;
mod bedrock;
mod health;
mod key;
mod kind;
mod logging;
mod observe;
mod prices;
mod process;
mod provider;
mod routing;
mod secrets;
mod server;
mod tls;
mod unix_socket;
mod vertex;
mod web;

pub use access::{Budget, BudgetPeriod, ModelPatterns};
pub use auth::{ClientAuth, ClientKey, ClientLimits};
pub use azure::{AzureAuth, AzureConfig, EntraConfig};
pub use bedrock::{AwsCredentials, BedrockApi, BedrockConfig, BedrockGuardrail, GuardrailTrace, aws_service};
pub use health::HealthConfig;
pub use key::{KeyConfig, KeyLimits, Pooling};
pub use kind::ProviderKind;
pub use logging::{DebugOptions, LogFormat, LogLevel, LogOutput, LoggingConfig};
pub use observe::{AdminConfig, MetricsConfig, UsageConfig};
pub use prices::{PriceRank, PriceRule, PriceTier, TokenPrices};
pub use provider::{ProviderConfig, ProviderHeaders};
pub use routing::{Affinity, RoutingConfig, Strategy, StreamBreak};
pub use server::{ListenAddress, ServerConfig};
pub use tls::TlsConfig;
pub use unix_socket::UnixSocket;
pub use vertex::{GoogleCredentials, VertexConfig};
pub use web::{HostName, Origin};

pub(crate) use access::parse_expiry;

/// The complete configuration of a relay.
///
/// A program can build it in code, without a file: each part has its defaults, fields that can be set, and `with_`
/// methods for common settings.
///
/// ```
/// use relay_config::{
///     BaseUrl, ClientAuth, ClientKey, Config, KeyConfig, ListenAddress, ProviderConfig, ProviderKind, RoutingConfig, Secret,
///     ServerConfig, Strategy,
/// };
///
/// let url = BaseUrl::parse("https://api.anthropic.com")?;
/// let anthropic = ProviderConfig::new("anthropic", ProviderKind::anthropic(url))
///     .with_key(KeyConfig::new(Secret::new("sk-ant-api-1")).with_weight(2))
///     .with_key(KeyConfig::new(Secret::new("sk-ant-api-2")));
/// let url = BaseUrl::parse("http://localhost:11434")?;
/// let mut ollama = ProviderConfig::new("local", ProviderKind::ollama(url))
///     .with_priority(0)
///     .with_model_mapping([("claude-*", "qwen3-coder")]);
/// ollama.fetch_images = true;
///
/// let clients = ClientAuth::default().with_key(ClientKey::new("alice", Secret::new("alice's key")));
/// let listen = ListenAddress::new("127.0.0.1", 9000);
/// let config = Config::new([anthropic, ollama])
///     .with_server(ServerConfig::default().with_listen([listen]).with_auth(clients))
///     .with_routing(RoutingConfig::default().with_strategy(Strategy::LeastLoaded));
/// config.check().expect("a valid configuration");
/// # Ok::<(), relay_config::BaseUrlError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
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
    /// The metrics of the process.
    pub metrics: MetricsConfig,
    /// The listener for administration.
    pub admin: AdminConfig,
    /// The ledger of usage.
    pub usage: UsageConfig,
    /// The prices of models, over the built-in ones, in the order in which they are looked up.
    pub prices: Vec<PriceRule>,
}

impl Config {
    /// Creates a configuration with these providers, and the defaults of every other setting.
    pub fn new(providers: impl IntoIterator<Item = ProviderConfig>) -> Self {
        Self { providers: providers.into_iter().collect(), ..Self::default() }
    }

    /// Sets the listener for clients, its limits, and the clients that are admitted.
    #[must_use]
    pub fn with_server(mut self, server: ServerConfig) -> Self {
        self.server = server;
        self
    }

    /// Sets the choice of the provider for a request.
    #[must_use]
    pub fn with_routing(mut self, routing: RoutingConfig) -> Self {
        self.routing = routing;
        self
    }

    /// Sets the circuit breaker of each upstream, and its probes.
    #[must_use]
    pub fn with_health(mut self, health: HealthConfig) -> Self {
        self.health = health;
        self
    }

    /// Sets the metrics of the process. An embedded relay serves none; the program does.
    #[must_use]
    pub fn with_metrics(mut self, metrics: MetricsConfig) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sets the listener for administration. An embedded relay opens none; the program does.
    #[must_use]
    pub fn with_admin(mut self, admin: AdminConfig) -> Self {
        self.admin = admin;
        self
    }

    /// Sets the ledger of usage. An embedded relay keeps none; the program does.
    #[must_use]
    pub fn with_usage(mut self, usage: UsageConfig) -> Self {
        self.usage = usage;
        self
    }

    /// Sets the prices of models, over the built-in ones.
    #[must_use]
    pub fn with_prices(mut self, prices: impl IntoIterator<Item = PriceRule>) -> Self {
        self.prices = prices.into_iter().collect();
        self
    }

    /// Sets the log of the process. An embedded relay installs no log; the program does.
    #[must_use]
    pub fn with_logging(mut self, logging: LoggingConfig) -> Self {
        self.logging = logging;
        self
    }
}
