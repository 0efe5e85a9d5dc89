//! Budgets of clients: a layer that refuses the requests of a client that has spent its money.
//!
//! ```text
//! request ─▶ SpendingLimit ── the client has money left ─▶ inner service ─▶ response, with a warning from 80 % on
//!                 │        └─ its budget is spent ─▶ BudgetSpent
//!                 └─ Spending: the amount that the client has spent in the period
//! ```
//! A client is named by the [`Client`](crate::auth::Client) in the extensions, which [`auth`](crate::auth) puts there. The amounts
//! come from a [`Spending`] of the program, since the relay has no prices and no memory of its own. A client without a budget
//! passes.
//!
//! A request is admitted as long as anything of the budget is left, since its cost is known at its end only. A client therefore
//! exceeds its budget by the cost of the requests that are in flight when it is spent. Limits on requests in flight
//! (`max_concurrent`) bound that amount.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use relay_config::{Budget, BudgetPeriod};
//! use relay_routing::Usd;
//! use relay_server::auth::Client;
//! use relay_server::respond::RespondLayer;
//! use relay_server::spending::SpendingLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spent = |client: &str, _since: SystemTime| Usd::from_nanos(if client == "alice" { 9_000_000_000 } else { 0 });
//! let call = |budget: f64| {
//!     let budget = Budget::new(budget, BudgetPeriod::Day);
//!     let service = ServiceBuilder::new()
//!         .layer(RespondLayer::new()) // turns the error of the next layer into a 429
//!         .layer(SpendingLayer::new(Arc::new(spent)).with_client("alice", budget))
//!         .service(service_fn(|_: Request<()>| async {
//!             Ok::<_, std::io::Error>(Response::new(Full::<bytes::Bytes>::from("{}")))
//!         }));
//!     let mut request = Request::new(());
//!     request.extensions_mut().insert(Client::new("alice"));
//!     service.oneshot(request)
//! };
//! let refused = call(5.0).await?;
//! assert_eq!(refused.status(), 429);
//! assert_eq!(refused.headers()["x-should-retry"], "false");
//! assert!(call(10.0).await?.headers().contains_key("x-cc-relay-budget-warning"));
//! assert!(!call(100.0).await?.headers().contains_key("x-cc-relay-budget-warning"));
//! # Ok(())
//! # }
//! ```

mod error;
mod future;
mod layer;
mod period;

pub use error::BudgetSpent;
pub use future::SpendingFuture;
pub use layer::{Spending, SpendingLayer, SpendingLimit};
pub use period::{BudgetSpan, budget_span};
