//! What every request passes on its way in, outermost first, and every answer on its way out.
//!
//! ```text
//! request id ▸ access log ▸ linger ▸ respond ▸ admission ▸ auth ▸ the relay's operations
//! ```
//! Inside of [`respond`](Respond) an error is a typed [`Error`](crate::Error); outside of it there are none.

mod access_log;
mod admission;
mod auth;
mod linger;
mod request_id;
mod respond;
mod route_headers;

pub(crate) use access_log::{AccessLog, AccessLogLayer};
pub(crate) use admission::AdmissionLayer;
pub(crate) use auth::{AuthLayer, Client, Verifier};
pub(crate) use linger::LingerLayer;
pub(crate) use request_id::{RequestId, RequestIdLayer};
pub(crate) use respond::{RespondLayer, json};
pub(crate) use route_headers::with_route_headers;
