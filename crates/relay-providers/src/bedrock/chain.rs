//! Loads credentials and the region with the AWS SDK's provider chains, over the connections of the relay.

use std::fmt;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region as SdkRegion};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use relay_config::CorrectedAwsFiles;
use relay_messages::ErrorChain;
use relay_transport::AwsHttpClient;
use tower::BoxError;

use super::credentials::Source;
use super::endpoint::Region;

/// The default chain (environment, files, SSO, web identity, container, instance metadata). If a profile is configured,
/// only that profile of the shared files.
///
/// Each load reads the environment and the files again, since files change and loads are rare. Blanks, quotes and similar
/// slips around the secrets of the files are removed first, since the SDK would use them.
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
        if let Some(files) = corrected_files() {
            loader = loader.profile_files(in_memory(&files));
        }
        Some(loader.load().await.region()?.to_string())
    }
}

impl Chain {
    fn settings(&self) -> ProviderConfig {
        ProviderConfig::without_region().with_http_client(self.http.clone())
    }

    fn sdk_region(&self) -> Option<SdkRegion> {
        self.region.as_ref().map(|region| SdkRegion::new(region.as_str().to_owned()))
    }

    /// Returns the source of the credentials of a profile: the configured one, or the one that the environment selects.
    /// If `files` is not `None`, it is read in place of the shared files.
    async fn profile(&self, files: Option<&CorrectedAwsFiles>) -> ProfileFileCredentialsProvider {
        let settings = match self.sdk_region() {
            Some(region) => self.settings().with_region(Some(region)),
            None => self.settings().load_default_region().await,
        };
        let mut source = ProfileFileCredentialsProvider::builder().configure(&settings);
        if let Some(profile) = &self.profile {
            source = source.profile_name(profile);
        }
        if let Some(files) = files {
            source = source.profile_files(in_memory(files));
        }
        source.build()
    }

    async fn default_chain(&self) -> DefaultCredentialsChain {
        let mut chain = DefaultCredentialsChain::builder().configure(self.settings());
        if let Some(region) = self.sdk_region() {
            chain.set_region(Some(region));
        }
        chain.build().await
    }
}

impl Source for Chain {
    async fn load(&self) -> Result<Credentials, BoxError> {
        let files = corrected_files();
        let loaded = match (&self.profile, files) {
            (Some(_), files) => self.profile(files.as_ref()).await.provide_credentials().await,
            (None, None) => self.default_chain().await.provide_credentials().await,
            (None, Some(files)) => {
                CredentialsProviderChain::first_try(
                    "Environment",
                    EnvironmentVariableCredentialsProvider::new(),
                )
                .or_else("Profile", self.profile(Some(&files)).await)
                .or_else("DefaultChain", self.default_chain().await)
                .provide_credentials()
                .await
            }
        };
        loaded.map_err(|error| with_advice(error, self.profile.as_deref()))
    }
}

fn corrected_files() -> Option<CorrectedAwsFiles> {
    CorrectedAwsFiles::read(&|name| std::env::var(name).ok())
}

/// Returns the texts in the form of the SDK.
fn in_memory(files: &CorrectedAwsFiles) -> EnvConfigFiles {
    EnvConfigFiles::builder()
        .with_contents(EnvConfigFileKind::Config, &files.config)
        .with_contents(EnvConfigFileKind::Credentials, &files.credentials)
        .build()
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
    match advice(&text, &option) {
        Some(advice) => Advised { advice, source: error }.into(),
        None => error.into(),
    }
}

/// Returns the sentence that names the command for an error with this text. `option` selects the profile.
fn advice(text: &str, option: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let is_about = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if is_about(&["login token"]) || names_login_cache(&lower) {
        return Some(login_advice(is_about, option));
    }
    is_about(&["sso token", "sso session", "ssotoken", "cached sso"])
        .then(|| format!("the SSO session has expired or was never started; run `aws sso login{option}`"))
}

fn login_advice(is_about: impl Fn(&[&str]) -> bool, option: &str) -> String {
    if is_about(&["insufficient permissions"]) {
        return "the session of `aws login` cannot be renewed; its identity needs the permission signin:CreateOAuth2Token"
            .to_owned();
    }
    let is_over =
        !is_about(&["failed to refresh"]) || is_about(&["reauthenticate", "tokenexpired", "token_expired"]);
    let state = match is_over {
        true => "has expired or was never started;",
        false => "could not be renewed; if it has expired,",
    };
    format!("the session of `aws login` {state} run `aws login{option}`")
}

/// Returns `true` if the text names a file of the cache of `aws login`: the SHA-256 of the session, with `.json`. The
/// files of the SSO cache have a SHA-1.
fn names_login_cache(text: &str) -> bool {
    let stems = text.split(".json").filter_map(|part| part.rsplit(['/', '\\']).next());
    let is_digest = |stem: &str| stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
    stems.into_iter().any(is_digest)
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("profile", &self.profile).field("region", &self.region).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_a_session_names_its_command() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(advice(text, " --profile p").as_deref(), expected, "{text}");
        }
        let login =
            "the session of `aws login` has expired or was never started; run `aws login --profile p`";
        let digest = "36db1d138ff460920374e4c3d8e01f53f9f73537e89c88d639f68393df0e2726";
        check(&format!("failed to read `/tmp/cache/{digest}.json`: No such file"), Some(login));
        check(&format!("failed to read `C:\\cache\\{digest}.json`: No such file"), Some(login));
        check("missing field `refreshToken` in cached Login token file", Some(login));
        check(
            "failed to refresh cached Login token: Your session has expired. Please reauthenticate.",
            Some(login),
        );
        check(
            "failed to refresh cached Login token: dispatch failure",
            Some(
                "the session of `aws login` could not be renewed; if it has expired, run `aws login --profile p`",
            ),
        );
        check(
            "failed to refresh cached Login token: Unable to refresh credentials due to insufficient permissions.",
            Some(
                "the session of `aws login` cannot be renewed; its identity needs the permission \
                 signin:CreateOAuth2Token",
            ),
        );
        check(
            "the SSO session token is missing",
            Some("the SSO session has expired or was never started; run `aws sso login --profile p`"),
        );
        check("failed to read `/tmp/token.json`: No such file", None);
        check("the profile has no credentials", None);
    }
}
