//! Obtains Google's access tokens, from each supported kind of credentials.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use relay_config::GoogleCredentials;
use relay_transport::{Minted, TokenAnswer, TokenClient, TokenError, TokenSource, form, read_file};
use serde_json::json;

use super::credentials::{AuthorizedUser, Credentials, ExternalAccount, ServiceAccount};
use crate::credential_error::CredentialError;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const METADATA_FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: HeaderValue = HeaderValue::from_static("Google");
/// The lifetime that is requested from an endpoint that accepts one. The response states the end of the token by Google's
/// clock. Counting from the request does not depend on that clock.
const IMPERSONATED_LIFETIME: Duration = Duration::from_secs(3600);

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

type Bearer = Minted<HeaderValue>;

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
        let Minted { token: bearer, lifetime } = match &credentials {
            Credentials::Impersonated(impersonated) => {
                let source = self.exchange(path, &impersonated.source, now).await?;
                self.impersonate(&impersonated.url, &impersonated.delegates, source.token).await?
            }
            other => self.exchange(path, other, now).await?,
        };
        Ok(Minted { token: Access { bearer, quota_project, project, universe_domain: None }, lifetime })
    }

    async fn exchange(
        &self,
        path: &Path,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Bearer, CredentialError> {
        match credentials {
            Credentials::ServiceAccount(account) => self.service_account(path, account, now).await,
            Credentials::AuthorizedUser(user) => self.authorized_user(user).await,
            Credentials::ExternalAccount(account) => self.external_account(path, account).await,
            // The parser allows no impersonation within another.
            Credentials::Impersonated(_) => Err(CredentialError::Unknown),
        }
    }

    async fn service_account(
        &self,
        path: &Path,
        account: &ServiceAccount,
        now: SystemTime,
    ) -> Result<Bearer, CredentialError> {
        if account.is_of_another_universe() {
            let (token, lifetime) = account.self_signed(path, SCOPE, now)?;
            let bearer = HeaderValue::try_from(format!("Bearer {token}"));
            let mut bearer = bearer.map_err(|_| CredentialError::Key { path: path.to_owned() })?;
            bearer.set_sensitive(true);
            return Ok(Minted { token: bearer, lifetime });
        }
        let assertion = account.assertion(path, SCOPE, now)?;
        let fields = [("grant_type", JWT_BEARER), ("assertion", &assertion)];
        minted(&self.client.post_form(&account.token_uri, &fields, &[&assertion]).await?)
    }

    async fn authorized_user(&self, user: &AuthorizedUser) -> Result<Bearer, CredentialError> {
        let (secret, refresh) = (user.client_secret.expose(), user.refresh_token.expose());
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &*user.client_id),
            ("client_secret", secret),
            ("refresh_token", refresh),
        ];
        minted(&self.client.post_form(&user.token_uri, &fields, &[secret, refresh]).await?)
    }

    async fn external_account(
        &self,
        path: &Path,
        account: &ExternalAccount,
    ) -> Result<Bearer, CredentialError> {
        let subject = self.subject_token(path, account).await?;
        let options =
            account.workforce_pool_user_project.as_ref().map(|project| json!({ "userProject": project }));
        let options = options.map(|options| options.to_string());
        let mut fields = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("requested_token_type", ACCESS_TOKEN),
            ("audience", &*account.audience),
            ("scope", SCOPE),
            ("subject_token", &*subject),
            ("subject_token_type", &*account.subject_token_type),
        ];
        fields.extend(options.as_deref().map(|options| ("options", options)));
        let exchanged = minted(&self.client.post_form(&account.token_url, &fields, &[&subject]).await?)?;
        match &account.service_account_impersonation_url {
            Some(url) => self.impersonate(url, &[], exchanged.token).await,
            None => Ok(exchanged),
        }
    }

    async fn subject_token(&self, path: &Path, account: &ExternalAccount) -> Result<String, CredentialError> {
        let source = &account.credential_source;
        if let Some(found) = source.unsupported() {
            return Err(CredentialError::Source { path: path.to_owned(), found });
        }
        if let Some(file) = &source.file {
            return source.token_in(&read_file(file).await?, &file.display().to_string());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &source.headers {
            let header = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
            let (name, value) = header.ok_or_else(|| CredentialError::Subject { origin: name.clone() })?;
            headers.insert(name, value);
        }
        let answer = self.client.get(source.url.as_deref().unwrap_or_default(), headers).await?;
        source.token_in(&answer.body, answer.endpoint())
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
        let answer = self.client.post_json(url, bearer, &body).await?;
        Ok(Minted { token: answer.bearer("accessToken")?, lifetime: IMPERSONATED_LIFETIME })
    }

    async fn machine(&self, host: &str) -> Result<Minted<Access>, CredentialError> {
        let account = "instance/service-accounts/default/token";
        let answer = self.metadata(host, &format!("{account}?{}", form(&[("scopes", SCOPE)]))).await?;
        let Minted { token: bearer, lifetime } = minted(&answer)?;
        let project = match self.needs_project {
            true => {
                let answer = self.metadata(host, "project/project-id").await?;
                let text = str::from_utf8(&answer.body).unwrap_or_default().trim();
                Some(text).filter(|project| !project.is_empty()).map(Arc::from)
            }
            false => None,
        };
        let universe_domain = if self.needs_universe { self.machine_universe(host).await? } else { None };
        Ok(Minted { token: Access { bearer, quota_project: None, project, universe_domain }, lifetime })
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

fn minted(answer: &TokenAnswer) -> Result<Bearer, CredentialError> {
    Ok(Minted { token: answer.bearer("access_token")?, lifetime: answer.seconds("expires_in")? })
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
