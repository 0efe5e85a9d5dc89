//! One upstream as a service: prepare ▸ authorize ▸ send ▸ judge.
//!
//! ```text
//! prepare ─▶ exchange: authorize ▸ send ─▶ success ─convert─▶ first content ─▶ Answer
//!               ▲ once more, with a new       └─▶ failure ─UpstreamError::read─▶ judge ─▶ Answer
//!               │ credential ◀────────────────────────────────────────────────────┤
//!               │ once more, as a whole, if known refusals were removed ◀─────────┤
//!               └ once more, without what the upstream named in its refusal ◀─────┘
//! ```

mod check;

use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use http::{Method, Request, Response, StatusCode};
use relay_config::ProviderName;
use relay_messages::{Payload, RateLimits, RefusalMemory, RefusalScope, Retry, WholeRequest, headers};
use relay_stream::events::UnknownEvents;
use relay_transport::{QueueTime, RequestBody, Transport, answer_body};
use tokio::time::Instant;
use tower::Service;

use crate::answer::{Answer, AnswerBody, AnswerFuture, AttemptError, refuse_status};
use crate::answer_stats::OnThinking;
use crate::anthropic_format;
use crate::count;
use crate::extra_headers::ExtraHeaders;
use crate::failed_response::FailedResponse;
use crate::failure::{self, Form, Judgement, UpstreamError};
use crate::first_content::{Begun, StreamRules, await_first_content};
use crate::message_body;
use crate::message_events;
use crate::outcome::Outcome;
use crate::provider::{PrepareError, Provider};
use crate::request::{Attempt, Endpoint};
use crate::success::{self, Checked};
use crate::time_limit::{HeadLimit, in_time};

pub use check::{CheckAnswer, CheckReport};

/// A provider with its transport, and the memory of the fields that it refuses. Clones share all of them.
///
/// ```
/// use relay_config::{BaseUrl, ProviderName, Secret};
/// use relay_messages::{Adapter, MessagesBody, RefusalMemory, SignatureOwner, ThinkingProvenance};
/// use relay_providers::{Attempt, AttemptError, Compatible, Endpoint, RelayRequest, Upstream};
/// use relay_transport::{Proxies, Transport, TransportSettings, TrustRoots};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // No server listens on this port.
/// let base_url = BaseUrl::parse("http://127.0.0.1:1")?;
/// let transport = Transport::new(&TransportSettings::default(), &TrustRoots::load(), Proxies::none())?;
/// let owner = SignatureOwner::at(&base_url);
/// let refusals =
///     RefusalMemory::new(Some(&base_url), &Adapter::default(), owner, ThinkingProvenance::default());
/// let kind = Compatible::with_api_key(base_url, &Secret::new("key"))?;
/// let upstream = Upstream::new(ProviderName::new("local"), kind, transport, refusals);
///
/// let body = MessagesBody::parse(r#"{"model":"m","max_tokens":9,"messages":[]}"#.into())?;
/// let request = RelayRequest::new(Endpoint::Messages, None, http::HeaderMap::new(), body);
/// match upstream.oneshot(Attempt::new(request)).await {
///     Ok(answer) => println!("{}: {}", answer.outcome.as_str(), answer.response.status()),
///     // Without an answer, the error states whether the request may have been sent.
///     Err(error) => assert!(matches!(error, AttemptError::Connect(_)) && !error.may_be_sent()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Upstream<P>(Arc<Shared<P>>);

#[derive(Debug)]
struct Shared<P> {
    name: ProviderName,
    provider: Arc<P>,
    transport: Transport,
    refusals: RefusalMemory,
    unknown_events: UnknownEvents,
    extra_headers: ExtraHeaders,
}

impl<P> Clone for Upstream<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            provider: Arc::clone(&self.provider),
            transport: self.transport.clone(),
            refusals: self.refusals.clone(),
            unknown_events: self.unknown_events,
            extra_headers: self.extra_headers.clone(),
        }
    }
}

impl<P: Provider> Upstream<P> {
    /// Creates the service that reaches `provider` through `transport`. Its error messages carry `name`.
    pub fn new(name: ProviderName, provider: P, transport: Transport, refusals: RefusalMemory) -> Self {
        let unknown_events = UnknownEvents::default();
        let extra_headers = ExtraHeaders::default();
        let provider = Arc::new(provider);
        Self(Arc::new(Shared { name, provider, transport, refusals, unknown_events, extra_headers }))
    }

    /// Adds headers to every request, probes included. The default adds none.
    #[must_use]
    pub fn with_extra_headers(mut self, extra_headers: ExtraHeaders) -> Self {
        Arc::make_mut(&mut self.0).extra_headers = extra_headers;
        self
    }

    /// Sets the handling of stream events that the Messages API does not have. The default drops them.
    #[must_use]
    pub fn with_unknown_events(mut self, unknown_events: UnknownEvents) -> Self {
        Arc::make_mut(&mut self.0).unknown_events = unknown_events;
        self
    }

    /// Returns `true` if the upstream answers a `HEAD` request for its base URL with a status below 500. Costs no tokens.
    pub async fn is_reachable(self) -> bool {
        let Some(uri) =
            self.0.provider.base_url().and_then(|base_url| anthropic_format::uri(base_url, "/", None).ok())
        else {
            return false;
        };
        let mut request = Request::new(RequestBody::Payload(Payload::default()));
        (*request.method_mut(), *request.uri_mut()) = (Method::HEAD, uri);
        self.0.extra_headers.apply_fixed(request.headers_mut());
        let response = self.0.transport.send(request).await;
        response.is_ok_and(|response| !response.status().is_server_error())
    }

    /// Returns `true` if the upstream's address is known.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.0.provider.base_url().is_some()
    }
}

impl<P: Provider> Shared<P> {
    /// Calls the upstream. If it refuses a request from which known refusals were removed, calls it once more with the whole
    /// request. If it still refuses the request, calls it once more without what it names in its refusal.
    async fn attempt(&self, attempt: &Attempt) -> Result<Answer, AttemptError> {
        let limit = HeadLimit::begin(attempt.head_timeout(), attempt.request().deadline());
        let mut request = self.prepare(attempt)?;
        let scope = scope(attempt);
        let (mut changed, mut whole) = (None, None);
        if self.refusals.may_strip(scope, &request, limit.since().into_std()) {
            // Boxed, since few requests are changed, and every future of an attempt has room for them.
            whole = self.refusals.strip_known(scope, &mut request, now()).map(Box::new);
            changed = Some(Box::new(request.clone()));
        }
        let (answer, refusal) = self.call_once(attempt, &mut request, changed.as_deref(), &limit).await?;
        let Some(refusal) = refusal else { return Ok(answer) };
        // Few requests are refused: the memory of the further calls is not part of every attempt.
        Box::pin(self.call_again(attempt, answer, &refusal, changed, whole, &limit)).await
    }

    /// Prepares the request of `attempt`, without a credential.
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        let mut request = self.provider.prepare(attempt)?;
        self.extra_headers.apply(attempt.request().headers(), request.headers_mut());
        Ok(request)
    }

    /// Calls the upstream again after `refusal`: with the `whole` request if known refusals were removed from it, and then without
    /// what the upstream names. `changed` is the refused request if it differs from the prepared one.
    async fn call_again(
        &self,
        attempt: &Attempt,
        answer: Answer,
        refusal: &UpstreamError,
        changed: Option<Box<Request<Payload>>>,
        whole: Option<Box<WholeRequest>>,
        limit: &HeadLimit,
    ) -> Result<Answer, AttemptError> {
        let scope = scope(attempt);
        if let Some(whole) = whole.filter(|_| answer.outcome == Outcome::Refused) {
            let second = self.call_with(attempt, whole.request(), limit).await?;
            if second.outcome != Outcome::Refused {
                self.forget_if_accepted(scope, &whole, &second);
                return Ok(second);
            }
        }
        let request = match changed {
            Some(request) => *request,
            None => self.prepare(attempt)?,
        };
        let Some(retry) = self.refusals.retry_without(&request, &refusal.texts()) else {
            return Ok(answer);
        };
        let second = self.call_with(attempt, retry.request(), limit).await?;
        match second.outcome {
            Outcome::Success => {
                self.remember(scope, &retry);
                Ok(second)
            }
            // The first refusal is about the request as the client wrote it, so the client can act on it.
            Outcome::Refused => Ok(answer),
            _ => Ok(second),
        }
    }

    /// Calls the upstream with `request`, another one than the prepared one.
    async fn call_with(
        &self,
        attempt: &Attempt,
        request: &Request<Payload>,
        limit: &HeadLimit,
    ) -> Result<Answer, AttemptError> {
        Ok(self.call_once(attempt, &mut request.clone(), Some(request), limit).await?.0)
    }

    /// Forgets the refusals by which `whole` was changed if `answer` shows that the upstream accepts it, and logs it.
    fn forget_if_accepted(&self, scope: RefusalScope<'_>, whole: &WholeRequest, answer: &Answer) {
        if answer.outcome == Outcome::Success {
            let (provider, model) = (self.name.as_str(), scope.model);
            for kept in self.refusals.forget(scope, whole, now()) {
                tracing::warn!(provider, model, %kept, "the upstream accepts this after all; it is sent again");
            }
        }
    }

    /// Remembers that `retry` helped, and logs it.
    fn remember(&self, scope: RefusalScope<'_>, retry: &Retry) {
        let (provider, model) = (self.name.as_str(), scope.model);
        for dropped in self.refusals.remember(scope, retry, now()) {
            tracing::warn!(provider, model, %dropped, "the upstream refuses this; it is removed from requests for an hour");
        }
        let blocks = retry.signatures();
        if blocks > 0 {
            tracing::warn!(
                provider,
                model,
                blocks,
                "the upstream refuses a conversation's thinking; it is removed"
            );
        }
    }

    /// Calls the upstream once. `changed` is `request` if that is not the prepared one. Returns its answer, and its error if the
    /// request itself is at fault.
    ///
    /// Takes `request` out of its place, as all functions down to [`send`](Self::send) do: a future has room for each of its
    /// arguments until its end.
    async fn call_once(
        &self,
        attempt: &Attempt,
        request: &mut Request<Payload>,
        changed: Option<&Request<Payload>>,
        limit: &HeadLimit,
    ) -> Result<(Answer, Option<Box<UpstreamError>>), AttemptError> {
        let reply = {
            let exchange = pin!(self.exchange(attempt, request, changed, limit.queue()));
            limit.within(exchange).await?
        };
        let (failed, judgement) = match reply {
            Reply::Judged(failed, judgement) => (*failed, judgement),
            Reply::Unread(response) => {
                refuse_status(response.status())?;
                let failed = match response.status().is_success() {
                    true => match self.success(attempt, response).await? {
                        Begun::Answer(answer) => return Ok((answer, None)),
                        Begun::Failed(failed) => failed,
                    },
                    false => Box::pin(FailedResponse::read(response)).await,
                };
                let judgement = self.judge(attempt, &failed.error);
                (failed, judgement)
            }
        };
        Ok(failed.into_answer(attempt, judgement))
    }

    /// Sends the request with a valid credential. If the upstream refuses the credential and a new one may help, sends the
    /// request once more.
    async fn exchange(
        &self,
        attempt: &Attempt,
        request: &mut Request<Payload>,
        changed: Option<&Request<Payload>>,
        queue: &QueueTime,
    ) -> Result<Reply, AttemptError> {
        let response = self.send(attempt, request, queue).await?;
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(Reply::Unread(response));
        }
        Box::pin(self.renew(attempt, response, changed, queue)).await
    }

    /// Reads a refusal of the credential. If a new one may help, sends the request once more: the `changed` one or, without one,
    /// the prepared one.
    async fn renew(
        &self,
        attempt: &Attempt,
        refusal: Response<AnswerBody>,
        changed: Option<&Request<Payload>>,
        queue: &QueueTime,
    ) -> Result<Reply, AttemptError> {
        let failed = FailedResponse::read(refusal).await;
        let judgement = self.judge(attempt, &failed.error);
        if !judgement.renew_credential || !self.provider.renew_credential(&failed.error).await {
            return Ok(Reply::Judged(Box::new(failed), judgement));
        }
        let mut request = match changed {
            Some(request) => request.clone(),
            None => self.prepare(attempt)?,
        };
        Ok(Reply::Unread(self.send(attempt, &mut request, queue).await?))
    }

    /// Sends `request` with a credential, and leaves an empty one in its place.
    async fn send(
        &self,
        attempt: &Attempt,
        request: &mut Request<Payload>,
        queue: &QueueTime,
    ) -> Result<Response<AnswerBody>, AttemptError> {
        let response = {
            let request = self.provider.authorize(mem::take(request), SystemTime::now()).await?;
            attempt.note_address(request.uri());
            self.transport.send_measured(request.map(RequestBody::Payload), queue)
        };
        let (mut head, body) = response.await?.into_parts();
        let body = answer_body(&mut head.headers, body, self.transport.idle_timeout());
        headers::retain_for_client(&mut head.headers);
        Ok(Response::from_parts(head, body))
    }

    /// Makes the answer of a response with a status of success. It may be a failure all the same: an error in one piece, a
    /// body that no client can use, or a stream that begins with an error.
    async fn success(
        &self,
        attempt: &Attempt,
        response: Response<AnswerBody>,
    ) -> Result<Begun, AttemptError> {
        let since = Instant::now();
        // The client's response head waits for the whole of an answer in one piece.
        let checked = {
            let checked = pin!(success::check(attempt, response, since));
            in_time(attempt.request().deadline(), checked).await?
        };
        let (response, message, is_unstreamed) = match checked {
            Checked::Success(response) => (response, None, false),
            Checked::Message(response, report) => {
                let message = response.body().as_whole().cloned().zip(report);
                (response, message, false)
            }
            Checked::Unstreamed(response) => (response, None, true),
            Checked::Failed(failed) => return Ok(Begun::Failed(*failed)),
        };
        let limits = RateLimits::read(response.headers());
        let endpoint = attempt.request().endpoint();
        let converted = self.provider.convert(endpoint, response).await.map_err(AttemptError::Broken)?;
        if endpoint == Endpoint::CountTokens {
            return Ok(Begun::Answer(count::answer(converted).await?));
        }
        if let Some((bytes, report)) = message
            && converted.body().as_whole() == Some(&bytes)
        {
            let (stats, on_thinking) = (attempt.take_stats(), || self.refusals.on_thinking(now));
            let answer = message_body::answer(converted, &bytes, *report, stats, on_thinking);
            return Ok(Begun::Answer(Answer { limits, ..answer }));
        }
        let converted = match is_unstreamed {
            true => message_events::stream_of(converted).await?,
            false => converted,
        };
        let on_thinking: OnThinking = Box::new(self.refusals.on_thinking(now));
        let rules = StreamRules {
            idle_timeout: self.transport.idle_timeout(),
            unknown_events: self.unknown_events,
            arrivals: converted.body().arrivals().cloned(),
        };
        let begun = await_first_content(attempt, converted, since, rules, Some(on_thinking)).await?;
        Ok(match begun {
            Begun::Answer(answer) => Begun::Answer(Answer { limits, ..answer }),
            failed => failed,
        })
    }

    /// Judges a failure by the kind of the provider. For every kind, recognises a prompt that is too long, and an
    /// upstream without a token count.
    fn judge(&self, attempt: &Attempt, error: &UpstreamError) -> Judgement {
        let judgement = self.provider.judge(error, attempt);
        let is_prompt_too_long = error.is_prompt_too_long();
        let api_error = match error.status() {
            status if !status.is_client_error() && !status.is_server_error() => None,
            // The end of the error is missing, so it passes as it is.
            _ if error.is_json() && !error.is_whole() => None,
            _ if is_prompt_too_long => Some(failure::translate(&self.name, error)),
            _ if error.form() == Form::Anthropic => judgement.api_error,
            _ => judgement.api_error.or_else(|| Some(failure::translate(&self.name, error))),
        };
        let mut judgement = Judgement { api_error, ..judgement };
        if is_prompt_too_long {
            (judgement.outcome, judgement.retry_after) = (Outcome::Refused, None);
        }
        match attempt.request().endpoint() {
            Endpoint::Messages => judgement,
            Endpoint::CountTokens => count::judge(error, judgement),
        }
    }
}

impl<P: Provider> Service<Attempt> for Upstream<P> {
    type Response = Answer;
    type Error = AttemptError;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let shared = Arc::clone(&self.0);
        // Written into its box: `Box::pin` would copy the whole future, of which only the arguments are in use.
        let place = Box::new_uninit();
        let future = Box::write(place, async move { shared.attempt(&attempt).await });
        Box::into_pin(future)
    }
}

/// The requests that a refusal of `attempt` applies to.
fn scope(attempt: &Attempt) -> RefusalScope<'_> {
    RefusalScope::new(attempt.model(), attempt.request().endpoint() == Endpoint::CountTokens)
}

/// The response to a request.
enum Reply {
    /// A response whose body has not been read.
    Unread(Response<AnswerBody>),
    /// A failure that no new credential helps against.
    Judged(Box<FailedResponse>, Judgement),
}

/// The time by the clock of the runtime.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::HeaderMap;
    use relay_config::BaseUrl;
    use relay_messages::{Adapter, MessagesBody, SignatureOwner, ThinkingProvenance};
    use relay_transport::{Proxies, TransportSettings, TrustRoots};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::failure::reads;
    use crate::provider::AuthorizeError;
    use crate::request::RelayRequest;

    /// A provider whose credential can always be renewed.
    struct Renewable {
        base_url: BaseUrl,
        renewals: Arc<AtomicUsize>,
    }

    impl Provider for Renewable {
        fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
            anthropic_format::prepare(&self.base_url, attempt)
        }

        async fn authorize(
            &self,
            request: Request<Payload>,
            _: SystemTime,
        ) -> Result<Request<Payload>, AuthorizeError> {
            Ok(request)
        }

        fn base_url(&self) -> Option<&BaseUrl> {
            Some(&self.base_url)
        }

        fn judge(&self, error: &UpstreamError, _: &Attempt) -> Judgement {
            Judgement { renew_credential: true, ..Judgement::by_anthropic_table(error) }
        }

        async fn renew_credential(&self, _: &UpstreamError) -> bool {
            self.renewals.fetch_add(1, Ordering::Relaxed);
            true
        }
    }

    /// Serves each of `responses` on a new connection.
    async fn serve(responses: Vec<(u16, &'static str)>) -> BaseUrl {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = BaseUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            for (status, body) in responses {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    connection.read_buf(&mut request).await.unwrap();
                }
                let length = body.len();
                let response = format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: \
                     {length}\r\n\r\n{body}"
                );
                connection.write_all(response.as_bytes()).await.unwrap();
            }
        });
        url
    }

    const MESSAGE: (u16, &str) = (200, r#"{"type":"message","content":[]}"#);
    const UNAUTHORIZED: (u16, &str) = (401, r#"{"type":"error","error":{"type":"authentication_error"}}"#);

    fn upstream(base_url: BaseUrl, renewed: &Arc<AtomicUsize>) -> Upstream<Renewable> {
        let provider = Renewable { base_url, renewals: Arc::clone(renewed) };
        let settings = TransportSettings::default();
        let transport = Transport::new(&settings, &TrustRoots::load(), Proxies::none()).unwrap();
        let (owner, provenance) = (SignatureOwner::CLAUDE, ThinkingProvenance::default());
        let refusals = RefusalMemory::new(None, &Adapter::of("compatible"), owner, provenance);
        Upstream::new(ProviderName::new("up"), provider, transport, refusals)
    }

    /// Each open attempt holds this future until the first content of its answer.
    #[test]
    fn the_future_of_an_attempt_is_small() {
        let base_url = BaseUrl::parse("http://127.0.0.1:9").unwrap();
        let body = MessagesBody::parse(r#"{"model":"m"}"#.into()).unwrap();
        let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body);
        let (upstream, attempt) = (upstream(base_url, &Arc::default()), Attempt::new(request));
        let size = std::mem::size_of_val(&upstream.0.attempt(&attempt));
        assert!(size <= 3500, "{size} bytes");
    }

    #[tokio::test]
    async fn each_failure_is_read_once_and_a_credential_is_renewed_at_most_once() {
        async fn check(responses: &[(u16, &'static str)], outcome: Outcome, failures: u32, renewals: usize) {
            let base_url = serve(responses.to_vec()).await;
            let renewed = Arc::new(AtomicUsize::new(0));
            let upstream = upstream(base_url, &renewed);
            let body = MessagesBody::parse(r#"{"model":"m","speed":"fast"}"#.into()).unwrap();
            let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body);
            reads::take();
            let answer = upstream.0.attempt(&Attempt::new(request)).await.unwrap();
            assert_eq!(answer.outcome, outcome, "{responses:?}");
            assert_eq!(reads::take(), failures, "{responses:?}");
            assert_eq!(renewed.load(Ordering::Relaxed), renewals, "{responses:?}");
        }
        let unavailable = (503, "<html><title>503</title></html>");
        let soft = (200, r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#);
        let refused = (400, r#"{"error":{"message":"speed: Extra inputs are not permitted"}}"#);
        check(&[MESSAGE], Outcome::Success, 0, 0).await;
        check(&[unavailable], Outcome::Failed, 1, 0).await;
        check(&[soft], Outcome::Failed, 1, 0).await;
        check(&[refused, MESSAGE], Outcome::Success, 1, 0).await;
        check(&[refused, refused], Outcome::Refused, 2, 0).await;
        check(&[UNAUTHORIZED, MESSAGE], Outcome::Success, 1, 1).await;
        check(&[UNAUTHORIZED, unavailable], Outcome::Failed, 2, 1).await;
        check(&[UNAUTHORIZED, UNAUTHORIZED], Outcome::CredentialRejected, 2, 1).await;
    }
}
