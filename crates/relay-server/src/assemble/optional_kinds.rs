//! The candidates of the kinds that are features of the crate. Without its feature, a kind is an error.

use relay_config::{AzureConfig, BedrockConfig, VertexConfig};
use relay_routing::Candidate;

use super::candidates::ProviderStack;
use crate::build_error::BuildError;

#[cfg(feature = "azure")]
impl ProviderStack<'_> {
    pub(super) fn azure(&self, config: &AzureConfig) -> Result<Vec<Candidate>, BuildError> {
        use relay_providers::Azure;

        match &config.auth {
            relay_config::AzureAuth::EntraId(entra) => {
                Ok(self.authorizing(Azure::with_entra_id(config, entra, self.transport.clone())))
            }
            _ => self.keyed(|key| Azure::with_api_key(config, key)),
        }
    }
}

#[cfg(not(feature = "azure"))]
impl ProviderStack<'_> {
    pub(super) fn azure(&self, _: &AzureConfig) -> Result<Vec<Candidate>, BuildError> {
        Err(BuildError::feature(self.provider, "type: azure", "azure"))
    }
}

#[cfg(feature = "bedrock")]
impl ProviderStack<'_> {
    pub(super) fn bedrock(&self, config: &BedrockConfig) -> Result<Vec<Candidate>, BuildError> {
        let provider = relay_providers::Bedrock::new(config, self.transport.clone());
        Ok(self.authorizing(provider.map_err(|source| self.bad_key(source))?))
    }
}

#[cfg(not(feature = "bedrock"))]
impl ProviderStack<'_> {
    pub(super) fn bedrock(&self, _: &BedrockConfig) -> Result<Vec<Candidate>, BuildError> {
        Err(BuildError::feature(self.provider, "type: bedrock", "bedrock"))
    }
}

#[cfg(feature = "vertex")]
impl ProviderStack<'_> {
    pub(super) fn vertex(&self, config: &VertexConfig) -> Result<Vec<Candidate>, BuildError> {
        let provider = relay_providers::Vertex::new(config, self.transport.clone());
        let provider = provider
            .map_err(|source| BuildError::Address { provider: self.provider.name.to_string(), source })?;
        Ok(self.authorizing(provider))
    }
}

#[cfg(not(feature = "vertex"))]
impl ProviderStack<'_> {
    pub(super) fn vertex(&self, _: &VertexConfig) -> Result<Vec<Candidate>, BuildError> {
        Err(BuildError::feature(self.provider, "type: vertex", "vertex"))
    }
}
