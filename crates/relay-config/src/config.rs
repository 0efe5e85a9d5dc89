//! The resolved configuration: every default applied, every value in its precise type.
//!
//! Nothing here reads a file; an embedding service may build a [`Config`] in code. Each part of the program takes
//! the small struct that concerns it, none takes `&Config`.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::names::{BaseUrl, ModelMapping, ProviderName};
use crate::secret::Secret;

/// Everything that cc-relay can be told.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where clients connect, who they are, and what they may use up.
    pub server: ServerConfig,
    /// The upstreams, in file order, disabled ones included.
    pub providers: Vec<ProviderConfig>,
    /// Which upstream is asked, and when the next one is.
    pub routing: RoutingConfig,
    /// What is logged, how, and where to.
    pub logging: LoggingConfig,
}

/// Settings of the main listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Addresses to listen on; never empty. Default `127.0.0.1:8787`.
    pub listen: Vec<ListenAddress>,
    /// A request's whole time up to its response head; `None` is without limit. Default 600 s.
    pub timeout: Option<Duration>,
    /// Requests in flight; beyond it 503 `overloaded_error`. `None` (the default) is without limit.
    pub max_concurrent: Option<NonZeroU32>,
    /// The largest request body in bytes, after decoding. Default 32 MiB.
    pub max_body_bytes: usize,
    /// How long a stop waits for open requests. Default 30 s.
    pub drain_timeout: Duration,
    /// Whether cleartext HTTP/2 (prior knowledge) is served beside HTTP/1.1. Default true.
    pub enable_http2: bool,
    /// Who may use the relay.
    pub auth: ClientAuth,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddress::default()],
            timeout: Some(Duration::from_secs(600)),
            max_concurrent: None,
            max_body_bytes: 32 * 1024 * 1024,
            drain_timeout: Duration::from_secs(30),
            enable_http2: true,
            auth: ClientAuth::default(),
        }
    }
}

impl ServerConfig {
    /// Whether every listener is reachable from this machine alone.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        self.listen.iter().all(ListenAddress::is_loopback)
    }

    /// Whether a request that carries only a subscription token may be served with configured keys.
    #[must_use]
    pub fn subscription_may_use_keys(&self) -> bool {
        self.auth.subscription_may_use_keys.unwrap_or_else(|| self.is_loopback_only())
    }
}

/// `host:port`; the host is a name or an IP address, IPv6 without its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// A host name or an IP address.
    pub host: String,
    /// A port; 0 lets the system choose.
    pub port: u16,
}

impl ListenAddress {
    /// Whether only this machine can reach the address. A name other than `localhost` counts as reachable.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 8787 }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which clients are admitted. With nothing configured, every client is.
#[derive(Debug, Clone, Default)]
pub struct ClientAuth {
    /// Accepted keys (`server.auth.api_key`, `api_keys[]`), in either of the two credential headers.
    pub keys: Vec<ClientKey>,
    /// A further accepted bearer token.
    pub bearer_secret: Option<Secret>,
    /// Whether a client's own Claude subscription token admits it, and is passed through.
    pub allow_subscription: bool,
    /// Whether a request with only a subscription token may be served with configured keys; `None` asks
    /// [`ServerConfig::is_loopback_only`].
    pub subscription_may_use_keys: Option<bool>,
}

impl ClientAuth {
    /// Whether a client has to show anything at all.
    #[must_use]
    pub fn is_required(&self) -> bool {
        !self.keys.is_empty() || self.bearer_secret.is_some() || self.allow_subscription
    }
}

/// One named client.
#[derive(Debug, Clone)]
pub struct ClientKey {
    /// Used in logs; `default` for `server.auth.api_key`.
    pub name: String,
    /// What the client sends.
    pub key: Secret,
}

/// One upstream.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Unique; used in logs, metrics and routing.
    pub name: ProviderName,
    /// A disabled provider is listed but never asked.
    pub enabled: bool,
    /// The protocol, with what only this kind needs.
    pub kind: ProviderKind,
    /// Credentials, in file order. May be empty for kinds that need none.
    pub keys: Vec<KeyConfig>,
    /// Rank without keys, and default of theirs: higher is tried first. Default 1.
    pub priority: i32,
    /// Model names advertised on `/v1/models`; empty means any model may be asked for.
    pub models: Vec<String>,
    /// Client's model name to upstream's.
    pub model_mapping: ModelMapping,
    /// PEM file with further trusted certificates.
    pub ca_file: Option<PathBuf>,
    /// Limit for establishing a connection, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// Limit up to the response head, for streamed requests while another candidate remains. Default 90 s.
    pub first_byte_timeout: Duration,
    /// Longest silence within a streamed answer. Default 300 s.
    pub idle_timeout: Duration,
}

impl ProviderConfig {
    /// An enabled provider with every setting at its default: no keys, priority 1, any model.
    pub fn new(name: ProviderName, kind: ProviderKind) -> Self {
        Self {
            name,
            enabled: true,
            kind,
            keys: Vec::new(),
            priority: 1,
            models: Vec::new(),
            model_mapping: ModelMapping::default(),
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(90),
            idle_timeout: Duration::from_secs(300),
        }
    }
}

/// The kind of an upstream: how it is addressed and how it authenticates.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ProviderKind {
    /// Anthropic's API, or an endpoint that stands for it.
    Anthropic {
        /// Default `https://api.anthropic.com`.
        base_url: BaseUrl,
        /// Whether a client's own credential may be sent there.
        passthrough: bool,
    },
    /// Z.AI (GLM).
    Zai {
        /// Default `https://api.z.ai/api/anthropic`.
        base_url: BaseUrl,
    },
    /// Ollama 0.14 or later.
    Ollama {
        /// Default `http://localhost:11434`.
        base_url: BaseUrl,
    },
    /// MiniMax.
    Minimax {
        /// Default `https://api.minimax.io/anthropic`.
        base_url: BaseUrl,
    },
    /// Any other endpoint that speaks the Messages API.
    AnthropicCompatible {
        /// Required.
        base_url: BaseUrl,
        /// Where the key goes. Default `x-api-key`.
        auth: CompatibleAuth,
    },
    /// AWS Bedrock.
    Bedrock(BedrockConfig),
    /// Azure AI Foundry.
    Azure(AzureConfig),
    /// Google Vertex AI.
    Vertex(VertexConfig),
    /// The built-in upstream for offline use.
    Mock,
}

/// What an AWS Bedrock upstream needs.
#[derive(Debug, Clone)]
pub struct BedrockConfig {
    /// Overrides the endpoint of the region.
    pub base_url: Option<BaseUrl>,
    /// From the file, `AWS_REGION` or `AWS_DEFAULT_REGION`; `None` leaves it to the profile.
    pub region: Option<String>,
    /// How requests are signed.
    pub credentials: AwsCredentials,
    /// Which of Bedrock's operations are called.
    pub api: BedrockApi,
}

/// How requests to Bedrock are authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AwsCredentials {
    /// Keys of the configuration.
    Keys {
        /// `aws_access_key_id`.
        access_key_id: Secret,
        /// `aws_secret_access_key`.
        secret_access_key: Secret,
        /// `aws_session_token`, with temporary keys.
        session_token: Option<Secret>,
    },
    /// A Bedrock API key, sent as a bearer token: `aws_bearer_token`, or `AWS_BEARER_TOKEN_BEDROCK`.
    BearerToken(Secret),
    /// A profile of the shared configuration files.
    Profile(String),
    /// The AWS default chain: environment, files, SSO, web identity, container, instance metadata.
    DefaultChain,
}

/// Which of Bedrock's operations are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BedrockApi {
    /// `InvokeModel` and `InvokeModelWithResponseStream`.
    #[default]
    Invoke,
    /// The newer endpoint of Anthropic's format.
    Messages,
}

/// What an Azure AI Foundry upstream needs.
#[derive(Debug, Clone)]
pub struct AzureConfig {
    /// `https://{azure_resource_name}.services.ai.azure.com/anthropic` unless overridden.
    pub base_url: BaseUrl,
    /// Sent as `api-version` only if it is set: the endpoint takes none.
    pub api_version: Option<String>,
    /// How requests are authorized.
    pub auth: AzureAuth,
}

/// How requests to Azure AI Foundry are authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AzureAuth {
    /// The keys of the provider.
    ApiKey,
    /// Microsoft Entra ID.
    EntraId(EntraConfig),
}

/// Where tokens of Microsoft Entra ID come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntraConfig {
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    ClientSecret {
        /// `AZURE_AUTHORITY_HOST`, default `https://login.microsoftonline.com`.
        authority: BaseUrl,
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
    /// `AZURE_FEDERATED_TOKEN_FILE` with `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`, as Kubernetes provides them.
    WorkloadIdentity {
        /// `AZURE_AUTHORITY_HOST`, default `https://login.microsoftonline.com`.
        authority: BaseUrl,
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The file with the assertion, read anew for each token.
        token_file: PathBuf,
    },
    /// The identity of the machine: `IDENTITY_ENDPOINT` with `IDENTITY_HEADER` (App Service, Container Apps), else the
    /// instance metadata service.
    ManagedIdentity {
        /// Where tokens are asked for; default `http://169.254.169.254/metadata/identity/oauth2/token`.
        endpoint: BaseUrl,
        /// `IDENTITY_HEADER`, which App Service wants back.
        identity_header: Option<Secret>,
        /// `AZURE_CLIENT_ID`, to choose among several identities.
        client_id: Option<String>,
    },
}

/// What a Google Vertex AI upstream needs.
#[derive(Debug, Clone)]
pub struct VertexConfig {
    /// Overrides the host of the region; without `/v1`.
    pub base_url: Option<BaseUrl>,
    /// From the file or `GOOGLE_CLOUD_PROJECT`; `None` leaves it to the credentials file.
    pub project: Option<String>,
    /// A region, or `global`, `us`, `eu`. Default `us-east5`.
    pub region: String,
    /// Where tokens come from.
    pub credentials: GoogleCredentials,
}

/// Where Google's access tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoogleCredentials {
    /// A credentials file of any type: `credentials_file`, `GOOGLE_APPLICATION_CREDENTIALS`, or what gcloud has left.
    File(PathBuf),
    /// The metadata server of the machine.
    MetadataServer {
        /// `GCE_METADATA_HOST`, default `metadata.google.internal`: a host, with or without a port.
        host: String,
    },
}

impl ProviderKind {
    /// Where the upstream is; `None` for the built-in one, and where the region decides.
    #[must_use]
    pub fn base_url(&self) -> Option<&BaseUrl> {
        match self {
            Self::Anthropic { base_url, .. }
            | Self::Zai { base_url }
            | Self::Ollama { base_url }
            | Self::Minimax { base_url }
            | Self::AnthropicCompatible { base_url, .. } => Some(base_url),
            Self::Azure(azure) => Some(&azure.base_url),
            Self::Bedrock(bedrock) => bedrock.base_url.as_ref(),
            Self::Vertex(vertex) => vertex.base_url.as_ref(),
            Self::Mock => None,
        }
    }

    /// The `type` in the configuration file.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Anthropic { .. } => "anthropic",
            Self::Zai { .. } => "zai",
            Self::Ollama { .. } => "ollama",
            Self::Minimax { .. } => "minimax",
            Self::AnthropicCompatible { .. } => "anthropic_compatible",
            Self::Bedrock(_) => "bedrock",
            Self::Azure(_) => "azure",
            Self::Vertex(_) => "vertex",
            Self::Mock => "mock",
        }
    }
}

/// How an `anthropic_compatible` upstream takes its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompatibleAuth {
    /// `x-api-key: KEY`.
    #[default]
    ApiKey,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// No credential; keys are not allowed.
    None,
}

/// One credential of a provider.
#[derive(Debug, Clone)]
pub struct KeyConfig {
    /// The credential itself. `None` for kinds that send none: such a key carries rank alone.
    pub key: Option<Secret>,
    /// Higher is tried first. Default: the provider's.
    pub priority: i32,
}

/// How upstreams are chosen.
#[derive(Debug, Clone)]
pub struct RoutingConfig {
    /// How providers are ranked.
    pub strategy: Strategy,
    /// From the first failed attempt on, how long a further attempt may still be started. Default 5 s.
    pub failover_timeout: Duration,
    /// Upstream attempts for one request. Default 6.
    pub max_attempts: NonZeroU32,
    /// Whether responses carry `x-cc-relay-*` headers that say how they came about.
    pub debug: bool,
    /// Whether a provider whose `models` lack the model is never asked, instead of last.
    pub strict_models: bool,
    /// Whether answers of mapped models carry the client's own model name.
    pub restore_model_name: bool,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            failover_timeout: Duration::from_secs(5),
            max_attempts: NonZeroU32::new(6).unwrap_or(NonZeroU32::MIN),
            debug: false,
            strict_models: false,
            restore_model_name: false,
        }
    }
}

/// How providers are ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Highest priority first, file order on ties.
    #[default]
    Failover,
}

impl Strategy {
    /// The name in the configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
        }
    }
}

/// What is logged, how, and where to.
#[derive(Debug, Clone, Default)]
pub struct LoggingConfig {
    /// Least severe level that is logged. Default info.
    pub level: LogLevel,
    /// Text for people, JSON for machines. Default text.
    pub format: LogFormat,
    /// Default standard output.
    pub output: LogOutput,
    /// Colours and aligned text; `None` asks whether the output is a terminal.
    pub pretty: Option<bool>,
    /// Further detail, off by default.
    pub debug: DebugOptions,
}

/// A log level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator wants to see.
    #[default]
    Info,
    /// What may need attention.
    Warn,
    /// What failed.
    Error,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// Where log lines go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file.
    File(PathBuf),
}

/// What `logging.debug_options` adds at level debug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugOptions {
    /// Log the start of request bodies, redacted before they are cut.
    pub log_request_body: bool,
    /// Log upstream response headers.
    pub log_response_headers: bool,
    /// Bytes of a body that are logged. Default 1000.
    pub max_body_log_size: usize,
}

impl Default for DebugOptions {
    fn default() -> Self {
        Self { log_request_body: false, log_response_headers: false, max_body_log_size: 1000 }
    }
}
