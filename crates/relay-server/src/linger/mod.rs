//! Lingering close: reads and drops the rest of a request's body before an early error is sent. A layer for any service over
//! `http::Request`.
//!
//! ```text
//! request ─▶ Linger ─▶ inner service, which returns 4xx or 5xx before it has read the body
//!            the rest of the body is read until it ends, or until a limit of time or bytes
//! response ◀─┘
//! ```
//! A server that closes a connection with unread bytes resets it, and the reset can overtake the response. A client that
//! sends its whole body before it reads the response would then see a broken connection instead of the error. If the body
//! ends within the limits, the connection can also be reused.
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use relay_server::linger::{LingerBody, LingerLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A service that refuses every upload by its head.
//! let inner = service_fn(|_: Request<LingerBody<Full<Bytes>>>| async {
//!     let mut response = Response::new(Full::<Bytes>::from("too many uploads"));
//!     *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
//!     Ok::<_, Infallible>(response)
//! });
//! let layer = LingerLayer::new().with_time(Duration::from_secs(1)).with_bytes(1024 * 1024);
//! let request = Request::post("/upload").body(Full::from("a long body"))?;
//! let response = layer.layer(inner).oneshot(request).await?;
//! assert_eq!(response.status(), 429); // and the body has been read to its end
//! # Ok(())
//! # }
//! ```
//! The layer does not close connections, and does not bound the body that a service reads. It reads nothing
//! - after a status below 400, since such a service may go on reading while its response is sent;
//! - if the request has the header `expect`, since a client that waits for `100 Continue` has sent nothing;
//! - after an error of the inner service: turn it into a response first, as [`respond`](crate::respond) does.
//!
//! A service that returns an error has to be done with the body. One that still reads it, in a task of its own, shares the
//! bytes with this layer.

mod body;
mod future;
mod layer;

pub use body::LingerBody;
pub use future::LingerFuture;
pub use layer::{Linger, LingerLayer, LingerTime};
