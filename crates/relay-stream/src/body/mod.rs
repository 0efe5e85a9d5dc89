//! Wrappers around `http_body::Body` for the way back to the client.
//!
//! ```text
//! upstream ─▶ FilterBody ─▶ MessageStartBody ─▶ WatchBody ─▶ KeepAliveBody ─▶ client
//!             foreign       first event  end check    pings
//!             events
//! ```
//! Every one passes frames on the moment they arrive, holds nothing but what its doc names, and forwards trailers,
//! errors and the end. They nest in any order; this one reads each name as the client sees it, and reads no pings.

mod edit;
mod keep_alive;
#[cfg(test)]
pub(crate) mod scripted;

pub use edit::{EditBody, FilterBody, MessageStartBody};
#[cfg(feature = "tokio")]
pub use keep_alive::TokioTimer;
pub use keep_alive::{KeepAliveBody, Timer};
