//! The error of a configuration that cannot be built.

use relay_config::{BaseUrlError, InvalidConfig};
use relay_providers::AuthorizeError;
use relay_transport::TlsError;

/// An error in building a relay from a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The configuration breaks a rule.
    #[error("the configuration is invalid:\n{0}")]
    Config(InvalidConfig),
    /// The certificates for a provider cannot be used.
    #[error("provider `{provider}`: TLS cannot be set up")]
    Tls {
        /// The provider's name.
        provider: String,
        /// The cause.
        #[source]
        source: TlsError,
    },
    /// A provider's key cannot be sent in a header.
    #[error("provider `{provider}`: its key cannot be used")]
    Key {
        /// The provider's name.
        provider: String,
        /// The cause.
        #[source]
        source: AuthorizeError,
    },
    /// A provider's settings do not form a URL.
    #[error("provider `{provider}`: its settings make no address")]
    Address {
        /// The provider's name.
        provider: String,
        /// The cause.
        #[source]
        source: BaseUrlError,
    },
    /// A setting of a provider needs a feature of `relay-server` that is not compiled in.
    #[error(
        "provider `{provider}`: `{setting}` needs the feature `{feature}` of relay-server, which is not compiled in"
    )]
    Feature {
        /// The provider's name.
        provider: String,
        /// The setting with its value, as in a file.
        setting: &'static str,
        /// The name of the feature.
        feature: &'static str,
    },
    /// A kind of provider that this version of `relay-server` does not build.
    #[error("provider `{provider}`: type `{kind}` is not available")]
    Kind {
        /// The provider's name.
        provider: String,
        /// The provider's `type`.
        kind: &'static str,
    },
}

#[cfg(not(all(feature = "azure", feature = "bedrock", feature = "fetch-images", feature = "vertex")))]
impl BuildError {
    pub(crate) fn feature(
        provider: &relay_config::ProviderConfig,
        setting: &'static str,
        feature: &'static str,
    ) -> Self {
        Self::Feature { provider: provider.name.to_string(), setting, feature }
    }
}
