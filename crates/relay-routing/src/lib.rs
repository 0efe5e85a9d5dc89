//! Routing: which upstream a request is sent to, and which is asked when that one fails.
//!
//! ```text
//! RelayRequest ─plan─▶ candidates ─failover─▶ one at a time, each with a lease ─▶ Routed { answer, trace }
//!   session, model      in order                circuit's pass, key's reservation      the lease ends with its body
//! ```
//! A candidate is one provider with one credential, and a tower service from `Attempt` to `Answer`. What an answer
//! means is said by its `Outcome`; this crate knows neither kinds of providers nor what a status stands for.
//!
//! [`Planner`] orders candidates and [`Failover`], a tower service, asks them. What they are made of stands alone:
//! [`SmoothWeighted`], [`ShuffleBag`] and [`ModelRoutes`] choose, [`Quota`] counts what keys use up, of [`Bucket`]s, [`Circuit`]
//! says when a provider is left alone, [`Affinity`] remembers where sessions live. They are plain data structures: those
//! that share a lock hold it for a few instructions, and the time is always an argument.

mod affinity;
mod candidate;
mod error;
mod failover;
mod failures;
mod health;
mod lease;
mod limits;
mod load;
mod lock;
mod plan;
mod route_trace;
mod session;

pub use affinity::Affinity;
pub use candidate::{Candidate, CandidateService, Credential, ProviderPool};
pub use error::{PlanError, RouteError, RouteErrorKind};
pub use failover::{Failover, FailoverSettings, Routed};
pub use health::{Circuit, CircuitSettings, CircuitState, Permit, Probe, ProbeSettings, Verdict};
pub use limits::{Bucket, Quota, RequestCost, Reservation, TokensUsed};
pub use plan::{Explanation, ModelRoutes, PlannedCandidate, Planner, ShuffleBag, SmoothWeighted};
pub use route_trace::{AttemptRecord, RouteTrace};
