//! Loads credentials and the region with the AWS SDK's provider chains, over the connections of the relay.

use std::fmt;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region as SdkRegion};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use relay_messages::ErrorChain;
use relay_transport::AwsHttpClient;
use tower::BoxError;

use super::credentials::Source;
use super::endpoint::Region;

/// The default chain (environment, files, SSO, web identity, container, instance metadata). If a profile is configured,
/// only that profile of the shared files.
///
/// Each load reads the environment and the files again, since files change and loads are rare.
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

    /// Returns the region of the environment, the profile or the instance metadata.
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
        loaded.map_err(|error| with_advice(error, self.profile.as_deref()))
    }
}

/// An error of the provider chain, with the command that resolves it.
#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
struct Advised {
    advice: String,
    #[source]
    source: CredentialsError,
}

/// Adds the command that renews a session, if `error` is about one.
fn with_advice(error: CredentialsError, profile: Option<&str>) -> BoxError {
    let text = ErrorChain(&error).to_string();
    let option = match profile {
        Some(profile) => format!(" --profile {profile}"),
        None => " (with --profile for the profile of AWS_PROFILE)".to_owned(),
    };
    let is_about = |texts: &[&str]| texts.iter().any(|part| text.to_ascii_lowercase().contains(part));
    let advice = if is_about(&["credentials-login", "login_session"]) {
        let export = format!(
            "aws configure export-credentials{} --format process",
            profile.map_or_else(String::new, |_| option)
        );
        format!("sessions of `aws login` are not supported; use a profile with credential_process = {export}")
    } else if is_about(&["sso token", "sso session", "ssotoken", "cached sso"]) {
        format!("the SSO session has expired or was never started; run `aws sso login{option}`")
    } else {
        return error.into();
    };
    Advised { advice, source: error }.into()
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("profile", &self.profile).field("region", &self.region).finish()
    }
}
