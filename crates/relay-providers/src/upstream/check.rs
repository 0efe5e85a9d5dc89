//! Checks a credential by a request that costs nothing.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use relay_config::BaseUrl;
use relay_messages::{MessagesBody, Payload};
use relay_transport::{QueueTime, Start, read_start};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::{Reply, Shared, Upstream};
use crate::answer::{AnswerBody, AttemptError, refuse_status};
use crate::anthropic_format;
use crate::failed_response::FailedResponse;
use crate::failure::UpstreamError;
use crate::listing::ListedModel;
use crate::outcome::Outcome;
use crate::provider::{AuthorizeError, CredentialFacts, FreeRequest, PrepareError, Provider};
use crate::request::{Attempt, Endpoint, RelayRequest};

/// The largest list of models that is read, in bytes.
const LIST_LIMIT: usize = 4 * 1024 * 1024;
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The result of the check of a credential.
#[derive(Debug)]
#[non_exhaustive]
pub struct CheckReport {
    /// The facts of the credential, or the reason that there is none.
    pub credential: Result<CredentialFacts, AuthorizeError>,
    /// The answer to a request that costs nothing. `None` if the upstream has no such request, or there is no credential.
    pub answer: Option<Result<CheckAnswer, AttemptError>>,
    /// The request.
    pub request: FreeRequest,
}

/// The answer of an upstream to a request that costs nothing.
#[derive(Debug)]
#[non_exhaustive]
pub struct CheckAnswer {
    /// The status of the answer.
    pub status: StatusCode,
    /// The meaning of the answer.
    pub outcome: Outcome,
    /// The message of an error.
    pub message: Option<String>,
    /// The upstream's time, from the header `date`.
    pub date: Option<SystemTime>,
    /// This machine's time when the response head arrived.
    pub received_at: SystemTime,
    /// The time from the request to the response head, without the answer's body.
    pub latency: Duration,
    /// The models that the upstream lists. `None` if the answer is no list.
    pub models: Option<Vec<String>>,
}

impl CheckAnswer {
    /// An answer to a request that was sent at `start`, without an error and without a body.
    fn new(status: StatusCode, headers: &HeaderMap, start: Instant) -> Self {
        Self {
            status,
            outcome: Outcome::Success,
            message: None,
            date: date(headers),
            received_at: SystemTime::now(),
            latency: start.elapsed(),
            models: None,
        }
    }
}

impl<P: Provider> Upstream<P> {
    /// Loads the credential and sends the upstream's [free request](FreeRequest) with it. A count of tokens is for `model`, a
    /// name of the upstream's. Costs no tokens.
    pub async fn check(&self, model: &str) -> CheckReport {
        let request = self.0.provider.free_request();
        let credential = self.0.provider.credential(SystemTime::now()).await;
        let answer = match &credential {
            Ok(_) => self.0.send_free(request, model).await.transpose(),
            Err(_) => None,
        };
        CheckReport { credential, answer, request }
    }

    /// The base URL of the upstream. `None` if it is unknown before the first request.
    #[must_use]
    pub fn base_url(&self) -> Option<&BaseUrl> {
        self.0.provider.base_url()
    }
}

/// Returns an attempt with a short prompt for `model`.
fn attempt(endpoint: Endpoint, model: &str) -> Option<Attempt> {
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] });
    let body = MessagesBody::parse(Bytes::from(body.to_string())).ok()?;
    Some(Attempt::new(RelayRequest::new(endpoint, None, version(), body)))
}

fn version() -> HeaderMap {
    HeaderMap::from_iter([(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"))])
}

/// The models in the forms of Anthropic and of Ollama.
#[derive(Deserialize)]
struct Models {
    #[serde(alias = "models")]
    data: Vec<ListedModel>,
}

impl<P: Provider> Shared<P> {
    /// Sends the free request. `None` if there is none, or `model` is no name of a model.
    async fn send_free(&self, free: FreeRequest, model: &str) -> Result<Option<CheckAnswer>, AttemptError> {
        // A refused token count means less than a refused message: not every upstream has the operation.
        let Some(message) = attempt(Endpoint::Messages, model) else { return Ok(None) };
        let request = match free {
            FreeRequest::Get(path) => self.get_request(path)?,
            FreeRequest::CountTokens => match attempt(Endpoint::CountTokens, model) {
                Some(count) => self.prepare(&count)?,
                None => return Ok(None),
            },
            FreeRequest::None => return Ok(None),
        };
        let start = Instant::now();
        let reply =
            self.exchange(&message, &mut request.clone(), Some(&request), &QueueTime::default()).await?;
        let failed = match reply {
            Reply::Judged(failed, _) => *failed,
            Reply::Unread(response) => {
                refuse_status(response.status())?;
                let answer = CheckAnswer::new(response.status(), response.headers(), start);
                if answer.status.is_success() {
                    return Ok(Some(CheckAnswer { models: models(response).await, ..answer }));
                }
                FailedResponse::read(response).await
            }
        };
        let answer = CheckAnswer::new(failed.error.answered(), failed.error.headers(), start);
        let (outcome, message) = self.meaning(&message, &failed.error);
        Ok(Some(CheckAnswer { outcome, message, ..answer }))
    }

    fn get_request(&self, path: &str) -> Result<Request<Payload>, AttemptError> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let uri = match self.provider.base_url() {
            Some(base_url) => anthropic_format::uri(base_url, path, query)?,
            None => Uri::try_from(path).map_err(|error| PrepareError::Url(error.into()))?,
        };
        let mut request = Request::new(Payload::default());
        (*request.uri_mut(), *request.headers_mut()) = (uri, version());
        self.extra_headers.apply_fixed(request.headers_mut());
        Ok(request)
    }

    /// Returns the meaning of an error, and its message.
    fn meaning(&self, attempt: &Attempt, error: &UpstreamError) -> (Outcome, Option<String>) {
        let judgement = self.judge(attempt, error);
        let message = error.message().map(str::to_owned);
        let message = judgement.api_error.map(|error| error.message).or(message);
        let names_operation = || message.as_ref().is_some_and(|message| message.contains("count-tokens"));
        match error.is_about_counting() || names_operation() {
            true => (Outcome::Unsupported, message),
            false => (judgement.outcome, message),
        }
    }
}

async fn models(response: Response<AnswerBody>) -> Option<Vec<String>> {
    let Start::Whole(bytes) = read_start(response.into_body(), LIST_LIMIT, Duration::MAX).await else {
        return None;
    };
    let models: Models = serde_json::from_slice(&bytes).ok()?;
    Some(models.data.into_iter().map(|model| model.id).collect())
}

fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}
