//! Gives each request an id: a layer for any service over `http::Request`.
//!
//! ```text
//! request ─▶ SetRequestId ─▶ RequestId in request.extensions ─▶ inner service
//!            chosen or random                                        │
//! response ◀─ RequestId in response.extensions, and as the header `request-id` if it has none
//! ```
//! The id is in Anthropic's form by default: `req_` and 24 hexadecimal digits. The layers of this crate read it from the
//! extensions: [`respond`](crate::respond) writes it into the body of an error, for example. The layer belongs outside of them.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Extensions, HeaderMap, Request, Response};
//! use relay_server::request_id::{RequestId, SetRequestIdLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let inner = service_fn(|request: Request<()>| async move {
//!     let id = request.extensions().get::<RequestId>().map(ToString::to_string);
//!     Ok::<_, Infallible>(Response::new(id))
//! });
//! let response = SetRequestIdLayer::new().layer(inner).oneshot(Request::new(())).await?;
//! assert!(response.headers()["request-id"].to_str()?.starts_with("req_"));
//!
//! // Behind a proxy that sets `x-request-id` itself, its ids can be trusted.
//! let of_proxy = |headers: &HeaderMap, _: &Extensions| RequestId::from_header(headers.get("x-request-id")?);
//! let service = SetRequestIdLayer::new().with_ids(of_proxy).layer(inner);
//! let request = Request::get("/").header("x-request-id", "4bf92f35-77b3").body(())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.headers()["request-id"], "4bf92f35-77b3");
//! assert_eq!(response.into_body().as_deref(), Some("4bf92f35-77b3"));
//! # Ok(())
//! # }
//! ```
//! Spans and log events are left to others: [`RequestId::as_str`] is a field for them. An id is not sent to an upstream. The
//! error of an inner service passes unchanged, without an id.

mod id;
mod layer;

pub use id::RequestId;
pub(crate) use id::{REQUEST_ID, plain_id};
pub use layer::{ChooseId, SetRequestId, SetRequestIdFuture, SetRequestIdLayer};
