//! Limits each client: requests per minute, tokens per minute, and requests in flight.
//!
//! ```text
//! request ─▶ RateLimit ── the client's limits permit it ─▶ inner service ─▶ response, with the limits in its headers
//!            estimate of  └─ they do not ─▶ RateLimited                      its body holds the place in flight, and
//!            its tokens                                                      corrects the estimate at its end
//! ```
//! A client is named by the [`Client`](crate::auth::Client) in the extensions, which [`auth`](crate::auth) puts there, or by a
//! function of yours. The tokens of a request are estimated by the length of its body, so that a client over its limit is refused
//! before its body has arrived. The usage in the response, JSON or server-sent events, replaces the estimate. If the
//! response is compressed, the estimate stays. Tokens read from a prompt cache do not count.
//!
//! Each limit is a token bucket: it holds the amount of a minute and refills at a constant rate. A request that uses more than
//! was left is paid for by the next ones; one above the whole limit needs a full bucket. A refused request costs nothing, and a
//! failed one counts as a request without tokens.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use relay_server::auth::Client;
//! use relay_server::rate_limit::{ClientLimits, RateLimitLayer};
//! use relay_server::respond::RespondLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = ClientLimits::default().with_requests(2).with_tokens(10_000);
//! let service = ServiceBuilder::new()
//!     .layer(RespondLayer::new()) // turns the error of the next layer into a 429
//!     .layer(RateLimitLayer::new(limits))
//!     .service(service_fn(|_: Request<Full<bytes::Bytes>>| async {
//!         Ok::<_, std::io::Error>(Response::new(Full::<bytes::Bytes>::from("{}")))
//!     }));
//! let call = || {
//!     let mut request = Request::new(Full::default());
//!     request.extensions_mut().insert(Client::new("alice"));
//!     service.clone().oneshot(request)
//! };
//!
//! let first = call().await?;
//! assert_eq!(first.headers()["anthropic-ratelimit-requests-remaining"], "1");
//! assert_eq!(call().await?.status(), 200);
//! let third = call().await?;
//! assert_eq!(third.status(), 429);
//! assert_eq!(third.headers()["retry-after"], "30");
//! # Ok(())
//! # }
//! ```
//! The memory is bounded: see [`RateLimitLayer::with_capacity`]. Limits over several processes are left to others.

mod body;
mod clients;
mod error;
mod future;
mod layer;
mod meter;

pub use body::LimitedBody;
pub use error::{LimitKind, LimitsError, RateLimited};
pub use future::RateLimitFuture;
pub use layer::{Identify, RateLimit, RateLimitLayer};
pub use relay_config::ClientLimits;
