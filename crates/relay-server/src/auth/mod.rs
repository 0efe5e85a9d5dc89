//! Authenticates clients: a layer for any service over `http::Request`.
//!
//! ```text
//! request ─▶ Auth ── Verifier::verify(head) ─▶ client ─▶ request.extensions ─▶ inner service
//!                    removes the credentials      └─▶ error, and the inner service is not called
//! ```
//! [`AuthLayer`] carries the decision of a [`Verifier`]. [`ConfiguredKeys`] is the verifier of the relay: keys with names,
//! a bearer token, and Claude subscription tokens. A verifier of your own is a type, or a function of the request's head
//! that returns a future, and may therefore look a token up in a database.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use relay_config::Secret;
//! use relay_server::auth::{AuthLayer, Client, ConfiguredKeys};
//! use relay_server::respond::RespondLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = ConfiguredKeys::default().with_key("alice", Secret::new("key-of-alice"));
//! let service = ServiceBuilder::new()
//!     .layer(RespondLayer::new()) // turns the error of the next layer into a 401
//!     .layer(AuthLayer::new(keys))
//!     .service(service_fn(|request: Request<()>| async move {
//!         let client = request.extensions().get::<Client>().and_then(Client::name).unwrap_or("unknown");
//!         assert!(request.headers().is_empty(), "the key has been removed");
//!         Ok::<_, std::io::Error>(Response::new(Full::<bytes::Bytes>::from(client.to_owned())))
//!     }));
//!
//! let request = Request::get("/").header("x-api-key", "key-of-alice").body(())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), 200);
//! let refused = service.oneshot(Request::get("/").body(())?).await?;
//! assert_eq!(refused.status(), 401);
//! assert_eq!(refused.headers()["content-type"], "application/json");
//! # Ok(())
//! # }
//! ```
//! A function as the verifier of an embedder's own identities:
//!
//! ```
//! use http::request::Parts;
//! use relay_server::auth::{AuthLayer, Denied};
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! let layer = AuthLayer::new(|head: &mut Parts| {
//!     let token = head.headers.remove("authorization");
//!     async move {
//!         // A database or an identity provider is called here.
//!         let token = token.ok_or(Denied::Unknown)?;
//!         Ok::<_, Denied>(User(token.to_str().map_err(|_| Denied::Unknown)?.to_owned()))
//!     }
//! });
//! # let _ = layer;
//! ```
//! The models of an admitted client are checked by [`Client::check_model`], after the body has been read. Its other limits are left
//! to other layers.

mod client;
mod keys;
mod layer;
mod models;
mod verifier;

pub use client::Client;
pub use keys::{ConfiguredKeys, Denied};
pub use layer::{Auth, AuthFuture, AuthLayer};
pub use models::ModelDenied;
pub use verifier::Verifier;
