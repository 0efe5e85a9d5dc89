//! One attempt at one candidate.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use relay_messages::trace_context::TraceContext;
use relay_providers::{Answer, AnswerStats, Attempt, AttemptError, Endpoint, OnBreak, Outcome, RelayRequest};
use tokio::time::Sleep;
use tracing::Span;

use crate::candidate::{AttemptFuture, CandidateService, CredentialId};
use crate::clock;
use crate::health::CircuitState;
use crate::plan::LeasedCandidate;

/// The terms of an attempt.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The limit for the response head.
    pub(super) head_timeout: Option<Duration>,
    /// `true` if another candidate can be tried after a failure.
    pub(super) has_fallback: bool,
    /// `true` if the answer need not be held back.
    pub(super) is_last: bool,
    pub(super) on_break: OnBreak,
    /// The trace of the request, if the server records traces.
    pub(super) trace: Option<Arc<TraceContext>>,
    /// The number of the attempt, counted from 0.
    pub(super) number: usize,
}

/// An attempt at one candidate, which may have a limit for its whole time.
///
/// If it is dropped, the permit and the reservation of the candidate are returned at once.
pub struct PlannedAttempt<'a> {
    request: &'a RelayRequest,
    terms: Terms,
    stats: AnswerStats,
    call: TracedCall<'a>,
    /// The limit of a count of tokens.
    limit: Option<Pin<Box<Sleep>>>,
    /// `None` after the end.
    leased: Option<LeasedCandidate<'a>>,
}

/// The result of an attempt at one candidate, which its circuit and its key have recorded.
pub struct EndedAttempt<'a> {
    pub(super) result: Result<Answer, AttemptError>,
    pub(super) leased: LeasedCandidate<'a>,
    pub(super) span: Span,
    pub(super) at: Instant,
    /// The circuit of the provider after the answer, or before the failure is counted.
    pub(super) circuit: CircuitState,
}

impl EndedAttempt<'_> {
    /// The answer of the upstream, or the reason for which there is none.
    pub fn result(&self) -> &Result<Answer, AttemptError> {
        &self.result
    }
}

impl<'a> PlannedAttempt<'a> {
    /// Creates an attempt at `leased`, which is made within `span`. The facts of its answer are collected in `stats`.
    pub(super) fn new(
        request: &'a RelayRequest,
        leased: LeasedCandidate<'a>,
        terms: Terms,
        span: Span,
        stats: AnswerStats,
    ) -> Self {
        let limit = terms.head_timeout.filter(|_| request.endpoint() == Endpoint::CountTokens);
        let limit = limit.map(|limit| Box::pin(tokio::time::sleep(limit)));
        let call = TracedCall { span, service: leased.candidate.service(), future: None };
        Self { request, terms, stats, call, limit, leased: Some(leased) }
    }
}

impl<'a> Future for PlannedAttempt<'a> {
    type Output = EndedAttempt<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<EndedAttempt<'a>> {
        let Self { request, terms, stats, call, limit, leased } = &mut *self;
        let entered = call.span.enter();
        let start = || call.service.start(terms.attempt(request).with_stats(stats.clone()));
        let result = match call.future.get_or_insert_with(start).as_mut().poll(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                let Some(limit) = limit else { return Poll::Pending };
                ready!(limit.as_mut().poll(cx));
                Err(AttemptError::HeadTimeout { after: terms.head_timeout.unwrap_or_default() })
            }
        };
        call.future = None;
        let Some(mut leased) = leased.take() else { unreachable!("it is not polled after its end") };
        let at = clock::now();
        let circuit = record(&mut leased, &result, at);
        drop(entered);
        let span = mem::replace(&mut call.span, Span::none());
        Poll::Ready(EndedAttempt { result, leased, span, at, circuit })
    }
}

impl Terms {
    fn attempt(&self, request: &RelayRequest) -> Attempt {
        Attempt::new(request.clone())
            .with_head_timeout(self.head_timeout)
            .with_has_fallback(self.has_fallback)
            .with_is_last(self.is_last)
            .with_on_break(self.on_break)
            .with_trace(self.trace.clone(), self.number)
    }
}

/// The call of a candidate's service. It is made, polled and dropped within the span of its attempt.
struct TracedCall<'a> {
    span: Span,
    service: &'a CandidateService,
    /// `None` before the first poll and after the end.
    future: Option<AttemptFuture>,
}

impl Drop for TracedCall<'_> {
    fn drop(&mut self) {
        if self.future.is_some() {
            let _entered = self.span.enter();
            self.future = None;
        }
    }
}

/// Records the result of an attempt in its lease. Returns the circuit for the trace.
fn record(
    leased: &mut LeasedCandidate<'_>,
    result: &Result<Answer, AttemptError>,
    now: Instant,
) -> CircuitState {
    let health = leased.pool.health();
    match result {
        Ok(answer) => {
            leased.lease.record_answer(answer, now);
            log_rejection(leased, answer);
            health.state(now)
        }
        Err(error) => {
            let circuit = health.state(now);
            leased.lease.record_error(error, now);
            circuit
        }
    }
}

/// Logs a rejected key of the relay. The operator has to repair it, even if another candidate serves the
/// request.
fn log_rejection(leased: &LeasedCandidate<'_>, answer: &Answer) {
    let credential = leased.candidate.credential();
    let is_rejected = answer.outcome == Outcome::CredentialRejected && !leased.lease.is_count();
    if is_rejected && *credential != CredentialId::Client {
        let (provider, status) = (leased.pool.name(), answer.response.status().as_u16());
        tracing::error!(%provider, key = %credential, status, "the upstream refuses the relay's credential");
    }
}
