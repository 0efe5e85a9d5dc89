//! The layers that every request passes on its way in, outermost first, and every response on its way out.
//!
//! ```text
//! request id ▸ record ▸ catch panic ▸ linger ▸ framing ▸ browser ▸ respond ▸ admission ▸ auth ▸ the relay's operations
//! ```
//! Inside of [`respond`](Respond) an error is a typed [`Error`](crate::Error). Outside of it there are no errors.

mod admission;
mod auth;
mod browser;
mod catch_panic;
mod framing;
mod host;
mod linger;
mod record;
mod request_id;
mod respond;
mod route_headers;

pub(crate) use admission::AdmissionLayer;
pub(crate) use auth::{AuthLayer, Client, Verifier};
pub(crate) use browser::BrowserLayer;
pub(crate) use catch_panic::CatchPanicLayer;
pub(crate) use framing::FramingLayer;
pub(crate) use host::Listener;
pub(crate) use linger::LingerLayer;
pub(crate) use record::RecordLayer;
pub(crate) use request_id::RequestIdLayer;
pub(crate) use respond::RespondLayer;
pub(crate) use route_headers::with_route_headers;
