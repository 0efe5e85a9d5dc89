//! The kind of a provider, with the settings that only this kind has.

use super::{AzureAuth, AzureConfig, BedrockConfig, VertexConfig};
use crate::kinds::{self, CompatibleAuth, Implementation, KeyNeed, KindSpec};
use crate::names::BaseUrl;

/// The kind of a provider, with the settings that only this kind has.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ProviderKind {
    /// Anthropic's API, or a proxy for it.
    #[non_exhaustive]
    Anthropic {
        /// The URL in front of `/v1/messages`. Default `https://api.anthropic.com`.
        base_url: BaseUrl,
        /// If `true`, a client's own credential may be sent there. Default: `true` with the default URL, written out
        /// or not.
        passthrough: bool,
    },
    /// Z.AI (GLM).
    #[non_exhaustive]
    Zai {
        /// The URL in front of `/v1/messages`. Default `https://api.z.ai/api/anthropic`.
        base_url: BaseUrl,
    },
    /// Ollama 0.14 or later.
    #[non_exhaustive]
    Ollama {
        /// The URL in front of `/v1/messages`. Default `http://localhost:11434`.
        base_url: BaseUrl,
    },
    /// An endpoint that speaks the Messages API, such as `minimax` or `anthropic_compatible`.
    #[non_exhaustive]
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
    #[non_exhaustive]
    Custom {
        /// The address of the upstream; `None` if it has none.
        base_url: Option<BaseUrl>,
    },
}

impl ProviderKind {
    /// Returns Anthropic's API at `base_url`. A client's own credential is sent there only if it is
    /// `https://api.anthropic.com`; [`with_passthrough`](Self::with_passthrough) changes this.
    #[must_use]
    pub fn anthropic(base_url: BaseUrl) -> Self {
        let passthrough = kinds::ANTHROPIC.default_base_url().is_some_and(|own| own.is_equivalent(&base_url));
        Self::Anthropic { base_url, passthrough }
    }

    /// Sets the permission to send a client's own credential there. Only [`Anthropic`](Self::Anthropic) has this setting: any
    /// other kind stays as it is.
    #[must_use]
    pub fn with_passthrough(mut self, permitted: bool) -> Self {
        if let Self::Anthropic { passthrough, .. } = &mut self {
            *passthrough = permitted;
        }
        self
    }

    /// Returns Z.AI at `base_url`.
    #[must_use]
    pub fn zai(base_url: BaseUrl) -> Self {
        Self::Zai { base_url }
    }

    /// Returns Ollama at `base_url`.
    #[must_use]
    pub fn ollama(base_url: BaseUrl) -> Self {
        Self::Ollama { base_url }
    }

    /// Returns an endpoint at `base_url` that speaks the Messages API. `auth` is the header that carries the key.
    ///
    /// ```
    /// use relay_config::{BaseUrl, CompatibleAuth, KindSpec, ProviderKind};
    ///
    /// let spec = KindSpec::named("anthropic_compatible").expect("a known kind");
    /// let kind = ProviderKind::compatible(spec, BaseUrl::parse("https://gateway.example")?, CompatibleAuth::Bearer);
    /// assert_eq!(kind.as_str(), "anthropic_compatible");
    /// # Ok::<(), relay_config::BaseUrlError>(())
    /// ```
    #[must_use]
    pub fn compatible(spec: &'static KindSpec, base_url: BaseUrl, auth: CompatibleAuth) -> Self {
        Self::Compatible { spec, base_url, auth }
    }

    /// Returns a provider that a program adds in code, and the address of its upstream, if it has one.
    #[must_use]
    pub fn custom(base_url: Option<BaseUrl>) -> Self {
        Self::Custom { base_url }
    }

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
