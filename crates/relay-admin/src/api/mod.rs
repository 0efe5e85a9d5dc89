//! The admin API: the state of the relay and its last requests as JSON, events, and the actions of an operator.
//!
//! ```text
//! listener ─▶ Site: host, origin, errors ─▶ token ─▶ compression ─▶ handlers ─▶ Reloadable, Recent, Series, Events
//! ```
//! The description in OpenAPI 3.1 is made of the handlers and their types, and is served at `/admin/v1/openapi.json`.

mod admin;
mod app;
mod budgets;
mod caller;
mod control;
mod description;
mod event_stream;
mod extract;
mod fallback;
mod hook;
mod live;
mod metrics;
mod metrics_site;
#[cfg(feature = "dashboard")]
mod page;
mod parts;
mod problem;
mod reload;
mod requests;
mod router;
mod series;
mod sessions;
mod state;
mod token;
#[cfg(feature = "ledger")]
mod usage;

pub use admin::Admin;
pub use hook::{Reload, ReloadError, Reloaded};
pub use metrics_site::MetricsSite;
pub use parts::{AdminParts, ClientCommand};
