//! Reads the usage, identity and completeness of an answer while its bytes pass.
//!
//! ```text
//!        ┌──────────────▶ the same frames, without delay
//! body ──┤ WatchBody
//!        └─SseWatch──▶ StreamReport   usage, id, model, stop reason, error, completeness
//!          JsonWatch ▶ Thinking       signatures, to an optional sink
//! ```
//! ```
//! use relay_stream::watch::SseWatch;
//!
//! let mut watch = SseWatch::new();
//! watch.observe(b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_re");
//! watch.observe(b"ason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n");
//! assert_eq!(watch.report().usage.output_tokens, Some(7));
//! assert!(!watch.report().is_complete(), "message_stop is missing");
//! ```
//! Deltas are recognised by their first bytes and skipped. Only the few events that carry facts are parsed.
//!
//! Pricing, limits and the decision about a failed answer are left to the caller.

mod activity;
mod body;
mod iterations;
mod json;
mod message;
mod progress;
mod report;
mod sse;
mod usage;

pub use activity::ActivityWatch;
pub use body::{StreamEnd, WatchBody};
pub use iterations::{Iteration, IterationKind};
pub use json::JsonWatch;
pub use progress::Progress;
pub use report::{ErrorReport, StreamReport};
pub use sse::SseWatch;
pub use usage::{InferenceGeo, ServiceTier, Speed, Usage};
