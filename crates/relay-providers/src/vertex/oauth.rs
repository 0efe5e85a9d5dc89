//! Google's OAuth flows, by yup-oauth2: service account, authorized user, and workload identity.
//!
//! The library writes and signs the requests. They end in [`Exchange::answer`], which sends them over the provider's
//! [`TokenClient`] to the endpoints of the credentials file. The library sees successful responses only, reduced to a token
//! that a header can carry and a bounded lifetime:
//!
//! - It does not read the status of a response. A failure becomes an error of the relay, which names the endpoint.
//! - It panics on a URL or a header that `http` refuses, and on a lifetime that its clock cannot represent.
//!
//! It logs requests and responses with their secrets, at level `debug`. The program's log therefore has its target,
//! `yup_oauth2`, at `warn` at most.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use relay_transport::{Minted, TokenClient, bearer, form, read_file};
use serde_json::json;
use yup_oauth2::authenticator::Authenticator;
use yup_oauth2::authorized_user::AuthorizedUserSecret;
use yup_oauth2::external_account::{CredentialSource, ExternalAccountSecret, UrlCredentialSourceFormat};
use yup_oauth2::{
    AuthorizedUserAuthenticator, CustomHyperClientBuilder, ExternalAccountAuthenticator,
    ServiceAccountAuthenticator, ServiceAccountKey,
};

use super::bearer::{Bearer, IMPERSONATED_LIFETIME, SCOPE};
use super::connector::{self, Connections, Connector};
use super::credentials::{AuthorizedUser, ExternalAccount, ServiceAccount, TOKEN_URI};
use crate::credential_error::CredentialError;

/// The longest lifetime that the library gets to see. The cache of tokens has the same limit.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Obtains a token of a service account.
pub(super) async fn service_account(
    client: &TokenClient,
    path: &Path,
    account: &ServiceAccount,
) -> Result<Bearer, CredentialError> {
    let key = ServiceAccountKey {
        key_type: None,
        project_id: None,
        private_key_id: None,
        private_key: account.private_key.expose().to_owned(),
        client_email: account.client_email.clone(),
        client_id: None,
        auth_uri: None,
        // It becomes the audience of the assertion, which is Google's own URL even if the file has a private endpoint, as
        // in google-auth.
        token_uri: TOKEN_URI.to_owned(),
        auth_provider_x509_cert_url: None,
        client_x509_cert_url: None,
    };
    let (http, connections) = connector::pair();
    let flow = ServiceAccountAuthenticator::with_client(key, CustomHyperClientBuilder::from(http)).build();
    let flow = flow.await.map_err(|_| CredentialError::Key { path: path.to_owned() })?;
    Exchange { client, path, token_url: &account.token_uri, external: None }.mint(flow, connections).await
}

/// Obtains a token of a user.
pub(super) async fn authorized_user(
    client: &TokenClient,
    path: &Path,
    user: &AuthorizedUser,
) -> Result<Bearer, CredentialError> {
    let secret = AuthorizedUserSecret {
        client_id: user.client_id.clone(),
        client_secret: user.client_secret.expose().to_owned(),
        refresh_token: user.refresh_token.expose().to_owned(),
        key_type: String::new(),
    };
    let (http, connections) = connector::pair();
    let flow = AuthorizedUserAuthenticator::with_client(secret, CustomHyperClientBuilder::from(http)).build();
    let flow = flow.await.map_err(|_| CredentialError::Flow { path: path.to_owned() })?;
    Exchange { client, path, token_url: &user.token_uri, external: None }.mint(flow, connections).await
}

/// Obtains a token for the token of another identity provider, and with it that of a service account if the file names one.
pub(super) async fn external_account(
    client: &TokenClient,
    path: &Path,
    account: &ExternalAccount,
) -> Result<Bearer, CredentialError> {
    let url = || TOKEN_URI.to_owned();
    let secret = ExternalAccountSecret {
        audience: account.audience.clone(),
        subject_token_type: account.subject_token_type.clone(),
        service_account_impersonation_url: account.service_account_impersonation_url.as_ref().map(|_| url()),
        token_url: url(),
        // The library reads a file whole and as it is, and needs a URL's format. The relay reads either source itself.
        credential_source: CredentialSource::Url {
            url: url(),
            headers: None,
            format: UrlCredentialSourceFormat::Text,
        },
        key_type: String::new(),
    };
    let (http, connections) = connector::pair();
    let flow =
        ExternalAccountAuthenticator::with_client(secret, CustomHyperClientBuilder::from(http)).build();
    let flow = flow.await.map_err(|_| CredentialError::Flow { path: path.to_owned() })?;
    let exchange = Exchange { client, path, token_url: &account.token_url, external: Some(account) };
    exchange.mint(flow, connections).await
}

/// The requests for one token, and the endpoints that they are sent to.
struct Exchange<'a> {
    client: &'a TokenClient,
    path: &'a Path,
    token_url: &'a str,
    external: Option<&'a ExternalAccount>,
}

impl Exchange<'_> {
    /// Runs `flow`, whose requests arrive on `connections`.
    async fn mint(
        &self,
        flow: Authenticator<Connector>,
        connections: Connections,
    ) -> Result<Bearer, CredentialError> {
        let failed = || CredentialError::Flow { path: self.path.to_owned() };
        let token = tokio::select! {
            biased;
            error = connections.serve(|request| self.answer(request)) => return Err(error),
            token = flow.force_refreshed_token(&[SCOPE]) => token.map_err(|_| failed())?,
        };
        let lifetime = match token.expiration_time() {
            Some(end) => SystemTime::from(end).duration_since(SystemTime::now()).unwrap_or_default(),
            None => IMPERSONATED_LIFETIME,
        };
        let token = token.token().and_then(bearer).ok_or_else(failed)?;
        Ok(Minted::new(token, lifetime))
    }

    /// Sends a request of the library to its endpoint, and returns the body that the library gets to see.
    async fn answer(&self, request: Request<Bytes>) -> Result<Bytes, CredentialError> {
        match self.external {
            Some(account) if request.method() == Method::GET => self.subject(account).await,
            Some(account) if request.headers().contains_key(AUTHORIZATION) => {
                let url = account.service_account_impersonation_url.as_deref();
                self.impersonation(url.unwrap_or_default(), request).await
            }
            account => self.exchange(account, request).await,
        }
    }

    async fn exchange(
        &self,
        account: Option<&ExternalAccount>,
        request: Request<Bytes>,
    ) -> Result<Bytes, CredentialError> {
        let project = account.and_then(|account| account.workforce_pool_user_project.as_deref());
        let request = match project {
            Some(project) => with_user_project(request, project),
            None => request,
        };
        let answer = self.client.forward(self.token_url, request).await?;
        answer.bearer("access_token")?;
        let lifetime = answer.seconds("expires_in")?.min(LONGEST);
        let token = answer.text("access_token")?;
        Ok(json!({ "access_token": token, "expires_in": lifetime.as_secs() }).to_string().into())
    }

    async fn impersonation(&self, url: &str, request: Request<Bytes>) -> Result<Bytes, CredentialError> {
        let answer = self.client.forward(url, request).await?;
        answer.bearer("accessToken")?;
        // Google's clock is not used: the token lives as long as it was requested for.
        Ok(json!({ "accessToken": answer.text("accessToken")?, "expireTime": "" }).to_string().into())
    }

    async fn subject(&self, account: &ExternalAccount) -> Result<Bytes, CredentialError> {
        let source = &account.credential_source;
        if let Some(found) = source.unsupported() {
            return Err(CredentialError::Source { path: self.path.to_owned(), found });
        }
        let token = match &source.file {
            Some(file) => source.token_in(&read_file(file).await?, &file.display().to_string())?,
            None => {
                let headers = source.headers(self.path)?;
                let answer = self.client.get(source.url.as_deref().unwrap_or_default(), headers).await?;
                source.token_in(&answer.body, answer.endpoint())?
            }
        };
        Ok(token.into())
    }
}

/// Adds the project that a user of a workforce pool works for, which the library has no field for.
fn with_user_project(request: Request<Bytes>, project: &str) -> Request<Bytes> {
    let options = json!({ "userProject": project }).to_string();
    let options = form(&[("options", &options)]);
    request.map(|body| [&body, &b"&"[..], options.as_bytes()].concat().into())
}
