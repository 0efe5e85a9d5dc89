//! Authorizes requests to Bedrock: adds the host of the region, and a signature or a bearer token.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use http::{HeaderMap, Request};
use relay_config::{AwsCredentials, BedrockApi, BedrockConfig, aws_service};
use relay_messages::Payload;
use relay_transport::{AwsHttpClient, Transport};
use tokio::sync::OnceCell;

use super::chain::Chain;
use super::clock::Clock;
use super::credentials::{AwsCache, AwsSource};
use super::digest::digest;
use super::endpoint::{self, Region, RegionError};
use super::sign::Signer;
use super::source;
use crate::anthropic_format::{self, ApiKey};
use crate::provider::{AuthorizeError, CredentialFacts};

/// The service of the region's own endpoint.
const SERVICE: &str = "bedrock";

/// The region and the credentials of one provider. The first request finds those that are not configured.
#[derive(Debug)]
pub(super) struct Access {
    configured: Option<Region>,
    found: OnceCell<Region>,
    chain: Chain,
    credential: Credential,
    /// The service in the scope of signatures.
    service: &'static str,
    clock: Clock,
}

#[derive(Debug)]
enum Credential {
    /// A Bedrock API key. Nothing is signed.
    Bearer(ApiKey),
    /// The keys of the configuration.
    Keys(Credentials),
    /// The credentials of the AWS SDK's provider chain, or of a configured profile.
    Loaded(AwsCache<Chain>),
}

/// An error of the search for the AWS region.
#[derive(Debug, thiserror::Error)]
enum NoRegion {
    #[error("no AWS region is known: set aws_region, AWS_REGION, or a region in the AWS profile")]
    NotFound,
    #[error(transparent)]
    Malformed(#[from] RegionError),
}

impl Access {
    pub(super) fn new(config: &BedrockConfig, transport: Transport) -> Result<Self, AuthorizeError> {
        let configured = config.region.as_deref().map(Region::new).transpose().map_err(no_region)?;
        let profile = match &config.credentials {
            AwsCredentials::Profile(profile) => Some(profile.clone()),
            _ => None,
        };
        let chain = Chain::new(profile, configured.clone(), AwsHttpClient::new(transport));
        let credential = match &config.credentials {
            AwsCredentials::BearerToken(token) => Credential::Bearer(ApiKey::bearer(token)?),
            AwsCredentials::Keys { access_key_id, secret_access_key, session_token, .. } => {
                Credential::Keys(Credentials::new(
                    access_key_id.expose(),
                    secret_access_key.expose(),
                    session_token.as_ref().map(|token| token.expose().to_owned()),
                    None,
                    "configuration",
                ))
            }
            _ => Credential::Loaded(AwsCache::new(AwsSource(chain.clone()))),
        };
        let service = config.base_url.as_ref().map_or(SERVICE, aws_service);
        Ok(Self { configured, found: OnceCell::new(), chain, credential, service, clock: Clock::default() })
    }

    pub(super) fn configured_region(&self) -> Option<&Region> {
        self.configured.as_ref()
    }

    /// Adds a credential that is valid at `now`. If `request` has only a path, adds the host of the region.
    pub(super) async fn authorize(
        &self,
        mut request: Request<Payload>,
        api: BedrockApi,
        now: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        if request.uri().authority().is_none() {
            let base_url = endpoint::known_base_url(None, Some(self.region().await?), api);
            let base_url = base_url.ok_or_else(|| no_region(NoRegion::NotFound))?;
            let uri = anthropic_format::uri(&base_url, request.uri().path(), None);
            *request.uri_mut() = uri.map_err(|error| AuthorizeError::Sign(error.into()))?;
        }
        let loaded;
        let credentials = match &self.credential {
            Credential::Bearer(key) => {
                key.write_to(request.headers_mut());
                return Ok(request);
            }
            Credential::Keys(credentials) => credentials,
            Credential::Loaded(cache) => {
                loaded = cache.get(now).await.map_err(|error| AuthorizeError::Token(error.into()))?;
                &loaded
            }
        };
        let region = self.region().await?.as_str();
        let digest = digest(request.body()).await;
        let signer = Signer { credentials, region, service: self.service, now: self.clock.at(now) };
        signer.sign(&mut request, digest)?;
        Ok(request)
    }

    /// Describes the credential, and loads it if it is not loaded.
    pub(super) async fn credential(&self, now: SystemTime) -> Result<CredentialFacts, AuthorizeError> {
        match &self.credential {
            Credential::Bearer(_) | Credential::Keys(_) => Ok(CredentialFacts::default()),
            Credential::Loaded(cache) => {
                let loaded = cache.get(now).await.map_err(|error| AuthorizeError::Token(error.into()))?;
                Ok(CredentialFacts::of(source::of(&loaded)).with_ends_at(loaded.expiry()))
            }
        }
    }

    /// Replaces a credential that was refused. Returns `true` if there is another one now.
    pub(super) async fn renew(&self) -> bool {
        match &self.credential {
            Credential::Loaded(cache) => cache.renew().await,
            Credential::Bearer(_) | Credential::Keys(_) => false,
        }
    }

    /// Corrects the clock by the `date` of a response that refused the time of a signature and arrived at `now`.
    /// Returns `true` if a new signature may be accepted.
    pub(super) fn correct_clock(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        !matches!(self.credential, Credential::Bearer(_)) && self.clock.correct(headers, now)
    }

    /// Returns the configured region, or else that of the AWS SDK's provider chain. One request at a time searches for
    /// it, and the result is kept.
    async fn region(&self) -> Result<&Region, AuthorizeError> {
        if let Some(region) = &self.configured {
            return Ok(region);
        }
        let find = || async {
            // Boxed, since its 11 KiB would be part of every attempt, and the search takes place once.
            let name = Box::pin(self.chain.region()).await.ok_or(NoRegion::NotFound)?;
            Ok(Region::new(&name)?)
        };
        self.found.get_or_try_init(find).await.map_err(|error: NoRegion| no_region(error))
    }
}

fn no_region(error: impl Into<NoRegion>) -> AuthorizeError {
    AuthorizeError::Token(error.into().into())
}
