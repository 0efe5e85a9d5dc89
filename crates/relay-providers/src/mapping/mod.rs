//! Maps the model's name: to the upstream's name in a request and, if configured, back to the client's name in the
//! answer.
//!
//! ```text
//! request ─▶ ModelMap ── "model" edited in place ─▶ inner service
//!         ◀─ the client's name in the first event or in the JSON ◀─ response
//! ```
//! [`ModelMapLayer`] works around any service over `http::Request`, and around an [`Attempt`](crate::Attempt) within the relay.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use relay_config::ModelMapping;
//! use relay_providers::ModelMapLayer;
//! use tower::{BoxError, Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! // A service that returns the body of its request.
//! let echo = service_fn(|request: Request<_>| async {
//!     let body: relay_providers::MappedBody<Full<Bytes>> = request.into_body();
//!     Ok::<_, BoxError>(Response::builder().header("content-type", "application/json").body(body)?)
//! });
//! let mapping: ModelMapping = [("claude-*", "glm-5.3")].into_iter().collect();
//! let request = || Request::new(Full::<Bytes>::from(r#"{"max_tokens": 1e2, "model": "claude-opus-5-5"}"#));
//!
//! let there = ModelMapLayer::new(mapping.clone(), false).layer(echo).oneshot(request()).await?;
//! let body = there.into_body().collect().await?.to_bytes();
//! assert_eq!(body, r#"{"max_tokens": 1e2, "model": "glm-5.3"}"#);
//!
//! let and_back = ModelMapLayer::new(mapping, true).layer(echo).oneshot(request()).await?;
//! let body = and_back.into_body().collect().await?.to_bytes();
//! assert_eq!(body, r#"{"max_tokens": 1e2, "model": "claude-opus-5-5"}"#);
//! # Ok(())
//! # }
//! ```
//! The other differences between upstreams are left to [`AdaptLayer`](crate::AdaptLayer).

mod attempt;
mod layer;
mod over_http;
mod restore;

pub use layer::{ModelMap, ModelMapLayer};
pub use over_http::{MappedBody, RequestTooLarge};
pub use restore::RestoredBody;
