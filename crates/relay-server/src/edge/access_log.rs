//! One structured event for each request, when all of it is over.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use pin_project_lite::pin_project;
use relay_providers::AnswerBodyError;
use relay_routing::{AttemptRecord, RouteTrace};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::RequestId;
use crate::body::Body;

/// What is asked for again and again, by machines.
const PROBES: [&str; 5] = ["/health", "/healthz", "/readyz", "/", "/api/hello"];

/// One event, whose level has to be known when it is compiled.
macro_rules! log_event {
    ($quiet:expr, $($fields:tt)*) => {
        if $quiet { tracing::debug!($($fields)*) } else { tracing::info!($($fields)*) }
    };
}

/// Where the name of an admitted client is put for the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoggedClient(Arc<OnceLock<Arc<str>>>);

impl LoggedClient {
    pub(crate) fn set(&self, name: &Arc<str>) {
        // A request is admitted once.
        let _ = self.0.set(Arc::clone(name));
    }
}

/// Where the message of an error of the relay's own is put for the log.
#[derive(Debug, Clone)]
pub(crate) struct LoggedError(pub(crate) String);

/// Logs each request when its answer has ended, broken off, or been abandoned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessLogLayer;

impl<S> Layer<S> for AccessLogLayer {
    type Service = LogAccess<S>;

    fn layer(&self, inner: S) -> LogAccess<S> {
        LogAccess { inner }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct LogAccess<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for LogAccess<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = LogAccessFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let client = LoggedClient::default();
        request.extensions_mut().insert(client.clone());
        let log = AccessLog {
            client,
            id: request.extensions().get::<RequestId>().cloned(),
            method: request.method().clone(),
            path: request.uri().path().into(),
            started: Instant::now(),
            answered: None,
            bytes: 0,
            end: End::Abandoned,
        };
        LogAccessFuture { inner: self.inner.call(request), log: Some(log) }
    }
}

pin_project! {
    pub(crate) struct LogAccessFuture<F> {
        #[pin]
        inner: F,
        // Dropped with the future, it logs that the client has left.
        log: Option<AccessLog>,
    }
}

impl<F: Future<Output = Result<Response<Body>, E>>, E> Future for LogAccessFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let Some(mut log) = this.log.take() else { return Poll::Ready(Ok(response)) };
        log.answered = Some(Answered {
            trace: response.extensions_mut().remove(),
            error: response.extensions_mut().remove().map(|LoggedError(message)| message),
            status: response.status(),
            latency: log.started.elapsed(),
        });
        Poll::Ready(Ok(response.map(|body| body.with_log(log))))
    }
}

/// What is known of one request. Logs itself when it is dropped.
#[derive(Debug)]
pub(crate) struct AccessLog {
    id: Option<RequestId>,
    client: LoggedClient,
    method: Method,
    path: Box<str>,
    started: Instant,
    answered: Option<Answered>,
    bytes: u64,
    end: End,
}

#[derive(Debug)]
struct Answered {
    status: StatusCode,
    latency: Duration,
    trace: Option<RouteTrace>,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// All of the answer was given to the client's connection.
    Complete,
    /// The upstream broke off, and the relay with it.
    Broken,
    /// The client left.
    Abandoned,
}

impl AccessLog {
    /// Takes note of what the answer's body gave.
    pub(crate) fn saw(&mut self, frame: Option<&Result<Frame<Bytes>, AnswerBodyError>>) {
        match frame {
            Some(Ok(frame)) => self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(error)) => {
                tracing::warn!(request_id = self.id.as_ref().map(RequestId::as_str), %error, "answer broke off");
                self.end = End::Broken;
            }
            None => self.end = End::Complete,
        }
    }

    /// The answer has no body that would be polled to its end.
    pub(crate) fn complete(&mut self) {
        // What broke off has come to its end too.
        if !matches!(self.end, End::Broken) {
            self.end = End::Complete;
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let answered = self.answered.as_ref();
        let trace = answered.and_then(|answered| answered.trace.as_ref());
        let end = match self.end {
            // The client may have been told by an `error` event and a clean end.
            End::Complete if trace.is_some_and(|trace| trace.progress.is_cut_off()) => "broken",
            End::Complete => "complete",
            End::Broken => "broken",
            End::Abandoned => "abandoned",
        };
        let last = trace.and_then(|trace| trace.attempts.last());
        let content = trace.and_then(|trace| trace.progress.first_content()).zip(last);
        let usage = trace.and_then(|trace| trace.progress.end()).map(|(report, _)| report.usage);
        // A probe every few seconds is not what a log is read for.
        let is_probe = trace.is_none() && PROBES.contains(&&*self.path);
        log_event!(
            is_probe,
            request_id = self.id.as_ref().map(RequestId::as_str),
            method = self.method.as_str(),
            path = &*self.path,
            status = answered.map(|answered| answered.status.as_u16()),
            model = trace.map(|trace| &*trace.model),
            client = self.client.0.get().map(|name| &**name),
            provider = last.map(|attempt| attempt.provider.as_str()),
            attempts = trace.map(describe),
            error = answered.and_then(|answered| answered.error.as_deref()),
            head_ms = answered.map(|answered| answered.latency.as_millis() as u64),
            content_ms = content.map(|(at, attempt)| (at - attempt.started).as_millis() as u64),
            total_ms = self.started.elapsed().as_millis() as u64,
            bytes = self.bytes,
            input_tokens = usage.and_then(|usage| usage.input_tokens),
            cache_read_tokens = usage.and_then(|usage| usage.cache_read_input_tokens),
            cache_write_tokens = usage.and_then(|usage| usage.cache_creation_input_tokens),
            output_tokens = usage.and_then(|usage| usage.output_tokens),
            end,
            "request"
        );
    }
}

/// `zai/1f2e3d4c glm-5.3 529 overloaded 120ms, anthropic/… claude-opus-5-5 200 success 800ms`.
fn describe(trace: &RouteTrace) -> String {
    let attempts = trace.attempts.iter().map(|attempt| {
        let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
        let AttemptRecord { provider, credential, model, result, latency, .. } = attempt;
        let error = attempt.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        format!("{provider}/{credential} {model}{status} {result}{error} {}ms", latency.as_millis())
    });
    attempts.collect::<Vec<_>>().join(", ")
}
