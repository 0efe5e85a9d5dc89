//! Failover: tries the candidates of a plan until an answer is final.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use relay_providers::{
    Answer, AnswerStats, Attempt, AttemptError, Deadline, Endpoint, OnBreak, Outcome, RelayRequest,
};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::attempt_log::AttemptLog;
use crate::candidate::{CredentialId, ProviderPool};
use crate::error::{RouteError, RouteErrorKind};
use crate::failures::Failures;
use crate::lease::LeasedBody;
use crate::plan::{LeasedCandidate, NextAttempt, Plan, Planner};
use crate::route_trace::RouteTrace;

/// The longest time of one attempt to count tokens, to the end of its answer. Anthropic counts in less than a second.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits of failover.
#[derive(Debug, Clone)]
pub struct FailoverSettings {
    /// The time after the first failed attempt during which a further attempt may be started. A running
    /// attempt is not cut.
    pub failover_timeout: Duration,
    /// The largest number of attempts for one request.
    pub max_attempts: NonZeroU32,
    /// The way in which a broken stream ends for the client.
    pub on_break: OnBreak,
}

/// A service that sends each request to its best candidate, and to the next one after a failure. Clones share
/// the planner.
///
/// Dropping the future cancels the running attempt and its upstream request. Its permit and its reservation
/// are returned at once.
#[derive(Debug, Clone)]
pub struct Failover {
    planner: Arc<Planner>,
    settings: FailoverSettings,
}

/// The final answer to a request.
#[derive(Debug)]
pub struct Routed {
    /// The answer of an upstream: a success, or a failure that is passed on.
    pub answer: Answer,
    /// The attempts that led to it, including the final one.
    pub trace: RouteTrace,
}

impl Failover {
    /// Creates the service over the candidates of `planner`.
    #[must_use]
    pub fn new(planner: Arc<Planner>, settings: FailoverSettings) -> Self {
        Self { planner, settings }
    }

    async fn route(self, request: RelayRequest) -> Result<Routed, RouteError> {
        let mut trace = RouteTrace {
            model: Arc::clone(request.body().model()),
            strategy: self.planner.strategy(),
            attempts: Vec::new(),
            circuit: None,
            answer_stats: AnswerStats::default(),
        };
        let plan = match self.planner.plan(&request, Instant::now()) {
            Ok(plan) => plan,
            Err(error) => return Err(RouteError { kind: error.into(), trace }),
        };
        let log = request.extensions().get::<AttemptLog>().cloned().unwrap_or_default();
        let result = self.run(plan, &request, &log, &mut trace).await;
        trace.attempts = log.take();
        match result {
            Ok(answer) => {
                trace.answer_stats = answer.stats.clone();
                Ok(Routed { answer, trace })
            }
            Err(kind) => Err(RouteError { kind, trace }),
        }
    }

    /// Tries the candidates of `plan` until an answer is final, no available candidate remains, or a limit is
    /// reached.
    async fn run(
        &self,
        mut plan: Plan<'_>,
        request: &RelayRequest,
        log: &AttemptLog,
        trace: &mut RouteTrace,
    ) -> Result<Answer, RouteErrorKind> {
        let deadline = request.deadline();
        let is_over = || deadline.is_some_and(|deadline| deadline.remaining().is_zero());
        let is_single = plan.len() == 1;
        let mut failures = Failures::default();
        let mut first_failure = None;
        let mut attempts_left = self.settings.max_attempts.get();
        while attempts_left > 0 {
            let now = Instant::now();
            let too_late =
                first_failure.is_some_and(|at: Instant| now - at >= self.settings.failover_timeout);
            if is_over() || too_late {
                break;
            }
            let mut leased = match plan.next(now) {
                NextAttempt::Try(leased) => leased,
                NextAttempt::Wait(until) => {
                    let limit = deadline.map_or(Duration::MAX, Deadline::remaining);
                    tokio::time::sleep(limit.min(until - now)).await;
                    continue;
                }
                NextAttempt::Exhausted => break,
            };
            attempts_left -= 1;
            let is_last = attempts_left == 0 || !plan.has_more(now);
            let limit = head_timeout(leased.pool, request, is_last, deadline.map(Deadline::remaining));
            let attempt = Attempt::new(request.clone())
                .with_head_timeout(limit)
                .with_has_fallback(!is_last)
                // After a failure the last answer is held back too: if it fails as well, an earlier one may
                // be more useful.
                .with_is_last(is_last && first_failure.is_none())
                .with_on_break(self.settings.on_break);
            let result = attempt_once(&mut leased, attempt, log, trace).await;
            let failure = match result {
                Ok(answer) if is_final(&answer) => return Ok(attach_lease(&plan, leased, answer)),
                failure => failure,
            };
            if failure.as_ref().is_ok_and(|answer| answer.is_account_rejected) {
                plan.drop_account(leased.candidate);
            }
            if is_provider_failure(&failure) {
                plan.demote(leased.index());
            }
            let credential = leased.candidate.credential().clone();
            if let Err(error) = &failure {
                leased.lease.record_error(error, Instant::now());
            }
            failures.add(leased.pool.name(), &credential, failure);
            first_failure.get_or_insert_with(Instant::now);
        }
        let timeout = deadline.filter(|_| is_over()).map(Deadline::limit);
        failures.most_useful(is_single, plan.blocked(Instant::now()), timeout)
    }
}

impl Service<RelayRequest> for Failover {
    type Response = Routed;
    type Error = RouteError;
    type Future = Pin<Box<dyn Future<Output = Result<Routed, RouteError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RouteError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RelayRequest) -> Self::Future {
        Box::pin(self.clone().route(request))
    }
}

/// Sends one attempt. Records it in `log`, the circuit in `trace` and, if there is an answer, the answer in the lease.
async fn attempt_once(
    leased: &mut LeasedCandidate<'_>,
    attempt: Attempt,
    log: &AttemptLog,
    trace: &mut RouteTrace,
) -> Result<Answer, AttemptError> {
    let model = leased.pool.mapped(&trace.model).as_ref().into();
    log.start(leased.pool.name().clone(), leased.candidate.credential().clone(), model);
    let is_count = attempt.request().endpoint() == Endpoint::CountTokens;
    let limit = attempt.head_timeout().filter(|_| is_count);
    let result = in_time(limit, leased.candidate.service().oneshot(attempt)).await;
    let ended = Instant::now();
    match &result {
        Ok(answer) => log.end(Some(answer.response.status().as_u16()), answer.outcome.as_str(), None),
        Err(error) => log.end(None, error.as_str(), Some(error.in_one_line())),
    }
    if let Ok(answer) = &result {
        leased.lease.record_answer(answer, ended);
        if !is_count {
            log_rejection(leased, answer);
        }
    }
    trace.circuit = Some(leased.pool.health().state(ended));
    result
}

/// Limits the time of a whole attempt.
async fn in_time(
    limit: Option<Duration>,
    attempt: impl Future<Output = Result<Answer, AttemptError>>,
) -> Result<Answer, AttemptError> {
    match limit {
        None => attempt.await,
        Some(after) => {
            tokio::time::timeout(after, attempt).await.unwrap_or(Err(AttemptError::HeadTimeout { after }))
        }
    }
}

/// Attaches the lease to the body of a final answer, and records the candidate that served the session.
fn attach_lease(plan: &Plan<'_>, leased: LeasedCandidate<'_>, answer: Answer) -> Answer {
    let id = leased.id();
    // A count does not move a session.
    let session = plan.session().filter(|_| plan.endpoint() == Endpoint::Messages);
    let session = session.map(|(affinity, session)| (Arc::clone(affinity), session));
    if let (Some((affinity, session)), Outcome::Success) = (&session, answer.outcome) {
        affinity.record_success(*session, &id, Instant::now());
    }
    let on_break = move || {
        if let Some((affinity, session)) = session {
            affinity.record_break(session, id, Instant::now());
        }
    };
    let stats = answer.stats.clone();
    let response =
        answer.response.map(|body| LeasedBody::new(body, leased.lease, stats, on_break).boxed_unsync());
    Answer { response, ..answer }
}

/// Returns the limit for the response head.
///
/// A streamed request is limited to the provider's first-byte timeout while another candidate remains. Other
/// requests get the remaining time, because their response begins only when it is complete. A count that takes long is
/// worth less than an estimate.
fn head_timeout(
    pool: &ProviderPool,
    request: &RelayRequest,
    is_last: bool,
    remaining: Option<Duration>,
) -> Option<Duration> {
    let limit = match request.endpoint() {
        Endpoint::CountTokens => pool.first_byte_timeout().min(COUNT_TIMEOUT),
        Endpoint::Messages if is_last || !request.body().is_stream() => return remaining,
        Endpoint::Messages => pool.first_byte_timeout(),
    };
    Some(remaining.map_or(limit, |remaining| remaining.min(limit)))
}

fn is_final(answer: &Answer) -> bool {
    !answer.outcome.may_fail_over()
}

/// Logs a rejected key of the relay. The operator has to repair it, even if another candidate serves the
/// request.
fn log_rejection(leased: &LeasedCandidate<'_>, answer: &Answer) {
    let credential = leased.candidate.credential();
    if answer.outcome == Outcome::CredentialRejected && *credential != CredentialId::Client {
        let (provider, status) = (leased.pool.name(), answer.response.status().as_u16());
        tracing::error!(%provider, key = %credential, status, "the upstream refuses the relay's credential");
    }
}

/// Returns `true` if the provider has failed, so that its other keys are unlikely to do better.
fn is_provider_failure(failure: &Result<Answer, AttemptError>) -> bool {
    match failure {
        Ok(answer) => {
            use Outcome::{Failed, ModelFailed, ModelUnavailable, Overloaded, Unsupported};
            matches!(
                answer.outcome,
                Failed | Overloaded { .. } | ModelUnavailable | ModelFailed | Unsupported
            )
        }
        Err(_) => true,
    }
}
