//! The policy of the relay: the candidates of a plan, each with a lease.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use relay_config::Strategy;
use relay_messages::cut;
use relay_providers::{
    Answer, AnswerBody, AnswerStats, Attempt, AttemptError, Deadline, Endpoint, Outcome, RelayRequest,
};
use tokio::time::Sleep;
use tower::ServiceExt;
use tower::util::Oneshot;
use tracing::Span;
use tracing::instrument::{Instrument, Instrumented};

use super::policy::{Attempts, Policy, Step};
use super::settings::FailoverSettings;
use crate::attempt_log::AttemptLog;
use crate::candidate::{CandidateService, CredentialId, ProviderPool};
use crate::clock;
use crate::error::{PlanError, RouteError};
use crate::failures::Failures;
use crate::health::CircuitState;
use crate::lease::LeasedBody;
use crate::plan::{LeasedCandidate, NextAttempt, Plan, Planner};
use crate::route_trace::RouteTrace;
use crate::traced_body::TracedBody;

/// The longest time of one attempt to count tokens, to the end of its answer. Anthropic counts in less than a second.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// The final answer to a request.
#[derive(Debug)]
#[non_exhaustive]
pub struct Routed {
    /// The answer of an upstream: a success, or a failure that is passed on.
    pub answer: Answer,
    /// The attempts that led to it, including the final one.
    pub trace: RouteTrace,
}

/// The relay's policy: the candidates of a [`Planner`], best first, within limits. Clones share the planner.
///
/// If the attempts are dropped, the permit and the reservation of the running one are returned at once.
#[derive(Debug, Clone)]
pub struct PlannerPolicy {
    planner: Arc<Planner>,
    settings: FailoverSettings,
}

impl PlannerPolicy {
    /// Creates the policy over the candidates of `planner`.
    #[must_use]
    pub fn new(planner: Arc<Planner>, settings: FailoverSettings) -> Self {
        Self { planner, settings }
    }
}

impl Policy<RelayRequest> for PlannerPolicy {
    type Response = Routed;
    type Error = RouteError;
    type Attempts<'a> = PlannedAttempts<'a>;

    fn attempts<'a>(&'a self, request: &'a RelayRequest) -> PlannedAttempts<'a> {
        let plan = self.planner.plan(request, clock::now());
        PlannedAttempts {
            request,
            settings: &self.settings,
            plan,
            log: request.extensions().get::<AttemptLog>().cloned().unwrap_or_default(),
            strategy: self.planner.strategy(),
            circuit: None,
            running: None,
            failures: Failures::default(),
            first_failure: None,
            attempts_left: self.settings.max_attempts.get(),
        }
    }
}

/// The attempts of [`PlannerPolicy`] at one request.
pub struct PlannedAttempts<'a> {
    request: &'a RelayRequest,
    settings: &'a FailoverSettings,
    plan: Result<Plan<'a>, PlanError>,
    log: AttemptLog,
    strategy: Strategy,
    /// The circuit of the last attempt's provider, after that attempt.
    circuit: Option<CircuitState>,
    /// The candidate of the running attempt, and the attempt's span.
    running: Option<(LeasedCandidate<'a>, Span)>,
    failures: Failures,
    first_failure: Option<Instant>,
    attempts_left: u32,
}

impl<'a> PlannedAttempts<'a> {
    /// Returns `true` if the time of the request has passed, or that for further attempts.
    fn is_too_late(&self, now: Instant) -> bool {
        let after_failure = |at: Instant| now - at >= self.settings.failover_timeout;
        self.is_over() || self.first_failure.is_some_and(after_failure)
    }

    /// Returns `true` if the time of the request has passed.
    fn is_over(&self) -> bool {
        self.request.deadline().is_some_and(|deadline| deadline.remaining().is_zero())
    }

    /// Starts the attempt at `leased`. `has_more` is true if a further candidate remains.
    fn start(&mut self, leased: LeasedCandidate<'a>, has_more: bool) -> PlannedAttempt {
        self.attempts_left -= 1;
        let is_last = self.attempts_left == 0 || !has_more;
        let remaining = self.request.deadline().map(Deadline::remaining);
        let limit = head_timeout(leased.pool, self.request, is_last, remaining);
        let attempt = Attempt::new(self.request.clone())
            .with_head_timeout(limit)
            .with_has_fallback(!is_last)
            // After a failure the last answer is held back too: if it fails as well, an earlier one may
            // be more useful.
            .with_is_last(is_last && self.first_failure.is_none())
            .with_on_break(self.settings.on_break);
        let model: Box<str> = leased.pool.mapped(self.request.body().model()).as_ref().into();
        let span = self.span(&leased, &model);
        self.log.start(leased.pool.name().clone(), leased.candidate.credential().clone(), model);
        let limit = limit.filter(|_| self.is_count());
        let attempt = leased.candidate.service().oneshot(attempt).instrument(span.clone());
        self.running = Some((leased, span));
        PlannedAttempt::new(attempt, limit)
    }

    /// Opens the span of an attempt. Its level is `error`, so that an event of any enabled level carries it.
    fn span(&self, leased: &LeasedCandidate<'_>, model: &str) -> Span {
        let number = self.settings.max_attempts.get() - self.attempts_left;
        let provider = leased.pool.name().as_str();
        tracing::error_span!("attempt", provider, model = &*cut(model), attempt = number)
    }

    fn is_count(&self) -> bool {
        self.request.endpoint() == Endpoint::CountTokens
    }

    /// Records the result of an attempt: in the log, the circuit in the trace and, if there is an answer, the answer in the
    /// lease.
    fn record(&mut self, leased: &mut LeasedCandidate<'_>, result: &Result<Answer, AttemptError>) {
        let ended = clock::now();
        match result {
            Ok(answer) => {
                self.log.end(Some(answer.response.status().as_u16()), answer.outcome.as_str(), None);
                leased.lease.record_answer(answer, ended);
                if !self.is_count() {
                    log_rejection(leased, answer);
                }
            }
            Err(error) => self.log.end(None, error.as_str(), Some(error.in_one_line())),
        }
        self.circuit = Some(leased.pool.health().state(ended));
    }

    /// Removes what the failure rules out from the plan, and keeps the failure.
    fn fail(&mut self, leased: LeasedCandidate<'a>, failure: Result<Answer, AttemptError>) {
        if let Ok(plan) = &mut self.plan {
            if failure.as_ref().is_ok_and(|answer| answer.is_account_rejected) {
                plan.drop_account(leased.candidate);
            }
            if is_provider_failure(&failure) {
                plan.demote(leased.index());
            }
        }
        let credential = leased.candidate.credential().clone();
        if let Err(error) = &failure {
            leased.lease.record_error(error, clock::now());
        }
        self.failures.add(leased.pool.name(), &credential, failure);
        self.first_failure.get_or_insert_with(clock::now);
    }

    /// Returns `answer` with the trace of the attempts.
    fn routed(&self, answer: Answer) -> Routed {
        let trace = self.take_trace(answer.stats.clone());
        Routed { answer, trace }
    }

    fn take_trace(&self, answer_stats: AnswerStats) -> RouteTrace {
        RouteTrace {
            model: Arc::clone(self.request.body().model()),
            strategy: self.strategy,
            attempts: self.log.take(),
            circuit: self.circuit,
            answer_stats,
        }
    }
}

impl Attempts for PlannedAttempts<'_> {
    type Attempt = PlannedAttempt;
    type Response = Routed;
    type Error = RouteError;

    fn next(&mut self) -> Step<PlannedAttempt> {
        let now = clock::now();
        if self.attempts_left == 0 || self.is_too_late(now) {
            return Step::Stop;
        }
        let Ok(plan) = &mut self.plan else { return Step::Stop };
        match plan.next(now) {
            NextAttempt::Try(leased) => {
                let has_more = plan.has_more(now);
                Step::Try(self.start(leased, has_more))
            }
            NextAttempt::Wait(until) => {
                let limit = self.request.deadline().map_or(Duration::MAX, Deadline::remaining);
                Step::Wait(limit.min(until - now))
            }
            NextAttempt::Exhausted => Step::Stop,
        }
    }

    fn judge(&mut self, result: Result<Answer, AttemptError>) -> ControlFlow<Result<Routed, RouteError>> {
        let Some((mut leased, span)) = self.running.take() else { unreachable!("an attempt was started") };
        let _entered = span.enter();
        self.record(&mut leased, &result);
        match (result, &self.plan) {
            (Ok(answer), Ok(plan)) if is_final(&answer) => {
                let answer = attach_lease(plan, leased, answer, span.clone());
                ControlFlow::Break(Ok(self.routed(answer)))
            }
            (failure, _) => {
                self.fail(leased, failure);
                ControlFlow::Continue(())
            }
        }
    }

    fn give_up(mut self) -> Result<Routed, RouteError> {
        let timeout = self.request.deadline().filter(|_| self.is_over()).map(Deadline::limit);
        let failures = std::mem::take(&mut self.failures);
        let result = match &self.plan {
            Ok(plan) => failures.most_useful(plan.is_single(), plan.blocked(clock::now()), timeout),
            Err(error) => Err(error.clone().into()),
        };
        match result {
            Ok(answer) => Ok(self.routed(answer)),
            Err(kind) => Err(RouteError { kind, trace: self.take_trace(AnswerStats::default()) }),
        }
    }
}

pin_project! {
    /// An attempt at one candidate, which may have a limit for its whole time.
    pub struct PlannedAttempt {
        #[pin]
        attempt: Instrumented<Oneshot<CandidateService, Attempt>>,
        #[pin]
        limit: Option<Sleep>,
        after: Duration,
    }
}

impl PlannedAttempt {
    fn new(attempt: Instrumented<Oneshot<CandidateService, Attempt>>, limit: Option<Duration>) -> Self {
        Self { attempt, limit: limit.map(tokio::time::sleep), after: limit.unwrap_or_default() }
    }
}

impl Future for PlannedAttempt {
    type Output = Result<Answer, AttemptError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.attempt.poll(cx) {
            return Poll::Ready(result);
        }
        match this.limit.as_pin_mut().map(|limit| limit.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(AttemptError::HeadTimeout { after: *this.after })),
            _ => Poll::Pending,
        }
    }
}

/// Attaches the lease to the body of a final answer, and records the candidate that served the session.
fn attach_lease(plan: &Plan<'_>, leased: LeasedCandidate<'_>, answer: Answer, span: Span) -> Answer {
    let id = leased.id();
    // A count does not move a session.
    let session = plan.session().filter(|_| plan.endpoint() == Endpoint::Messages);
    let session = session.map(|(affinity, session)| (Arc::clone(affinity), session));
    if let (Some((affinity, session)), Outcome::Success) = (&session, answer.outcome) {
        affinity.record_success(*session, &id, clock::now());
    }
    let on_break = move || {
        if let Some((affinity, session)) = session {
            affinity.record_break(session, id, clock::now());
        }
    };
    let stats = answer.stats.clone();
    answer.map_body(|body| {
        let body = LeasedBody::new(body, leased.lease, stats, on_break);
        AnswerBody::new(TracedBody::new(span, body))
    })
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
        _ if is_last || !request.body().is_stream() => return remaining,
        _ => pool.first_byte_timeout(),
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
