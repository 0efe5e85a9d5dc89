//! Calls Google Vertex AI: the model is in the path, the API version in the body, and the credentials are Google's.
//!
//! Answers are in Anthropic's form. The exceptions are Google's errors, and one event that Google adds to streams.

mod adapt;
mod bearer;
mod connector;
mod credentials;
mod errors;
mod google;
mod oauth;

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Request, StatusCode, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use relay_config::{BaseUrl, BaseUrlError, GoogleCredentials, VertexConfig};
use relay_messages::{Payload, headers};
use relay_transport::{CredentialCache, TokenClient, Transport};

use crate::anthropic_format;
use crate::credential_error::CredentialError;
use crate::failure::{Judgement, UpstreamError};
use crate::provider::{AuthorizeError, CredentialFacts, FreeRequest, PrepareError, Provider};
use crate::request::{Attempt, Endpoint};
use google::Google;

const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");
/// The domain of the endpoints of Google's own universe.
const UNIVERSE: &str = "googleapis.com";
/// The number of characters of a faulty universe domain that an error repeats.
const FOUND_MAX: usize = 100;
/// The placeholder of the project in a path until the credentials name it.
const ANY_PROJECT: &str = "-";
/// The characters that are percent-encoded in a segment of a path. `@` stays, as in Anthropic's SDKs.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b';')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Google Vertex AI with one credential.
#[derive(Debug, Clone)]
pub struct Vertex {
    /// The configured URL, or that of the region.
    base_url: BaseUrl,
    /// The URL at the endpoints of the universe that the metadata server has reported, once it is known.
    of_universe: Arc<OnceLock<BaseUrl>>,
    project: Option<String>,
    region: String,
    tokens: CredentialCache<Google>,
    /// The source of the credentials in words.
    source: Arc<str>,
    /// The project of the environment for `x-goog-user-project`. It takes precedence over that of the credentials.
    quota_project: Option<HeaderValue>,
}

impl Vertex {
    /// Creates the provider of `config`. Credentials are read, and a token is requested over `transport`, when the first
    /// request needs it.
    ///
    /// # Errors
    /// [`BaseUrlError`] if the region does not make a host name.
    pub fn new(config: &VertexConfig, transport: Transport) -> Result<Self, BaseUrlError> {
        let base_url = match &config.base_url {
            Some(base_url) => base_url.clone(),
            None => {
                BaseUrl::parse(&host(&config.region, config.universe_domain.as_deref().unwrap_or(UNIVERSE)))?
            }
        };
        let needs_universe = config.base_url.is_none() && config.universe_domain.is_none();
        let source =
            Google::new(config.credentials.clone(), config.project.is_none(), TokenClient::new(transport))
                .with_universe(needs_universe);
        let (project, region) = (config.project.clone(), config.region.clone());
        // The configuration accepts no project that a header cannot carry.
        let quota_project = config.quota_project.as_deref().and_then(|own| HeaderValue::from_str(own).ok());
        let (of_universe, tokens) = (Arc::default(), CredentialCache::new(source));
        let source = described(&config.credentials).into();
        Ok(Self { base_url, of_universe, project, region, tokens, source, quota_project })
    }

    /// Returns the start of every path, up to the segment of the project.
    fn path(&self, project: &str) -> String {
        format!("/v1/projects/{}", utf8_percent_encode(project, SEGMENT))
    }

    /// Returns `uri` with `project` in place of the placeholder.
    fn with_project(&self, uri: &Uri, project: &str) -> Result<Uri, PrepareError> {
        let unknown = format!("{}{}", self.base_url.path(), self.path(ANY_PROJECT));
        let rest = uri.path().strip_prefix(&unknown).unwrap_or_default();
        anthropic_format::uri(&self.base_url, &format!("{}{rest}", self.path(project)), None)
    }

    /// Returns the URL at the endpoints of `universe`, which the metadata server has reported.
    fn base_url_in(&self, universe: &str) -> Result<&BaseUrl, CredentialError> {
        if let Some(known) = self.of_universe.get() {
            return Ok(known);
        }
        let is_in_host_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let url = BaseUrl::parse(&host(&self.region, universe)).ok();
        let url = url.filter(|_| universe.contains('.') && universe.chars().all(is_in_host_name));
        let url = url
            .ok_or_else(|| CredentialError::Universe { found: universe.chars().take(FOUND_MAX).collect() })?;
        Ok(self.of_universe.get_or_init(|| url))
    }
}

/// Returns the source of the credentials in words.
fn described(credentials: &GoogleCredentials) -> String {
    match credentials {
        GoogleCredentials::File(path) => format!("the credentials file {}", path.display()),
        GoogleCredentials::MetadataServer { host } => format!("the metadata server at {host}"),
        _ => "Google's credentials".to_owned(),
    }
}

/// Returns the base URL of a region at the endpoints of a universe domain.
///
/// # Source
/// Anthropic's SDK for Vertex, `lib/vertex/_client.py`.
fn host(region: &str, universe: &str) -> String {
    match region {
        "global" => format!("https://aiplatform.{universe}"),
        "us" | "eu" => format!("https://aiplatform.{region}.rep.{universe}"),
        region => format!("https://{region}-aiplatform.{universe}"),
    }
}

impl Provider for Vertex {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        let body = attempt.request().body();
        let model = utf8_percent_encode(attempt.model(), SEGMENT).to_string();
        let (model, operation) = match attempt.request().endpoint() {
            Endpoint::CountTokens => ("count-tokens", "rawPredict"),
            Endpoint::Messages if body.is_stream() => (&*model, "streamRawPredict"),
            Endpoint::Messages => (&*model, "rawPredict"),
        };
        let project = self.path(self.project.as_deref().unwrap_or(ANY_PROJECT));
        let region = utf8_percent_encode(&self.region, SEGMENT);
        let path = format!("{project}/locations/{region}/publishers/anthropic/models/{model}:{operation}");
        // The query is dropped: it is Anthropic's (`beta=true`), and Google refuses unknown parameters.
        let uri = anthropic_format::uri(&self.base_url, &path, None)?;
        let mut request = anthropic_format::request(uri, attempt);
        *request.body_mut() = adapt::body(attempt);
        request.headers_mut().remove(adapt::ANTHROPIC_VERSION);
        Ok(request)
    }

    async fn authorize(
        &self,
        mut request: Request<Payload>,
        now: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        let access = self.tokens.get(now).await?;
        if self.project.is_none() {
            let failed = |error| AuthorizeError::Token(Box::new(error));
            let project = access.project.as_deref().ok_or_else(|| failed(CredentialError::NoProject))?;
            let uri = self.with_project(request.uri(), project);
            *request.uri_mut() = uri.map_err(|error| AuthorizeError::Token(error.into()))?;
        }
        if let Some(universe) = &access.universe_domain {
            let base_url =
                self.base_url_in(universe).map_err(|error| AuthorizeError::Token(Box::new(error)))?;
            let uri = anthropic_format::uri(base_url, request.uri().path(), None);
            *request.uri_mut() = uri.map_err(|error| AuthorizeError::Token(error.into()))?;
        }
        headers::remove_oauth_beta(request.headers_mut());
        request.headers_mut().insert(AUTHORIZATION, access.bearer);
        if let Some(project) = self.quota_project.clone().or(access.quota_project) {
            request.headers_mut().insert(USER_PROJECT, project);
        }
        Ok(request)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        self.of_universe.get().or(Some(&self.base_url))
    }

    fn free_request(&self) -> FreeRequest {
        FreeRequest::CountTokens
    }

    async fn credential(&self, now: SystemTime) -> Result<CredentialFacts, AuthorizeError> {
        self.tokens.get(now).await?;
        Ok(CredentialFacts::of(&*self.source).with_ends_at(self.tokens.ends_at()))
    }

    fn judge(&self, error: &UpstreamError, attempt: &Attempt) -> Judgement {
        let renew_credential = error.answered() == StatusCode::UNAUTHORIZED;
        Judgement { renew_credential, ..errors::judge(error, attempt.model(), &self.region) }
    }

    async fn renew_credential(&self, _: &UpstreamError) -> bool {
        self.tokens.forget();
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};
    use relay_config::GoogleCredentials;
    use relay_messages::MessagesBody;

    use super::*;
    use crate::request::RelayRequest;
    use relay_transport::{Proxies, TransportSettings, TrustRoots};

    fn vertex(region: &str, base_url: Option<&str>) -> Vertex {
        let settings = TransportSettings::default();
        let transport = Transport::new(&settings, &TrustRoots::load(), Proxies::none()).unwrap();
        let mut config = VertexConfig::new(GoogleCredentials::File("/nonesuch.json".into()))
            .with_project("my-project")
            .with_region(region)
            .with_universe_domain("googleapis.com");
        config.base_url = base_url.map(|url| BaseUrl::parse(url).unwrap());
        Vertex::new(&config, transport).unwrap()
    }

    fn attempt(endpoint: Endpoint, body: &str) -> Attempt {
        let body = MessagesBody::parse(Bytes::from(body.to_owned())).unwrap();
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01")),
            (HeaderName::from_static("accept"), HeaderValue::from_static("application/json")),
        ]);
        Attempt::new(RelayRequest::new(endpoint, Some("beta=true"), headers, body))
    }

    #[tokio::test]
    async fn a_request_goes_to_the_host_of_its_region_with_the_model_in_the_path() {
        #[track_caller]
        fn check(vertex: &Vertex, endpoint: Endpoint, body: &str, expected: &str) {
            let request = vertex.prepare(&attempt(endpoint, body)).unwrap();
            assert_eq!(request.uri().to_string(), expected);
            assert!(!request.headers().contains_key("anthropic-version"));
            assert_eq!(request.headers()["content-type"], "application/json");
        }
        let models = "/v1/projects/my-project/locations/REGION/publishers/anthropic/models/";
        for (region, host) in [
            ("us-east5", "https://us-east5-aiplatform.googleapis.com"),
            ("global", "https://aiplatform.googleapis.com"),
            ("us", "https://aiplatform.us.rep.googleapis.com"),
            ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ] {
            let models = format!("{host}{}", models.replace("REGION", region));
            let vertex = vertex(region, None);
            let messages = Endpoint::Messages;
            check(&vertex, messages, r#"{"model":"m@20260101"}"#, &format!("{models}m@20260101:rawPredict"));
            check(
                &vertex,
                messages,
                r#"{"model":"a/b;c?d","stream":true}"#,
                &format!("{models}a%2Fb%3Bc%3Fd:streamRawPredict"),
            );
            check(
                &vertex,
                Endpoint::CountTokens,
                r#"{"model":"m"}"#,
                &format!("{models}count-tokens:rawPredict"),
            );
        }
        let proxied = vertex("eu", Some("http://127.0.0.1:1/prefix"));
        let expected = format!("http://127.0.0.1:1/prefix{}m:rawPredict", models.replace("REGION", "eu"));
        check(&proxied, Endpoint::Messages, r#"{"model":"m"}"#, &expected);
    }

    #[test]
    fn hosts_are_those_of_the_universe_domain() {
        for (region, expected) in [
            ("us-east5", "https://us-east5-aiplatform.example.goog"),
            ("global", "https://aiplatform.example.goog"),
            ("eu", "https://aiplatform.eu.rep.example.goog"),
        ] {
            assert_eq!(host(region, "example.goog"), expected);
        }
    }

    #[tokio::test]
    async fn the_project_of_the_credentials_replaces_the_placeholder_in_the_path() {
        let mut vertex = vertex("eu", Some("http://127.0.0.1:1/prefix"));
        vertex.project = None;
        let request = vertex.prepare(&attempt(Endpoint::Messages, r#"{"model":"m"}"#)).unwrap();
        let uri = vertex.with_project(request.uri(), "later").unwrap();
        assert_eq!(
            uri.to_string(),
            "http://127.0.0.1:1/prefix/v1/projects/later/locations/eu/publishers/anthropic/models/m:rawPredict"
        );
    }
}
