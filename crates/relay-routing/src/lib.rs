//! Routing: orders the candidates for a request and tries them until one answers.
//!
//! ```text
//! RelayRequest ─Planner─▶ Plan: candidates, best first ─Failover─▶ one at a time ──▶ Routed { answer, trace }
//!   session, model          health, limits, strategy      each holds a Lease:         the lease ends with
//!                                                         permit and reservation      the answer's body
//! ```
//! A candidate is one provider with one credential, and a tower service from `Attempt` to `Answer`.
//! [`Planner`] orders candidates; [`Failover`] is the tower service that tries them.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use http::{HeaderMap, Response};
//! use relay_config::{ProviderName, Strategy};
//! use relay_messages::MessagesBody;
//! use relay_providers::{Answer, AnswerBody, AttemptError, Endpoint, Outcome, RelayRequest};
//! use relay_routing::{
//!     Candidate, CandidateService, CredentialId, Failover, FailoverSettings, Planner, ProviderPool,
//! };
//! use tower::{ServiceExt, service_fn};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Two providers. The first one fails, so that the second one serves the request.
//! let pools = [false, true].map(|works| {
//!     let service = service_fn(move |_attempt| async move {
//!         if !works {
//!             return Err(AttemptError::Connect("connection refused".into()));
//!         }
//!         let body = AnswerBody::default();
//!         Ok(Answer::new(Outcome::Success, Response::new(body)))
//!     });
//!     let name = ProviderName::new(if works { "second" } else { "first" });
//!     let candidate = Candidate::new(CredentialId::None, 1, CandidateService::new(service));
//!     ProviderPool::new(name, vec![], Duration::from_secs(90), vec![candidate])
//! });
//! let planner = Planner::new(pools.into(), Strategy::Failover, false);
//! let settings = FailoverSettings::default().with_failover_timeout(Duration::from_secs(10));
//! let failover = Failover::new(Arc::new(planner), settings);
//!
//! let body = MessagesBody::parse(r#"{"model":"claude-opus-5-5","messages":[]}"#.into())?;
//! let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body);
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! let routed = runtime.block_on(failover.oneshot(request))?;
//!
//! let attempts: Vec<_> =
//!     routed.trace.attempts.iter().map(|a| (a.provider.as_str(), a.result)).collect();
//! assert_eq!(attempts, [("first", "connect"), ("second", "success")]);
//! # Ok(())
//! # }
//! ```
//!
//! The parts are public data structures that work alone: [`SmoothWeighted`], [`ShuffleBag`] and
//! [`ModelRoutes`] choose, [`Quota`] counts the usage of a key, [`Circuit`] stops requests to
//! a failing provider, [`AffinityTable`] records the candidate of each session. Shared state is locked for a few
//! instructions at a time, and the current time is an argument.
//!
//! The crate does not know kinds of providers or status codes: the meaning of an answer is its
//! [`Outcome`](relay_providers::Outcome), which relay-providers determines. HTTP responses for errors are
//! built by relay-server.

mod affinity;
mod attempt_log;
mod candidate;
mod clock;
mod control;
mod error;
mod failover;
mod failures;
mod health;
mod lease;
mod leased_body;
mod limits;
mod load;
mod lock;
mod plan;
mod pricing;
mod route_trace;
mod session;
mod state;

pub use affinity::AffinityTable;
pub use attempt_log::{AttemptLog, AttemptRecord, LoggedRequest, ModelCost};
pub use candidate::{Candidate, CandidateService, CredentialId, ProviderPool};
pub use error::{PlanError, RouteError, RouteErrorKind};
pub use failover::{
    Attempts, EndedAttempt, Failover, FailoverSettings, InOrder, InOrderAttempt, InOrderAttempts,
    PlannedAttempt, PlannedAttempts, PlannerPolicy, Policy, Routed, Step, is_unavailable,
};
pub use health::{Circuit, CircuitSettings, CircuitState, Permit, Probe, ProbeSettings, Verdict};
pub use limits::{LimitLevel, Quota, RequestCost, Reservation, TokensUsed};
pub use plan::{Figure, ModelRoutes, PlanExplanation, PlannedCandidate, Planner, ShuffleBag, SmoothWeighted};
pub use pricing::{Pricing, Usd};
pub use route_trace::RouteTrace;
pub use session::named_session;
pub use state::{KeyState, ModelTime, PoolState, RestingModel};

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
