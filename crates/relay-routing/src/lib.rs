//! Routing: which upstream a request is sent to, and which is asked when that one fails.
//!
//! ```text
//! RelayRequest ─plan─▶ Plan ─failover─▶ Routed { answer, trail }
//!               candidates in order      one at a time, until an answer is final
//! ```
//! A candidate is one provider with one credential, and a tower service from `Attempt` to `Answer`. What an answer
//! means is said by its `Outcome`; this crate knows neither kinds of providers nor what a status stands for.

mod candidate;
mod error;
mod failover;
mod plan;
mod trail;

pub use candidate::{Candidate, Credential, Upstream, UpstreamService};
pub use error::{PlanError, RouteError, RouteErrorKind};
pub use failover::{Failover, FailoverSettings, Routed};
pub use plan::{Plan, Planner};
pub use trail::{AttemptRecord, Trail};
