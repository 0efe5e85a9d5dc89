//! The `providers` settings: the settings of every upstream.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::{GoogleCredentials, KeyConfig, Pooling, ProviderKind, VertexConfig};
use crate::capabilities::Capabilities;
use crate::names::{ModelMapping, ProviderName};
use crate::secret::Secret;

/// An upstream and its settings.
///
/// ```
/// use std::time::Duration;
/// use relay_config::{BaseUrl, KeyConfig, KeyLimits, ProviderConfig, ProviderKind, Secret};
///
/// let kind = ProviderKind::zai(BaseUrl::parse("https://api.z.ai/api/anthropic")?);
/// let limits = KeyLimits::default().with_requests(60);
/// let mut provider = ProviderConfig::new("zai", kind)
///     .with_key(KeyConfig::new(Secret::new("key")).with_name("team").with_limits(limits))
///     .with_models(["glm-4.7"]);
/// provider.idle_timeout = Duration::from_secs(120);
/// assert_eq!(provider.keys[0].id().expect("a key").to_string(), "team");
/// # Ok::<(), relay_config::BaseUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
    pub fn new(name: impl Into<ProviderName>, kind: ProviderKind) -> Self {
        let first_byte_timeout = kind.spec().first_byte_timeout;
        Self {
            name: name.into(),
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

    /// Adds a key after those that are already present.
    #[must_use]
    pub fn with_key(mut self, key: KeyConfig) -> Self {
        self.keys.push(key);
        self
    }

    /// Sets the rank of a provider without keys. Default 1. A key has a rank of its own.
    #[must_use]
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the share of a provider without keys in weighted strategies. 0 counts as 1, the default.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Sets the model names that `/v1/models` lists. Default: none, the provider accepts every model.
    #[must_use]
    pub fn with_models(mut self, models: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the upstream's names of the models that clients request. `*` in a client's name fits any text.
    #[must_use]
    pub fn with_model_mapping(
        mut self,
        mapping: impl IntoIterator<Item = (impl Into<String>, impl Into<Arc<str>>)>,
    ) -> Self {
        self.model_mapping = mapping.into_iter().collect();
        self
    }

    /// Sets the headers that are added to every request. Default: none.
    #[must_use]
    pub fn with_headers(mut self, headers: ProviderHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Returns the files that are read when the provider is built: `ca_file`, and the credentials file of `vertex`. A provider
    /// whose files have other contents has to be built again.
    ///
    /// ```
    /// use relay_config::{GoogleCredentials, ProviderConfig, ProviderKind, VertexConfig};
    ///
    /// let vertex = VertexConfig::new(GoogleCredentials::File("/etc/relay/account.json".into()));
    /// let mut provider = ProviderConfig::new("vertex", ProviderKind::Vertex(vertex));
    /// provider.ca_file = Some("/etc/relay/ca.pem".into());
    /// assert_eq!(provider.files().count(), 2);
    /// ```
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let credentials = match &self.kind {
            ProviderKind::Vertex(VertexConfig { credentials: GoogleCredentials::File(file), .. }) => {
                Some(&**file)
            }
            _ => None,
        };
        self.ca_file.as_deref().into_iter().chain(credentials)
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
#[non_exhaustive]
pub struct ProviderHeaders {
    /// Headers with a fixed value, each name once.
    pub fixed: Vec<(HeaderName, Secret)>,
    /// The names of client headers that are passed on. A credential of a client is removed before, so that none passes.
    pub forwarded: Vec<HeaderName>,
}

impl ProviderHeaders {
    /// Adds a header with a fixed value, which replaces a header of the client with the same name.
    #[must_use]
    pub fn with_fixed(mut self, name: HeaderName, value: Secret) -> Self {
        self.fixed.push((name, value));
        self
    }

    /// Adds the name of a client header that is passed on.
    #[must_use]
    pub fn with_forwarded(mut self, name: HeaderName) -> Self {
        self.forwarded.push(name);
        self
    }
}
