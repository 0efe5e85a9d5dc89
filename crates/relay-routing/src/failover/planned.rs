//! The policy of the relay: the candidates of a plan, each with a lease.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, Response};
use relay_config::Strategy;
use relay_messages::cut;
use relay_providers::{
    Answer, AnswerBody, AnswerStats, AttemptError, Deadline, Endpoint, Outcome, RelayRequest,
};
use tracing::Span;

use super::attempt::{EndedAttempt, PlannedAttempt, Terms};
use super::policy::{Attempts, Policy, Step};
use super::settings::FailoverSettings;
use crate::affinity::ServedSession;
use crate::attempt_log::{AttemptLog, LoggedRequest, ResponseHead};
use crate::candidate::ProviderPool;
use crate::clock;
use crate::error::{PlanError, RouteError};
use crate::failures::Failures;
use crate::health::CircuitState;
use crate::leased_body::LeasedBody;
use crate::plan::{LeasedCandidate, NextAttempt, Plan, Planner};
use crate::route_trace::RouteTrace;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

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

    fn plan<'a>(&'a self, request: &'a RelayRequest, log: AttemptLog) -> PlannedAttempts<'a> {
        let now = clock::now();
        PlannedAttempts {
            request,
            settings: &self.settings,
            plan: self.planner.plan(request, now),
            planned_at: Some(now),
            log,
            strategy: self.planner.strategy(),
            circuit: None,
            failures: None,
            first_failure: None,
            attempts_left: self.settings.max_attempts.get(),
        }
    }
}

impl Policy<LoggedRequest> for PlannerPolicy {
    type Response = Routed;
    type Error = RouteError;
    type Attempts<'a> = PlannedAttempts<'a>;

    fn attempts<'a>(&'a self, request: &'a LoggedRequest) -> PlannedAttempts<'a> {
        self.plan(&request.request, request.log.clone())
    }
}

impl Policy<RelayRequest> for PlannerPolicy {
    type Response = Routed;
    type Error = RouteError;
    type Attempts<'a> = PlannedAttempts<'a>;

    fn attempts<'a>(&'a self, request: &'a RelayRequest) -> PlannedAttempts<'a> {
        self.plan(request, request.extensions().get().cloned().unwrap_or_default())
    }
}

/// The attempts of [`PlannerPolicy`] at one request.
pub struct PlannedAttempts<'a> {
    request: &'a RelayRequest,
    settings: &'a FailoverSettings,
    plan: Result<Plan<'a>, PlanError>,
    /// The time of the plan, at which the first attempt starts; `None` after that.
    planned_at: Option<Instant>,
    log: AttemptLog,
    strategy: Strategy,
    /// The circuit of the last attempt's provider, after that attempt.
    circuit: Option<CircuitState>,
    /// `None` before the first failure.
    failures: Option<Box<Failures>>,
    first_failure: Option<Instant>,
    attempts_left: u32,
}

impl<'a> PlannedAttempts<'a> {
    /// Returns `true` if the time for further attempts has passed.
    fn is_too_late(&self, now: Instant) -> bool {
        self.first_failure.is_some_and(|at| now - at >= self.settings.failover_timeout)
    }

    /// Returns the time that remains for the request, if it has a limit.
    fn remaining(&self, now: Instant) -> Option<Duration> {
        self.request.deadline().map(|deadline| deadline.remaining_at(now))
    }

    /// Starts the attempt at `leased` in the `remaining` time of the request. `has_more` is true if a further candidate remains.
    fn start(
        &mut self,
        leased: LeasedCandidate<'a>,
        has_more: bool,
        remaining: Option<Duration>,
        now: Instant,
    ) -> PlannedAttempt<'a> {
        self.attempts_left -= 1;
        let is_last = self.attempts_left == 0 || !has_more;
        let terms = Terms {
            head_timeout: head_timeout(leased.pool, self.request, is_last, remaining),
            has_fallback: !is_last,
            // After a failure the last answer is held back too: if it fails as well, an earlier one may
            // be more useful.
            is_last: is_last && self.first_failure.is_none(),
            on_break: self.settings.on_break,
            trace: self.request.extensions().get().cloned(),
            number: self.number() - 1,
        };
        let model = leased.pool.mapped(self.request.body().model());
        let span = self.span(&leased, &model);
        let stats = AnswerStats::default();
        let (pool, credential) = (leased.pool, leased.candidate.credential().clone());
        self.log.start_at(now, pool.name().clone(), pool.kind(), credential, model, Some(stats.clone()));
        PlannedAttempt::new(self.request, leased, terms, span, stats)
    }

    /// Opens the span of an attempt. Its level is `error`, so that an event of any enabled level carries it.
    fn span(&self, leased: &LeasedCandidate<'_>, model: &str) -> Span {
        let number = self.number();
        let provider = leased.pool.name().as_str();
        tracing::error_span!("attempt", provider, model = &*cut(model), attempt = number)
    }

    /// The number of the attempt that was started last, counted from 1.
    fn number(&self) -> usize {
        (self.settings.max_attempts.get() - self.attempts_left) as usize
    }

    /// Ends the last attempt in the log.
    fn log_end(&self, result: &Result<Answer, AttemptError>, now: Instant) {
        match result {
            Ok(answer) => {
                let status = Some(answer.response.status().as_u16());
                let id = answer.response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
                // A translated error of an upstream that sent no id carries the relay's.
                let request_id = id.filter(|id| Some(*id) != self.request.id());
                let head = ResponseHead { status, request_id };
                self.log.end_at(now, head, answer.outcome.as_str(), None, is_final(answer));
            }
            Err(error) => {
                let head = ResponseHead::default();
                self.log.end_at(now, head, error.as_str(), Some(error.in_one_line()), false);
            }
        }
    }

    /// Removes what the failure rules out from the plan, and keeps the failure.
    fn fail(&mut self, leased: &LeasedCandidate<'a>, failure: Result<Answer, AttemptError>, now: Instant) {
        if let Ok(plan) = &mut self.plan {
            if failure.as_ref().is_ok_and(|answer| answer.is_account_rejected) {
                plan.drop_account(leased.candidate);
            }
            if is_provider_failure(&failure) {
                plan.demote(leased.index());
            }
        }
        let failures = self.failures.get_or_insert_default();
        failures.add(leased.pool.name(), leased.candidate.credential(), failure);
        self.first_failure.get_or_insert(now);
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

impl<'a> Attempts for PlannedAttempts<'a> {
    type Attempt = PlannedAttempt<'a>;
    type Response = Routed;
    type Error = RouteError;

    fn next(&mut self) -> Step<PlannedAttempt<'a>> {
        let now = self.planned_at.take().unwrap_or_else(clock::now);
        let remaining = self.remaining(now);
        if self.attempts_left == 0 || remaining == Some(Duration::ZERO) || self.is_too_late(now) {
            return Step::Stop;
        }
        let Ok(plan) = &mut self.plan else { return Step::Stop };
        match plan.next(now) {
            NextAttempt::Try(leased) => {
                let has_more = plan.has_more(now);
                Step::Try(self.start(leased, has_more, remaining, now))
            }
            NextAttempt::Wait(until) => Step::Wait(remaining.unwrap_or(Duration::MAX).min(until - now)),
            NextAttempt::Exhausted => Step::Stop,
        }
    }

    fn judge(&mut self, ended: EndedAttempt<'a>) -> ControlFlow<Result<Routed, RouteError>> {
        let EndedAttempt { result, leased, span, at, circuit } = ended;
        self.log_end(&result, at);
        self.circuit = Some(circuit);
        match (result, &self.plan) {
            (Ok(answer), Ok(plan)) if is_final(&answer) => {
                let answer = attach_lease(plan, leased, answer, span, at);
                ControlFlow::Break(Ok(self.routed(answer)))
            }
            (failure, _) => {
                self.fail(&leased, failure, at);
                ControlFlow::Continue(())
            }
        }
    }

    fn give_up(mut self) -> Result<Routed, RouteError> {
        let now = clock::now();
        let is_over = self.remaining(now) == Some(Duration::ZERO);
        let timeout = self.request.deadline().filter(|_| is_over).map(Deadline::limit);
        let failures = self.failures.take().unwrap_or_default();
        let result = match &self.plan {
            Ok(plan) => failures.most_useful(plan.is_single(), plan.blocked(now), timeout),
            Err(error) => Err(error.clone().into()),
        };
        match result {
            Ok(answer) => Ok(self.routed(answer)),
            Err(kind) => Err(RouteError { kind, trace: self.take_trace(AnswerStats::default()) }),
        }
    }
}

/// Attaches the lease to the body of a final answer, and records the candidate that served the session.
fn attach_lease(
    plan: &Plan<'_>,
    leased: LeasedCandidate<'_>,
    mut answer: Answer,
    span: Span,
    now: Instant,
) -> Answer {
    // A count does not move a session.
    let session = plan.session().filter(|_| plan.endpoint() == Endpoint::Messages);
    let session = session.map(|(affinity, session)| ServedSession::new(affinity, session, leased.id()));
    if let (Some(session), Outcome::Success) = (&session, answer.outcome) {
        session.record_success(now);
    }
    let (head, body) = answer.response.into_parts();
    let is_silent = leased.candidate.service().has_silent_bodies();
    let body = LeasedBody::new(body, leased.lease, answer.stats.clone(), session, span);
    let body = body.with_silent_frames(is_silent);
    answer.response = Response::from_parts(head, AnswerBody::new(body));
    answer
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
