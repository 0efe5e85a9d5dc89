//! Observation and administration of a relay: metrics, usage and cost, budgets, the admin API and the dashboard.
//!
//! ```text
//! Relay ─ RecordSubscriber ─▶ RequestRecord ─┬─▶ metrics   Prometheus text
//!                                            ├─▶ ledger    usage and cost, in a database
//!                                            ├─▶ recent    the last requests, and a stream of events
//!                                            ├─▶ series    figures of the last hour
//!                                            └─▶ prompt_cache  the cache reads of each session
//! operator ── admin API, dashboard ──▶ Reloadable
//! ```
//! Every part subscribes to the one record of a request. The data path never waits for any of it: queues are bounded, and what
//! does not fit is dropped and counted. [`observers`] composes all of them, behind one queue.

pub mod api;
pub mod backlog;
pub mod budget;
mod cost;
#[cfg(feature = "dashboard")]
pub mod dashboard;
pub mod events;
mod fast_map;
#[cfg(feature = "ledger")]
pub mod ledger;
pub mod metrics;
pub mod model;
pub mod observers;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod prices;
pub mod prompt_cache;
pub mod recent;
pub mod series;
pub mod serve;
mod trace_demand;
mod worker;

pub use trace_demand::demanded_traces;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
