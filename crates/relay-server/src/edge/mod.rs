//! The layers that every request passes on its way in, outermost first, and every response on its way out.
//!
//! ```text
//! sensitive headers ▸ request id ▸ record ▸ catch panic ▸ trace ▸ linger ▸ framing ▸ browser ▸ respond ▸ admission ▸ auth ▸ the relay's operations
//! ```
//! Inside of [`respond`](crate::respond) an error is a typed [`Error`](crate::Error) or that of a public layer. Outside of it
//! there are no errors. The layers that every service can use are public modules: [`request_id`](crate::request_id),
//! [`record`](crate::record), [`linger`](crate::linger), [`respond`](crate::respond), [`concurrency`](crate::concurrency),
//! [`auth`](crate::auth) and [`rate_limit`](crate::rate_limit). This module has those that only the relay needs.

mod browser;
mod catch_panic;
mod framed_body;
mod framing;
mod host;
mod request_id;
mod route_headers;
mod sensitive;
mod trace;

pub(crate) use browser::BrowserLayer;
pub(crate) use catch_panic::CatchPanicLayer;
pub(crate) use framing::FramingLayer;
#[cfg(feature = "serve")]
pub(crate) use host::SharedHosts;
pub(crate) use request_id::request_id_layer;
pub(crate) use route_headers::with_route_headers;
pub(crate) use sensitive::{mark_request, mark_response};
pub(crate) use trace::TraceLayer;
