//! One upstream as a service: prepare ▸ authorize ▸ send ▸ classify.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::{Request, Response, StatusCode, header, response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tower::Service;

use crate::answer::{Answer, AttemptError, Outcome};
use crate::body::Payload;
use crate::coding::gunzip;
use crate::headers;
use crate::limits::RateLimits;
use crate::messages;
use crate::opening::begin;
use crate::provider::Provider;
use crate::request::{Attempt, Endpoint};
use crate::start::{Start, full, read_start};
use crate::transport::{IdleTimeout, RequestBody, Transport};

/// How much of an error's body is read to find its reason, and for how long. An error is a few hundred bytes, an HTML
/// page of a gateway a few thousand.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// A provider and the way to it. Cloning shares both.
#[derive(Debug)]
pub struct Upstream<P> {
    provider: Arc<P>,
    transport: Transport,
}

impl<P> Clone for Upstream<P> {
    fn clone(&self) -> Self {
        Self { provider: Arc::clone(&self.provider), transport: self.transport.clone() }
    }
}

impl<P: Provider> Upstream<P> {
    /// Reaches `provider` by `transport`.
    pub fn new(provider: P, transport: Transport) -> Self {
        Self { provider: Arc::new(provider), transport }
    }

    async fn attempt(self, attempt: Attempt) -> Result<Answer, AttemptError> {
        let request = self.provider.prepare(&attempt)?;
        let response = within(attempt.head_timeout(), self.exchange(request)).await?;
        refuse_redirect(response.status())?;
        let (mut head, body) = response.into_parts();
        headers::retain_for_client(&mut head.headers);
        let limits = RateLimits::read(&head.headers);
        let body = IdleTimeout::new(body, self.transport.idle_timeout());
        let answer = match head.status.is_success() {
            true => self.success(&attempt, head, body).await?,
            false => self.failure(&attempt, head, body).await,
        };
        Ok(Answer { limits, ..answer })
    }

    /// Asks with a valid credential, and once more with a new one if the upstream refuses it.
    async fn exchange(&self, request: Request<Payload>) -> Result<Response<Incoming>, AttemptError> {
        let response = self.send(request.clone()).await?;
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        match self.provider.renew_credential(&head).await {
            true => self.send(request).await,
            false => Ok(Response::from_parts(head, body)),
        }
    }

    async fn send(&self, request: Request<Payload>) -> Result<Response<Incoming>, AttemptError> {
        let request = self.provider.authorize(request, SystemTime::now()).await?;
        self.transport.send(request.map(RequestBody::Payload)).await
    }

    async fn success(
        &self,
        attempt: &Attempt,
        head: response::Parts,
        body: IdleTimeout<Incoming>,
    ) -> Result<Answer, AttemptError> {
        let outcome = self.provider.classify(&head, &[]);
        let response = Response::from_parts(head, body.boxed_unsync());
        let converted = self.provider.convert(attempt.request().endpoint(), response).await;
        begin(attempt, outcome, converted.map_err(AttemptError::Broken)?).await
    }

    async fn failure(
        &self,
        attempt: &Attempt,
        mut head: response::Parts,
        body: IdleTimeout<Incoming>,
    ) -> Answer {
        let (reason, mut body) = match read_start(body, ERROR_BODY_LIMIT, ERROR_BODY_TIMEOUT).await {
            Start::Whole(bytes) => {
                let bytes = match gunzip(&head.headers, &bytes, ERROR_BODY_LIMIT) {
                    Some(plain) => {
                        // The client has not been asked either whether it can read it.
                        head.headers.remove(header::CONTENT_ENCODING);
                        head.headers.remove(header::CONTENT_LENGTH);
                        plain
                    }
                    None => bytes,
                };
                (bytes.clone(), full(bytes))
            }
            Start::Part(start, body) => (start, body),
        };
        let mut is_foreign_error = !messages::is_anthropic_error(&reason);
        let outcome = match attempt.request().endpoint() {
            Endpoint::CountTokens if is_foreign_error && lacks_operation(head.status) => Outcome::Unsupported,
            _ => self.provider.classify(&head, &reason),
        };
        if is_foreign_error && let Some(error) = self.provider.translate_error(attempt, &head, &reason) {
            if outcome == Outcome::CredentialRejected {
                // The client is told whose fault it is, and the operator what is wrong.
                tracing::warn!(status = %head.status, reason = error.message, "an upstream refuses the relay's credential");
            }
            body = full(messages::write_error(&error, &mut head));
            is_foreign_error = false;
        }
        Answer { is_foreign_error, ..Answer::new(outcome, Response::from_parts(head, body)) }
    }
}

impl<P: Provider> Service<Attempt> for Upstream<P> {
    type Response = Answer;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, AttemptError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        Box::pin(self.clone().attempt(attempt))
    }
}

/// Whether an upstream says that it knows no such path, if it does not say so in Anthropic's form: Ollama does it in plain
/// text, and whoever has the operation means the model.
fn lacks_operation(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// Limits the time up to a response head.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    head: impl Future<Output = Result<T, AttemptError>>,
) -> Result<T, AttemptError> {
    match limit {
        None => head.await,
        Some(after) => {
            tokio::time::timeout(after, head).await.unwrap_or(Err(AttemptError::HeadTimeout { after }))
        }
    }
}

/// A redirect would take the client, and the credential it is asked with, to a place that nobody configured.
pub(crate) fn refuse_redirect(status: StatusCode) -> Result<(), AttemptError> {
    // 304 answers a condition of the client's and points nowhere.
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(AttemptError::Redirect { status });
    }
    Ok(())
}
