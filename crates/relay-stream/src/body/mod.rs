//! Adapters of `http_body::Body` for the response on its way to the client.
//!
//! ```text
//! upstream ─▶ MessageStartBody ─▶ WatchBody ─▶ KeepAliveBody ─▶ client
//!             first event         end check    pings
//! ```
//! ```
//! use http_body_util::{BodyExt, Full};
//! use relay_stream::body::MessageStartBody;
//!
//! # tokio_test::block_on(async {
//! let upstream = Full::new(bytes::Bytes::from(
//!     "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude@1\"}}\n\n",
//! ));
//! let body = MessageStartBody::rename(upstream, "claude");
//! assert_eq!(
//!     body.collect().await?.to_bytes(),
//!     "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude\"}}\n\n"
//! );
//! # Ok::<(), std::convert::Infallible>(())
//! # }).unwrap();
//! ```
//! Each adapter forwards a frame as soon as it arrives, buffers only the bytes that its documentation names,
//! and forwards trailers, errors and the end. The adapters nest in any order. In the order above,
//! [`WatchBody`](crate::watch::WatchBody) reads the model name that the client receives, and no pings. Status
//! codes and headers are left to the caller, above all the removal of a `content-length` that no longer fits.

mod forward;
mod keep_alive;
mod message_start;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(feature = "tokio")]
mod tokio_timer;
mod woken;

pub use forward::forward;
pub use keep_alive::{KeepAliveBody, Timer};
pub use message_start::MessageStartBody;
#[cfg(feature = "tokio")]
pub use tokio_timer::TokioTimer;
pub use woken::Woken;
