//! The secrets of a configuration, for code that keeps them out of logs.

use super::{AwsCredentials, AzureAuth, Config, EntraConfig, ProviderConfig, ProviderKind};
use crate::secret::Secret;

impl Config {
    /// Returns every secret of the configuration: keys of clients and of providers, the token of the admin
    /// listener, credentials of the clouds, and fixed headers.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let auth = &self.server.auth;
        let clients = auth.keys.iter().map(|client| &client.key).chain(&auth.bearer_secret);
        clients.chain(&self.admin.token).chain(self.providers.iter().flat_map(of_provider)).cloned().collect()
    }
}

fn of_provider(provider: &ProviderConfig) -> Vec<&Secret> {
    let keys = provider.keys.iter().filter_map(|key| key.key.as_ref());
    let headers = provider.headers.fixed.iter().map(|(_, value)| value);
    keys.chain(headers).chain(of_kind(&provider.kind)).collect()
}

fn of_kind(kind: &ProviderKind) -> Vec<&Secret> {
    match kind {
        ProviderKind::Bedrock(config) => match &config.credentials {
            AwsCredentials::Keys { access_key_id, secret_access_key, session_token } => {
                [Some(access_key_id), Some(secret_access_key), session_token.as_ref()]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            AwsCredentials::BearerToken(token) => vec![token],
            _ => Vec::new(),
        },
        ProviderKind::Azure(config) => match &config.auth {
            AzureAuth::EntraId(EntraConfig::ClientSecret { client_secret, .. }) => vec![client_secret],
            AzureAuth::EntraId(EntraConfig::ManagedIdentity { identity_header, .. }) => {
                identity_header.iter().collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
