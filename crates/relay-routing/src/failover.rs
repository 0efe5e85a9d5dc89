//! One candidate at a time, until an answer is final.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use relay_config::ProviderName;
use relay_providers::{Answer, Attempt, AttemptError, Deadline, Outcome, RelayRequest};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::candidate::{Candidate, Credential, Upstream};
use crate::error::{RouteError, RouteErrorKind};
use crate::plan::Planner;
use crate::trail::{AttemptRecord, Trail};

/// How long and how often other candidates are tried.
#[derive(Debug, Clone)]
pub struct FailoverSettings {
    /// From the first failed attempt on, how long a further attempt may still be started.
    pub failover_timeout: Duration,
    /// Upstream attempts for one request.
    pub max_attempts: NonZeroU32,
}

/// Sends each request to the best candidate, and to the next one where that may help. Cloning shares the plan.
///
/// Dropping the future cancels the attempt under way, and with it the upstream request.
#[derive(Debug, Clone)]
pub struct Failover {
    planner: Arc<Planner>,
    settings: FailoverSettings,
}

/// The final answer to a request.
#[derive(Debug)]
pub struct Routed {
    /// An upstream's answer, good or bad.
    pub answer: Answer,
    /// Whose it is, and what was tried before.
    pub trail: Trail,
}

impl Failover {
    /// Tries what `planner` says.
    #[must_use]
    pub fn new(planner: Arc<Planner>, settings: FailoverSettings) -> Self {
        Self { planner, settings }
    }

    async fn route(self, request: RelayRequest) -> Result<Routed, RouteError> {
        let deadline = request.deadline();
        let is_over = || deadline.is_some_and(|deadline| deadline.remaining().is_zero());
        let model = Arc::clone(request.body().model());
        let mut trail = Trail { model, strategy: self.planner.strategy(), attempts: Vec::new() };
        let plan = match self.planner.plan(&request) {
            Ok(plan) => plan,
            Err(error) => return Err(RouteError { kind: error.into(), trail }),
        };
        let planned = plan.len();
        let tries = planned.min(self.settings.max_attempts.get() as usize);
        let mut failures = Failures::default();
        let mut first_failure = None;
        for (index, (upstream, candidate)) in plan.take(tries).enumerate() {
            let now = Instant::now();
            let too_late =
                first_failure.is_some_and(|at: Instant| now - at >= self.settings.failover_timeout);
            if is_over() || too_late {
                break;
            }
            let is_last = index + 1 == tries;
            let limit = head_timeout(upstream, &request, is_last, deadline.map(Deadline::remaining));
            let attempt = Attempt::new(request.clone()).with_head_timeout(limit).with_is_last(is_last);
            let result = candidate.service().oneshot(attempt).await;
            trail.attempts.push(record(upstream, candidate, &result, now.elapsed()));
            match result {
                Ok(answer) if is_final(&answer) => return Ok(Routed { answer, trail }),
                failure => failures.add(upstream.name(), candidate.credential(), failure),
            }
            first_failure.get_or_insert_with(Instant::now);
        }
        let timeout = deadline.filter(|_| is_over()).map(Deadline::limit);
        match failures.most_useful(planned == 1, timeout) {
            Ok(answer) => Ok(Routed { answer, trail }),
            Err(kind) => Err(RouteError { kind, trail }),
        }
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

/// A streamed request does not wait long for its first byte while somebody else could answer it; another one may take
/// its time, since nothing comes of it before it is complete.
fn head_timeout(
    upstream: &Upstream,
    request: &RelayRequest,
    is_last: bool,
    remaining: Option<Duration>,
) -> Option<Duration> {
    if is_last || !request.body().is_stream() {
        return remaining;
    }
    let limit = upstream.first_byte_timeout();
    Some(remaining.map_or(limit, |remaining| remaining.min(limit)))
}

fn is_final(answer: &Answer) -> bool {
    !answer.outcome.may_fail_over()
}

fn record(
    upstream: &Upstream,
    candidate: &Candidate,
    result: &Result<Answer, AttemptError>,
    latency: Duration,
) -> AttemptRecord {
    let (status, result) = match result {
        Ok(answer) => (Some(answer.response.status().as_u16()), answer.outcome.as_str()),
        Err(error) => (None, error.as_str()),
    };
    let (provider, credential) = (upstream.name().clone(), candidate.credential().clone());
    AttemptRecord { provider, credential, status, result, latency }
}

/// What went wrong so far, as far as the client might be told of it. Keeps the few answers that may become final.
#[derive(Default)]
struct Failures {
    /// The rate limit that ends soonest.
    limited: Option<(Option<Duration>, Answer)>,
    /// Whether there was an overload, and when the soonest one ends.
    overloaded: Option<Option<Duration>>,
    /// The last failure of any kind but the credential's, and whose it was.
    last: Option<(ProviderName, Result<Answer, AttemptError>)>,
    /// The last refusal of a credential of ours.
    rejected: Option<RouteErrorKind>,
}

impl Failures {
    fn add(
        &mut self,
        provider: &ProviderName,
        credential: &Credential,
        failure: Result<Answer, AttemptError>,
    ) {
        let provider = provider.clone();
        let answer = match failure {
            Ok(answer) => answer,
            Err(source) => {
                self.last = Some((provider, Err(source)));
                return;
            }
        };
        match answer.outcome {
            Outcome::CredentialRejected if *credential != Credential::Client => {
                let status = answer.response.status().as_u16();
                self.rejected = Some(RouteErrorKind::CredentialRejected { provider, status });
            }
            Outcome::RateLimited { retry_after, .. } => {
                let is_sooner = match &self.limited {
                    None => true,
                    Some((soonest, _)) => {
                        retry_after.is_some_and(|new| soonest.is_none_or(|soonest| new < soonest))
                    }
                };
                if is_sooner {
                    self.limited = Some((retry_after, answer));
                }
            }
            Outcome::Overloaded { retry_after } => {
                let soonest = self.overloaded.flatten().into_iter().chain(retry_after).min();
                self.overloaded = Some(soonest);
                self.last = Some((provider, Ok(answer)));
            }
            _ => self.last = Some((provider, Ok(answer))),
        }
    }

    /// What the client gets, by SPEC's order: with a single candidate its own answer; else a limit, since waiting will
    /// help; else an overload; else what came last, if it is in Anthropic's form.
    fn most_useful(self, single: bool, timeout: Option<Duration>) -> Result<Answer, RouteErrorKind> {
        if let Some((_, answer)) = self.limited {
            return Ok(answer);
        }
        if let (Some(retry_after), false) = (self.overloaded, single) {
            return Err(RouteErrorKind::Overloaded { retry_after });
        }
        match (timeout, self.last, self.rejected) {
            (_, Some((provider, Ok(answer))), _) if answer.is_foreign_error && !single => {
                let status = answer.response.status().as_u16();
                Err(RouteErrorKind::Foreign { provider, status })
            }
            (_, Some((_, Ok(answer))), _) => Ok(answer),
            (Some(after), _, _) => Err(RouteErrorKind::Timeout { after }),
            (None, Some((provider, Err(source))), _) => Err(RouteErrorKind::Attempt { provider, source }),
            (None, None, Some(rejected)) => Err(rejected),
            // A plan is never empty, so that something failed; if nothing was started, time was over from the start.
            (None, None, None) => Err(RouteErrorKind::Timeout { after: Duration::ZERO }),
        }
    }
}
