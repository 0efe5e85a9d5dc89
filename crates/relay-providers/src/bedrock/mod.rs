//! Calls Amazon Bedrock: Anthropic's models with AWS's paths, signatures and framing.
//!
//! ```text
//! prepare    model ─▶ path, betas and version ─▶ body          endpoint, body
//! authorize  region ▸ credentials ▸ SigV4, or a bearer token   access: chain, credentials, sign
//! judge      x-amzn-errortype, message                         errors
//! convert    Event Stream ─▶ server-sent events                answer
//! ```
//! `bedrock_api: messages` selects AWS's newer endpoint. It has Anthropic's own format and needs only the signature.

mod access;
mod answer;
mod body;
mod chain;
mod clock;
mod credentials;
mod digest;
mod endpoint;
mod errors;
mod sign;
mod source;

use std::time::SystemTime;

use ::http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use ::http::{Method, Request, Response, Uri};
use relay_config::{BaseUrl, BedrockApi, BedrockConfig, BedrockGuardrail};
use relay_messages::Payload;
use relay_transport::Transport;

use crate::answer::{AnswerBody, AnswerBodyError};
use crate::anthropic_format;
use crate::failure::{Judgement, UpstreamError};
use crate::guardrail::write_bedrock_headers;
use crate::provider::{AuthorizeError, CredentialFacts, FreeRequest, PrepareError, Provider};
use crate::request::{Attempt, Endpoint};
use access::Access;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Amazon Bedrock in one region, with the credentials of one account.
#[derive(Debug)]
pub struct Bedrock {
    api: BedrockApi,
    /// The configured URL, or that of the configured region. `None` if the region has to be found in the environment.
    base_url: Option<BaseUrl>,
    guardrail: Option<BedrockGuardrail>,
    access: Access,
}

impl Bedrock {
    /// Creates the provider of `config`. The first request looks up the credentials, over `transport` if they come from
    /// an endpoint.
    ///
    /// # Errors
    /// [`AuthorizeError`] if the configured region or token cannot be used.
    pub fn new(config: &BedrockConfig, transport: Transport) -> Result<Self, AuthorizeError> {
        let access = Access::new(config, transport)?;
        let base_url =
            endpoint::known_base_url(config.base_url.as_ref(), access.configured_region(), config.api);
        Ok(Self { api: config.api, base_url, guardrail: config.guardrail.clone(), access })
    }

    /// Returns `path` after the base URL, or alone if the region is still unknown.
    fn uri(&self, path: String) -> Result<Uri, PrepareError> {
        match &self.base_url {
            Some(base_url) => anthropic_format::uri(base_url, &path, None),
            None => Uri::try_from(path).map_err(|error| PrepareError::Url(error.into())),
        }
    }

    fn prepare_invoke(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        let (path, payload) = match attempt.request().endpoint() {
            Endpoint::Messages => {
                let operation = match attempt.request().body().is_stream() {
                    true => "invoke-with-response-stream",
                    false => "invoke",
                };
                (endpoint::model_path(attempt.model(), operation), body::for_invoke(attempt))
            }
            Endpoint::CountTokens => {
                let model = endpoint::foundation_model(attempt.model());
                (endpoint::model_path(model, "count-tokens"), body::for_count(attempt))
            }
        };
        let mut request = Request::new(payload);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri(path)?;
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        // Bedrock reads none of the client's headers. These are for the logs and gateways of the account. They are not
        // signed.
        for (name, value) in attempt.request().headers() {
            if name == USER_AGENT || name == "x-app" || name.as_str().starts_with("x-claude-code-") {
                request.headers_mut().append(name, value.clone());
            }
        }
        Ok(request)
    }

    fn prepare_messages(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        // The query is dropped: it has no meaning for Bedrock, and its spelling would have to be signed.
        let client = attempt.request();
        let uri = self.uri(client.endpoint().path().to_owned())?;
        Ok(anthropic_format::request(uri, attempt))
    }
}

impl Provider for Bedrock {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        let mut request = match self.api {
            BedrockApi::Messages => self.prepare_messages(attempt),
            _ => self.prepare_invoke(attempt),
        }?;
        let client = attempt.request();
        // A token count takes none of these headers.
        if client.endpoint() == Endpoint::Messages {
            write_bedrock_headers(self.guardrail.as_ref(), client.headers(), request.headers_mut());
        }
        Ok(request)
    }

    async fn authorize(
        &self,
        request: Request<Payload>,
        now: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        self.access.authorize(request, self.api, now).await
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        self.base_url.as_ref()
    }

    fn free_request(&self) -> FreeRequest {
        FreeRequest::CountTokens
    }

    async fn credential(&self, now: SystemTime) -> Result<CredentialFacts, AuthorizeError> {
        self.access.credential(now).await
    }

    fn judge(&self, error: &UpstreamError, attempt: &Attempt) -> Judgement {
        errors::judge(error, attempt.model())
    }

    async fn renew_credential(&self, refusal: &UpstreamError) -> bool {
        match errors::is_about_time(refusal) {
            true => self.access.correct_clock(refusal.headers(), SystemTime::now()),
            false => self.access.renew().await,
        }
    }

    async fn convert(
        &self,
        endpoint: Endpoint,
        mut response: Response<AnswerBody>,
    ) -> Result<Response<AnswerBody>, AnswerBodyError> {
        answer::name_request_id(response.headers_mut());
        match (self.api, endpoint) {
            (BedrockApi::Messages, _) => Ok(response),
            (_, Endpoint::Messages) => Ok(answer::message(response).await),
            (_, Endpoint::CountTokens) => answer::count(response).await,
        }
    }
}
