//! The `providers` settings: the settings of every upstream, and those of its kind.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

use super::{AzureAuth, AzureConfig, BedrockConfig, VertexConfig};
use crate::capabilities::Capabilities;
use crate::kinds::{self, CompatibleAuth, Implementation, KeyNeed, KindSpec};
use crate::names::{BaseUrl, KeyId, ModelMapping, ProviderName};
use crate::secret::Secret;

/// An upstream and its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderConfig {
    /// The unique name in logs, metrics and routing.
    pub name: ProviderName,
    /// If `false`, the provider is listed but receives no request.
    pub enabled: bool,
    /// The kind of upstream, with the settings that only this kind has.
    pub kind: ProviderKind,
    /// The credentials in the order of the file. Empty for kinds that need none.
    pub keys: Vec<KeyConfig>,
    /// Headers that are added to every request. Default: none.
    pub headers: ProviderHeaders,
    /// The rank of a provider without keys, and the default rank of its keys: higher is tried first. Default 1.
    pub priority: i32,
    /// The share in weighted strategies of a provider without keys. Default 1.
    pub weight: NonZeroU32,
    /// The choice among keys of equal priority. Default: the least loaded key.
    pub pooling: Pooling,
    /// The time that a request waits for a key to become available before the next provider is tried. Default 0.
    pub max_wait: Duration,
    /// The model names that `/v1/models` lists. Empty: the provider accepts every model.
    pub models: Vec<String>,
    /// Adds the upstream's own list of models to `/v1/models`, for `anthropic` and `ollama`. Default `false`.
    pub discover_models: bool,
    /// The upstream's names of the models that clients request.
    pub model_mapping: ModelMapping,
    /// Rules for its models that take precedence over the built-in rules of its kind. Default: none.
    pub capabilities: Capabilities,
    /// Fetches images that a request names by URL. Default `false`.
    pub fetch_images: bool,
    /// A PEM file with additional trusted certificates.
    pub ca_file: Option<PathBuf>,
    /// The timeout for connecting, including the TLS handshake. Default 5 s.
    pub connect_timeout: Duration,
    /// The timeout for the response headers of a streamed request, while another candidate remains. Default 90 s;
    /// 600 s for `ollama`, which loads the model first.
    pub first_byte_timeout: Duration,
    /// The longest pause within a streamed response. Default 300 s.
    pub idle_timeout: Duration,
}

impl ProviderConfig {
    /// Returns an enabled provider with every setting at its default: no keys, priority 1, any model.
    pub fn new(name: ProviderName, kind: ProviderKind) -> Self {
        let first_byte_timeout = kind.spec().first_byte_timeout;
        Self {
            name,
            enabled: true,
            kind,
            keys: Vec::new(),
            headers: ProviderHeaders::default(),
            priority: 1,
            weight: NonZeroU32::MIN,
            pooling: Pooling::default(),
            max_wait: Duration::ZERO,
            models: Vec::new(),
            discover_models: false,
            model_mapping: ModelMapping::default(),
            capabilities: Capabilities::default(),
            fetch_images: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout,
            idle_timeout: Duration::from_secs(300),
        }
    }

    /// Returns the share in weighted strategies: the sum of the weights of its keys, or its own weight without
    /// keys.
    #[must_use]
    pub fn share(&self) -> NonZeroU32 {
        let weights = self.keys.iter().map(|key| key.weight);
        weights.reduce(|sum, weight| sum.saturating_add(weight.get())).unwrap_or(self.weight)
    }
}

/// The headers that are added to every request of a provider: messages, token counts, the forwarded API, lists of models
/// and probes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProviderHeaders {
    /// Headers with a fixed value, each name once.
    pub fixed: Vec<(HeaderName, Secret)>,
    /// The names of client headers that are passed on. A credential of a client is removed before, so that none passes.
    pub forwarded: Vec<HeaderName>,
}

/// The choice of the first key among a provider's keys of equal priority. If it fails, the others are tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The key with the fewest requests in flight relative to its weight, then the one with the most left of its
    /// limits, then the one that has been idle for longest.
    #[default]
    LeastLoaded,
    /// Each key in turn.
    RoundRobin,
    /// A random key.
    Random,
    /// Each key in turn, in proportion to its weight.
    Weighted,
}

/// The kind of a provider, with the settings that only this kind has.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ProviderKind {
    /// Anthropic's API, or a proxy for it.
    Anthropic {
        /// The URL in front of `/v1/messages`. Default `https://api.anthropic.com`.
        base_url: BaseUrl,
        /// If `true`, a client's own credential may be sent there. Default: `true` with the default URL, written out
        /// or not.
        passthrough: bool,
    },
    /// Z.AI (GLM).
    Zai {
        /// The URL in front of `/v1/messages`. Default `https://api.z.ai/api/anthropic`.
        base_url: BaseUrl,
    },
    /// Ollama 0.14 or later.
    Ollama {
        /// The URL in front of `/v1/messages`. Default `http://localhost:11434`.
        base_url: BaseUrl,
    },
    /// An endpoint that speaks the Messages API, such as `minimax` or `anthropic_compatible`.
    Compatible {
        /// The entry of [`KINDS`](crate::KINDS).
        spec: &'static KindSpec,
        /// The URL in front of `/v1/messages`.
        base_url: BaseUrl,
        /// The header that carries the key.
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
    /// A provider that a program adds in code, by `relay_server::Builder::with_provider`. A file cannot configure it.
    Custom {
        /// The address of the upstream; `None` if it has none.
        base_url: Option<BaseUrl>,
    },
}

impl ProviderKind {
    /// Returns `spec` with its default settings, or `None` if the kind has settings without a default.
    #[must_use]
    pub fn with_defaults(spec: &'static KindSpec) -> Option<Self> {
        let base_url = || spec.default_base_url();
        Some(match spec.implementation {
            Implementation::Anthropic => Self::Anthropic { base_url: base_url()?, passthrough: true },
            Implementation::Zai => Self::Zai { base_url: base_url()? },
            Implementation::Ollama => Self::Ollama { base_url: base_url()? },
            Implementation::Compatible(auth) => Self::Compatible { spec, base_url: base_url()?, auth },
            Implementation::Mock => Self::Mock,
            Implementation::Bedrock | Implementation::Azure | Implementation::Vertex => return None,
        })
    }

    /// Returns the facts that are fixed for the kind.
    #[must_use]
    pub fn spec(&self) -> &'static KindSpec {
        match self {
            Self::Anthropic { .. } => &kinds::ANTHROPIC,
            Self::Zai { .. } => &kinds::ZAI,
            Self::Ollama { .. } => &kinds::OLLAMA,
            Self::Compatible { spec, .. } => spec,
            Self::Bedrock(_) => &kinds::BEDROCK,
            Self::Azure(_) => &kinds::AZURE,
            Self::Vertex(_) => &kinds::VERTEX,
            Self::Mock => &kinds::MOCK,
            Self::Custom { .. } => &kinds::CUSTOM,
        }
    }

    /// Returns the base URL; `None` for the built-in upstream, and if the region decides.
    #[must_use]
    pub fn base_url(&self) -> Option<&BaseUrl> {
        match self {
            Self::Anthropic { base_url, .. }
            | Self::Zai { base_url }
            | Self::Ollama { base_url }
            | Self::Compatible { base_url, .. } => Some(base_url),
            Self::Azure(azure) => Some(&azure.base_url),
            Self::Bedrock(bedrock) => bedrock.base_url.as_ref(),
            Self::Vertex(vertex) => vertex.base_url.as_ref(),
            Self::Custom { base_url } => base_url.as_ref(),
            Self::Mock => None,
        }
    }

    /// Returns the use that the provider has for keys: the kind's, unless one of its settings changes it.
    #[must_use]
    pub fn key_need(&self) -> KeyNeed {
        match self {
            Self::Anthropic { passthrough: true, .. } => KeyNeed::Optional,
            Self::Azure(AzureConfig { auth: AzureAuth::EntraId(_), .. }) => KeyNeed::NeverSent,
            Self::Compatible { auth: CompatibleAuth::None, .. } => KeyNeed::Refused,
            kind => kind.spec().keys,
        }
    }

    /// Returns `true` if a client's own credential may be sent to the provider.
    #[must_use]
    pub fn passes_through(&self) -> bool {
        matches!(self, Self::Anthropic { passthrough: true, .. })
    }

    /// Returns `true` if the upstream needs no credential at all, neither a key nor that of a cloud.
    #[must_use]
    pub fn needs_no_credential(&self) -> bool {
        matches!(
            self,
            Self::Ollama { .. }
                | Self::Mock
                | Self::Custom { .. }
                | Self::Compatible { auth: CompatibleAuth::None, .. }
        )
    }

    /// Returns the `type` in the configuration file.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.spec().name
    }
}

/// A credential of a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyConfig {
    /// The credential itself. `None` for kinds that send none: such a key carries only priority, weight and limits.
    pub key: Option<Secret>,
    /// The name in logs and in `status`. Default: `None`, which names the key by its [`KeyId`].
    pub name: Option<String>,
    /// The rank: higher is tried first. Default: the provider's.
    pub priority: i32,
    /// The share in weighted strategies. Default 1.
    pub weight: NonZeroU32,
    /// The configured limits. Default: none.
    pub limits: KeyLimits,
    /// The organization that the limits belong to. Keys of a provider with the same organization share one set of
    /// limits. Default: `None`, the limits are the key's own.
    pub organization: Option<String>,
}

impl KeyConfig {
    /// Returns a key with every setting at its default: no name, priority and weight 1, no limits, no organization.
    #[must_use]
    pub fn new(key: Option<Secret>) -> Self {
        let (limits, organization) = (KeyLimits::default(), None);
        Self { key, name: None, priority: 1, weight: NonZeroU32::MIN, limits, organization }
    }

    /// Returns the identity of the key with its name, or `None` for a kind that sends no key.
    #[must_use]
    pub fn id(&self) -> Option<KeyId> {
        let id = KeyId::of(self.key.as_ref()?);
        Some(match &self.name {
            Some(name) => id.with_name(name.as_str()),
            None => id,
        })
    }
}

/// The limits per minute. A limit that is `None` is learned from the upstream's responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests per minute.
    pub requests: Option<NonZeroU64>,
    /// Input and output tokens per minute together.
    pub tokens: Option<NonZeroU64>,
    /// Input tokens per minute.
    pub input_tokens: Option<NonZeroU64>,
    /// Output tokens per minute.
    pub output_tokens: Option<NonZeroU64>,
}
