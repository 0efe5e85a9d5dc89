//! One upstream as a service: prepare ▸ authorize ▸ send ▸ classify.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, response};
use http_body_util::BodyExt;
use relay_config::ProviderName;
use relay_messages::{ApiError, Payload, RateLimits, RefusalMemory, Retry, headers, retry_after};
use relay_transport::{IdleTimeout, RequestBody, Start, Transport, decompress, full, read_start};
use tokio::time::Instant;
use tower::Service;

use crate::answer::{Answer, AnswerBody, AttemptError, BodyError, Outcome};
use crate::failure::{self, Form, Reason};
use crate::messages;
use crate::opening::begin;
use crate::provider::Provider;
use crate::request::{Attempt, Deadline, Endpoint};

/// How much of an error's body is read to find its reason, and for how long. An error is a few hundred bytes, an HTML
/// page of a gateway a few thousand.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// A provider, the way to it, and what it is known to refuse. Cloning shares all of it.
#[derive(Debug)]
pub struct Upstream<P> {
    name: ProviderName,
    provider: Arc<P>,
    transport: Transport,
    refusals: RefusalMemory,
}

impl<P> Clone for Upstream<P> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            provider: Arc::clone(&self.provider),
            transport: self.transport.clone(),
            refusals: self.refusals.clone(),
        }
    }
}

impl<P: Provider> Upstream<P> {
    /// Reaches `provider` by `transport`. Its errors say that they are those of `name`.
    pub fn new(name: ProviderName, provider: P, transport: Transport, refusals: RefusalMemory) -> Self {
        Self { name, provider: Arc::new(provider), transport, refusals }
    }

    /// Whether the upstream answers at all, and not with a failure of its own. Asks nothing of it that costs.
    pub async fn is_reachable(self) -> bool {
        let Some(uri) = self.provider.base_url().and_then(|base_url| messages::uri(base_url, "/", None).ok())
        else {
            return false;
        };
        let mut request = Request::new(RequestBody::Payload(Payload::default()));
        (*request.method_mut(), *request.uri_mut()) = (Method::HEAD, uri);
        let response = self.transport.send(request).await;
        response.is_ok_and(|response| !response.status().is_server_error())
    }

    /// Whether it is known where the upstream is.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.provider.base_url().is_some()
    }

    /// Asks, and once more without what the upstream names in its refusal.
    async fn attempt(self, attempt: Attempt) -> Result<Answer, AttemptError> {
        let limit = HeadLimit::begin(attempt.head_timeout());
        let mut request = self.provider.prepare(&attempt)?;
        self.refusals.strip_known(attempt.model(), &mut request, now());
        let (answer, refusal) = self.ask(&attempt, &request, &limit).await?;
        let Some(retry) = refusal.and_then(|error| self.refusals.retry_without(&request, &error)) else {
            return Ok(answer);
        };
        let (second, _) = self.ask(&attempt, retry.request(), &limit).await?;
        match second.outcome {
            Outcome::Success => {
                self.remember(attempt.model(), &retry);
                Ok(second)
            }
            // The first refusal is about what the client wrote, so that it knows what to do.
            Outcome::Refused => Ok(answer),
            _ => Ok(second),
        }
    }

    /// Remembers that `retry` helped with `model`, and says so in the log.
    fn remember(&self, model: &str, retry: &Retry) {
        let provider = self.name.as_str();
        for dropped in self.refusals.remember(model, retry, now()) {
            tracing::warn!(provider, model, %dropped, "the upstream refuses this; it is left out for an hour");
        }
        let blocks = retry.signatures();
        if blocks > 0 {
            tracing::warn!(
                provider,
                model,
                blocks,
                "the upstream refuses a conversation's thinking; it is left out"
            );
        }
    }

    /// One exchange, and what stands in the answer if it says that the request itself is at fault.
    async fn ask(
        &self,
        attempt: &Attempt,
        request: &Request<Payload>,
        limit: &HeadLimit,
    ) -> Result<(Answer, Option<Bytes>), AttemptError> {
        let response = limit.within(self.exchange(request)).await?;
        refuse_redirect(response.status())?;
        let (mut head, body) = response.into_parts();
        headers::retain_for_client(&mut head.headers);
        let limits = RateLimits::read(&head.headers);
        let answered = head.status;
        // Of an answer in one piece the client's head waits for the end.
        let body = in_time(attempt.request().deadline(), unmask(&mut head, body)).await?;
        let (answer, refusal) = match head.status.is_success() {
            true => (self.success(attempt, head, body).await?, None),
            false => self.failure(attempt, answered, head, body).await,
        };
        Ok((Answer { limits, ..answer }, refusal))
    }

    /// Asks with a valid credential, and once more with a new one if the upstream refuses it.
    async fn exchange(&self, request: &Request<Payload>) -> Result<Response<AnswerBody>, AttemptError> {
        let response = self.send(request.clone()).await?;
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let (reason, body) = match read_start(body, ERROR_BODY_LIMIT, ERROR_BODY_TIMEOUT).await {
            Start::Whole(bytes) => (bytes.clone(), full(bytes)),
            Start::Part(start, body) => (start, body),
        };
        match self.provider.renew_credential(&head, &reason).await {
            true => self.send(request.clone()).await,
            false => Ok(Response::from_parts(head, body)),
        }
    }

    async fn send(&self, request: Request<Payload>) -> Result<Response<AnswerBody>, AttemptError> {
        let request = self.provider.authorize(request, SystemTime::now()).await?;
        let response = self.transport.send(request.map(RequestBody::Payload)).await?;
        let (mut head, body) = response.into_parts();
        let body = IdleTimeout::new(body, self.transport.idle_timeout());
        let body = decompress(&mut head.headers, body);
        Ok(Response::from_parts(head, body))
    }

    async fn success(
        &self,
        attempt: &Attempt,
        head: response::Parts,
        body: AnswerBody,
    ) -> Result<Answer, AttemptError> {
        let outcome = self.provider.classify(&head, &[]);
        let response = Response::from_parts(head, body);
        let converted = self.provider.convert(attempt.request().endpoint(), response).await;
        let converted = converted.map_err(AttemptError::Broken)?;
        begin(attempt, outcome, converted.map(|body| self.refusals.watch(body, now))).await
    }

    /// The answer that a failure makes, and its text if the request itself is at fault. The upstream
    /// `answered` with a status of its own; the head's is what it means.
    async fn failure(
        &self,
        attempt: &Attempt,
        answered: StatusCode,
        mut head: response::Parts,
        body: AnswerBody,
    ) -> (Answer, Option<Bytes>) {
        let (start, mut body, is_whole) = match read_start(body, ERROR_BODY_LIMIT, ERROR_BODY_TIMEOUT).await {
            Start::Whole(bytes) => (bytes.clone(), full(bytes), true),
            Start::Part(start, body) => (start, body, false),
        };
        let is_refusal = matches!(head.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
        let reason = Reason::read(&start);
        let outcome = match attempt.request().endpoint() {
            Endpoint::CountTokens if lacks_operation(head.status, &reason) => Outcome::Unsupported,
            _ if reason.is_too_long(head.status) => Outcome::Refused,
            _ => self.provider.classify(&head, &start),
        };
        let error = self
            .translate(attempt, answered, &head, &start, &reason)
            .filter(|_| is_whole || !reason.is_json());
        if outcome == Outcome::CredentialRejected {
            // The client is told whose fault it is, and the operator what is wrong.
            let message = error.as_ref().map(|error| error.message.as_str()).or(reason.message.as_deref());
            let reason = message.unwrap_or_default();
            tracing::warn!(status = %head.status, reason, "an upstream refuses the relay's credential");
        }
        say_when_to_retry(&mut head.headers, outcome, &reason);
        let is_foreign_error = error.is_none() && reason.form != Form::Anthropic;
        if let Some(error) = error {
            body = full(messages::write_error(&error, attempt.request().id(), &mut head));
        }
        let answer = Answer { is_foreign_error, ..Answer::new(outcome, Response::from_parts(head, body)) };
        (answer, is_refusal.then_some(start))
    }

    /// An error in the client's words; `None` where those of the upstream are.
    fn translate(
        &self,
        attempt: &Attempt,
        answered: StatusCode,
        head: &response::Parts,
        error: &[u8],
        reason: &Reason,
    ) -> Option<ApiError> {
        if !head.status.is_client_error() && !head.status.is_server_error() {
            return None;
        }
        let in_general = || failure::translate(&self.name, answered, head.status, reason);
        if reason.is_too_long(head.status) {
            return Some(in_general());
        }
        let translated = self.provider.translate_error(attempt, head, error);
        translated.or_else(|| (reason.form != Form::Anthropic).then(in_general))
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

/// Gives a failure that comes as a success the status that it means. Gives back the body with all that was read of it.
///
/// # Errors
/// [`AttemptError::Broken`] where an answer in one piece broke off: nothing of it has gone to the client, so that somebody
/// else may answer.
async fn unmask(head: &mut response::Parts, body: AnswerBody) -> Result<AnswerBody, AttemptError> {
    if !head.status.is_success() || !failure::may_be_disguised(&head.headers) {
        return Ok(body);
    }
    // Nothing comes of an answer in one piece before it is complete: its idle timeout and the request's own time limit it.
    let (start, body, is_whole) = match read_start(body, ERROR_BODY_LIMIT, Duration::MAX).await {
        Start::Whole(bytes) => (bytes.clone(), full(bytes), true),
        Start::Part(start, body) if start.len() >= ERROR_BODY_LIMIT => (start, body, false),
        Start::Part(_, body) => {
            let failed = body.collect().await.err().unwrap_or(BodyError::Incomplete);
            return Err(AttemptError::Broken(failed));
        }
    };
    if is_whole && failure::is_cut_off(&start) {
        return Err(AttemptError::Broken(BodyError::Incomplete));
    }
    if let Some(status) = failure::true_status(&start, is_whole) {
        head.status = status;
    }
    Ok(body)
}

/// Whether an upstream says that it knows no such path. One that answers in Anthropic's form has the operation, unless it
/// is the path that it speaks of: what it says of the model, or of its own state, is for the client.
fn lacks_operation(status: StatusCode, reason: &Reason) -> bool {
    let is_unknown = matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    );
    is_unknown && (reason.form != Form::Anthropic || speaks_of_path(reason))
}

fn speaks_of_path(reason: &Reason) -> bool {
    let message = reason.message.as_deref().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    matches!(&*message, "not found" | "method not allowed") || message.contains("count_tokens")
}

/// Tells the client how long to wait, if anybody knows, or that there is no point in it.
fn say_when_to_retry(headers: &mut HeaderMap, outcome: Outcome, reason: &Reason) {
    let told = match outcome {
        Outcome::RateLimited { .. } if messages::is_spend_cap(reason) => {
            messages::forbid_retry(headers);
            None
        }
        Outcome::RateLimited { retry_after, .. } | Outcome::Overloaded { retry_after } => retry_after,
        _ => None,
    };
    retry_after::write(headers, told);
}

/// The time by the clock of the runtime.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// The time that an attempt has up to its response head, however often it asks.
struct HeadLimit {
    after: Option<Duration>,
    since: Instant,
}

impl HeadLimit {
    fn begin(after: Option<Duration>) -> Self {
        Self { after, since: Instant::now() }
    }

    async fn within<T>(
        &self,
        head: impl Future<Output = Result<T, AttemptError>>,
    ) -> Result<T, AttemptError> {
        let Some(after) = self.after else { return head.await };
        let left = after.saturating_sub(self.since.elapsed());
        tokio::time::timeout(left, head).await.unwrap_or(Err(AttemptError::HeadTimeout { after }))
    }
}

/// Ends with the time of the request itself.
async fn in_time<T>(
    deadline: Option<Deadline>,
    answer: impl Future<Output = Result<T, AttemptError>>,
) -> Result<T, AttemptError> {
    let Some(deadline) = deadline else { return answer.await };
    let after = deadline.limit();
    tokio::time::timeout(deadline.remaining(), answer)
        .await
        .unwrap_or(Err(AttemptError::HeadTimeout { after }))
}

/// Limits the time up to a response head.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    head: impl Future<Output = Result<T, AttemptError>>,
) -> Result<T, AttemptError> {
    HeadLimit::begin(limit).within(head).await
}

/// A redirect would take the client, and the credential it is asked with, to a place that nobody configured.
pub(crate) fn refuse_redirect(status: StatusCode) -> Result<(), AttemptError> {
    // 304 answers a condition of the client's and points nowhere.
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(AttemptError::Redirect { status });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use relay_messages::error_body;

    use super::*;

    #[test]
    fn an_operation_is_lacking_where_the_path_is_what_is_unknown() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: bool) {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(lacks_operation(status, &Reason::read(body.as_bytes())), expected, "{status} {body}");
        }
        let anthropic = |message: &str| {
            let body = error_body("not_found_error", message, None);
            String::from_utf8(body.to_vec()).unwrap()
        };
        for status in [404, 405, 501] {
            check(status, "404 page not found", true);
            check(status, "<html>", true);
            check(status, "", true);
            check(status, r#"{"detail":"Not Found"}"#, true);
            check(status, &anthropic("Not Found"), true);
        }
        for message in ["Not found.", "Method Not Allowed", "/v1/messages/count_tokens is unknown here"] {
            check(404, &anthropic(message), true);
        }
        for message in ["model: claude-nonesuch-1", "model 'x' not found", "Not implemented", ""] {
            check(404, &anthropic(message), false);
            check(501, &anthropic(message), false);
        }
        check(400, "404 page not found", false);
        check(500, "", false);
    }
}
