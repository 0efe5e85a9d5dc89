//! Failover: tries one service after the other until a result is final.
//!
//! ```text
//! request ─▶ Failover<P> ── P: Policy ─▶ Attempts::next ─▶ one attempt ─▶ Attempts::judge ─ final ─▶ result
//!                                              ▲                                          │
//!                                              └──────────── failed: the next one ────────┘
//! ```
//! A [`Policy`] makes the decisions: the next service and the request that it gets, the results that count as failures, and the end
//! of the attempts. [`InOrder`] is a policy for any services of one type. [`PlannerPolicy`] is the relay's own, over the
//! candidates of a [`Planner`](crate::Planner).
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use relay_routing::{Failover, InOrder, is_unavailable};
//! use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), std::io::Error> {
//! let upstream = |status: StatusCode| {
//!     BoxCloneSyncService::new(service_fn(move |request: Request<Full<Bytes>>| async move {
//!         let mut response = Response::new(request.into_body());
//!         *response.status_mut() = status;
//!         Ok::<_, std::io::Error>(response)
//!     }))
//! };
//! let busy = upstream(StatusCode::SERVICE_UNAVAILABLE);
//! let failover = Failover::of(InOrder::new(busy, is_unavailable).then(upstream(StatusCode::OK)));
//! let response = failover.oneshot(Request::new(Full::from("body"))).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//! A result that a policy calls final is handed on, and no other service is tried from then on: a response whose head has left
//! cannot be taken back. A policy that judges a stream by its first events therefore reads them before it judges.

mod attempt;
mod in_order;
mod planned;
mod policy;
mod service;
mod settings;

pub use attempt::{EndedAttempt, PlannedAttempt};
pub use in_order::{InOrder, InOrderAttempt, InOrderAttempts, is_unavailable};
pub use planned::{PlannedAttempts, PlannerPolicy, Routed};
pub use policy::{Attempts, Policy, Step};
pub use service::Failover;
pub use settings::FailoverSettings;
