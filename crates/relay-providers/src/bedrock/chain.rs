//! The AWS SDK's own ways to credentials and to a region, over the relay's own connections.

use std::fmt;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region as SdkRegion};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use relay_transport::AwsHttpClient;
use tower::BoxError;

use super::credentials::Source;
use super::endpoint::Region;

/// The default chain (environment, files, SSO, web identity, container, instance metadata), or a profile of the shared
/// files alone.
///
/// Everything is read anew for each load: files change, and a load is rare.
#[derive(Clone)]
pub(super) struct Chain {
    profile: Option<String>,
    /// The region of the STS and SSO endpoints. If it is `None`, the chain determines the region.
    region: Option<Region>,
    http: AwsHttpClient,
}

impl Chain {
    pub(super) fn new(profile: Option<String>, region: Option<Region>, http: AwsHttpClient) -> Self {
        Self { profile, region, http }
    }

    /// The region that environment, profile or instance metadata name.
    pub(super) async fn region(&self) -> Option<String> {
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(self.http.clone()).no_credentials();
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        Some(loader.load().await.region()?.to_string())
    }
}

impl Source for Chain {
    async fn load(&self) -> Result<Credentials, BoxError> {
        let region = self.region.as_ref().map(|region| SdkRegion::new(region.as_str().to_owned()));
        let settings = ProviderConfig::without_region().with_http_client(self.http.clone());
        let loaded = match &self.profile {
            Some(profile) => {
                let settings = match region {
                    Some(region) => settings.with_region(Some(region)),
                    None => settings.load_default_region().await,
                };
                ProfileFileCredentialsProvider::builder()
                    .configure(&settings)
                    .profile_name(profile)
                    .build()
                    .provide_credentials()
                    .await
            }
            None => {
                let mut chain = DefaultCredentialsChain::builder().configure(settings);
                if region.is_some() {
                    chain.set_region(region);
                }
                chain.build().await.provide_credentials().await
            }
        };
        loaded.map_err(Into::into)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("profile", &self.profile).field("region", &self.region).finish()
    }
}
