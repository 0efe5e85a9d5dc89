//! Obtains Google's access tokens, from each supported kind of credentials.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use relay_config::GoogleCredentials;
use relay_transport::{Minted, TokenAnswer, TokenClient, TokenError, TokenSource, bearer, form, read_file};
use serde_json::json;

use super::bearer::{Bearer, IMPERSONATED_LIFETIME, SCOPE};
use super::credentials::Credentials;
use super::oauth;
use crate::credential_error::CredentialError;

const METADATA_FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: HeaderValue = HeaderValue::from_static("Google");

/// A source of the access tokens of one credential.
#[derive(Debug)]
pub(super) struct Google {
    credentials: GoogleCredentials,
    /// `true` if the configuration names no project.
    needs_project: bool,
    /// `true` if the configuration knows no universe domain, so that the metadata server's is requested.
    needs_universe: bool,
    client: TokenClient,
}

/// The access token of a request, and the projects that belong to its credentials.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// The value of `authorization`: `Bearer TOKEN`.
    pub(super) bearer: HeaderValue,
    /// The value of `x-goog-user-project`: the project whose quota the requests count against.
    pub(super) quota_project: Option<HeaderValue>,
    /// The project that the credentials name.
    pub(super) project: Option<Arc<str>>,
    /// The domain of Google's endpoints that the metadata server reports.
    pub(super) universe_domain: Option<Arc<str>>,
}

impl Google {
    pub(super) fn new(credentials: GoogleCredentials, needs_project: bool, client: TokenClient) -> Self {
        Self { credentials, needs_project, needs_universe: false, client }
    }

    /// Requests the universe domain from the metadata server, too.
    pub(super) fn with_universe(self, needs_universe: bool) -> Self {
        Self { needs_universe, ..self }
    }

    async fn file(&self, path: &Path, now: SystemTime) -> Result<Minted<Access>, CredentialError> {
        let content = read_file(path).await?;
        let credentials = Credentials::parse(path, &content)?;
        let quota_project = Credentials::quota_project(&content);
        let quota_project = quota_project.and_then(|project| HeaderValue::from_str(&project).ok());
        let project = credentials.project();
        let minted = self.token(path, &credentials, now).await.map_err(|error| error.of_file(path))?;
        let Minted { token: bearer, lifetime, .. } = minted;
        Ok(Minted::new(Access { bearer, quota_project, project, universe_domain: None }, lifetime))
    }

    async fn token(
        &self,
        path: &Path,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Bearer, CredentialError> {
        match credentials {
            Credentials::Impersonated(impersonated) => {
                let source = self.exchange(path, &impersonated.source, now).await?;
                self.impersonate(&impersonated.url, &impersonated.delegates, source.token).await
            }
            other => self.exchange(path, other, now).await,
        }
    }

    async fn exchange(
        &self,
        path: &Path,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Bearer, CredentialError> {
        match credentials {
            Credentials::ServiceAccount(account) if account.is_of_another_universe() => {
                let failed = || CredentialError::Key { path: path.to_owned() };
                let (token, lifetime) = account.self_signed(SCOPE, now).ok_or_else(failed)?;
                Ok(Minted::new(bearer(&token).ok_or_else(failed)?, lifetime))
            }
            Credentials::ServiceAccount(account) => oauth::service_account(&self.client, path, account).await,
            Credentials::AuthorizedUser(user) => oauth::authorized_user(&self.client, path, user).await,
            Credentials::ExternalAccount(account) => {
                oauth::external_account(&self.client, path, account).await
            }
            // The parser allows no impersonation within another.
            Credentials::Impersonated(_) => Err(CredentialError::Unknown),
        }
    }

    /// Obtains a token of a service account for `bearer`, a credential that may impersonate it.
    async fn impersonate(
        &self,
        url: &str,
        delegates: &[String],
        bearer: HeaderValue,
    ) -> Result<Bearer, CredentialError> {
        let lifetime = format!("{}s", IMPERSONATED_LIFETIME.as_secs());
        let body = json!({ "scope": [SCOPE], "delegates": delegates, "lifetime": lifetime });
        let answer = self.client.post_json(url, bearer, body.to_string()).await?;
        Ok(Minted::new(answer.bearer("accessToken")?, IMPERSONATED_LIFETIME))
    }

    async fn machine(&self, host: &str) -> Result<Minted<Access>, CredentialError> {
        let account = "instance/service-accounts/default/token";
        let answer = self.metadata(host, &format!("{account}?{}", form(&[("scopes", SCOPE)]))).await?;
        let (bearer, lifetime) = (answer.bearer("access_token")?, answer.seconds("expires_in")?);
        let project = match self.needs_project {
            true => {
                let answer = self.metadata(host, "project/project-id").await?;
                let text = str::from_utf8(&answer.body).unwrap_or_default().trim();
                Some(text).filter(|project| !project.is_empty()).map(Arc::from)
            }
            false => None,
        };
        let universe_domain = if self.needs_universe { self.machine_universe(host).await? } else { None };
        Ok(Minted::new(Access { bearer, quota_project: None, project, universe_domain }, lifetime))
    }

    /// Returns the universe domain of the machine, or `None` for Google's own, which a server without this path has.
    ///
    /// # Source
    /// google-auth 2.62, `get_universe_domain` in `compute_engine/_metadata.py`.
    async fn machine_universe(&self, host: &str) -> Result<Option<Arc<str>>, CredentialError> {
        match self.metadata(host, "universe/universe-domain").await {
            Ok(answer) => {
                let text = str::from_utf8(&answer.body).unwrap_or_default().trim();
                Ok(Some(text).filter(|domain| !domain.is_empty()).map(Arc::from))
            }
            Err(CredentialError::Token(TokenError::Refused { status, .. })) if status.is_client_error() => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the value at `path` of the metadata server. Both sides send `metadata-flavor`: the server refuses forged
    /// requests by it, and the relay a server that is not Google's.
    async fn metadata(&self, host: &str, path: &str) -> Result<TokenAnswer, CredentialError> {
        let headers = HeaderMap::from_iter([(METADATA_FLAVOR, GOOGLE)]);
        let answer = self.client.get(&format!("http://{host}/computeMetadata/v1/{path}"), headers).await?;
        match answer.headers.get(METADATA_FLAVOR) == Some(&GOOGLE) {
            true => Ok(answer),
            false => Err(CredentialError::NotMetadata { endpoint: answer.endpoint().to_owned() }),
        }
    }
}

impl TokenSource for Google {
    type Token = Access;
    type Error = CredentialError;

    async fn mint(&self, now: SystemTime) -> Result<Minted<Access>, CredentialError> {
        match &self.credentials {
            GoogleCredentials::File(path) => self.file(path, now).await,
            GoogleCredentials::MetadataServer { host } => self.machine(host).await,
            _ => Err(CredentialError::Unknown),
        }
    }
}
