//! The order in which the candidates for a request are tried.
//!
//! ```text
//!            ┌ eligible ───────────────┐   ┌ ranked by availability ──────────────────────────────┐
//! providers ─┤ credential, features    ├─▶ preferred candidate ▸ strategy's choice ▸ by priority ─▶ Plan ─next─▶ Lease
//!            └ model listed, or last   ┘   └ demoted ones last: resting, rejected, interrupted   ┘
//! ```
//! Candidates of one provider are ordered by priority; among equal ones `pooling` decides. A plan depends on
//! the request, on the health of providers and keys, and on the rotations. Rotations advance under one lock,
//! so that concurrent requests take different turns. A plan is not fixed: each step checks again which
//! candidates are available.

mod attempts;
mod availability;
mod comparison;
mod demand;
mod eligibility;
mod explain;
mod model_routes;
mod planner;
mod ranked;
mod rotation;
mod shuffle_bag;
mod smooth_weighted;
mod tier;
mod usable;

pub(crate) use attempts::{Blocked, FailingProvider, LeasedCandidate, NextAttempt, Plan};
pub use comparison::Figure;
pub use explain::{PlanExplanation, PlannedCandidate};
pub use model_routes::ModelRoutes;
pub use planner::Planner;
pub use shuffle_bag::ShuffleBag;
pub use smooth_weighted::SmoothWeighted;

#[cfg(test)]
mod tests;
