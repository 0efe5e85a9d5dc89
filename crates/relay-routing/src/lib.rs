//! Routing: which upstream a request is sent to, and which is asked when that one fails.
//!
//! ```text
//! RelayRequest ─plan─▶ Plan ─failover─▶ Routed { answer, trail }
//!               candidates in order      one at a time, until an answer is final
//! ```
//! The plan follows a strategy. [`SmoothWeighted`], [`Deck`] and [`ModelRoutes`] are what strategies are made of, and are
//! plain data structures without locks, clocks or sources of chance of their own.
//!
//! A candidate is one provider with one credential, and a tower service from `Attempt` to `Answer`. What an answer
//! means is said by its `Outcome`; this crate knows neither kinds of providers nor what a status stands for.

mod affinity;
mod candidate;
mod error;
mod failover;
mod failures;
mod health;
mod lease;
mod load;
mod plan;
mod pool;
mod session;
mod trail;

pub use affinity::Affinity;
pub use candidate::{Candidate, Credential, Upstream, UpstreamService};
pub use error::{PlanError, RouteError, RouteErrorKind};
pub use failover::{Failover, FailoverSettings, Routed};
pub use health::{Circuit, CircuitSettings, CircuitState, Pass, Probe, ProbeSettings, Verdict};
pub use plan::{Deck, Explanation, ModelRoutes, PlannedCandidate, Planner, SmoothWeighted};
pub use pool::{Bucket, Quota};
pub use trail::{AttemptRecord, Trail};
