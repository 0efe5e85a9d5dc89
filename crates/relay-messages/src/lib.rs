//! The request side of the Anthropic Messages format, without I/O: the request's counterpart of `relay-stream`.
//!
//! ```text
//! Bytes ─MessagesBody::parse─▶ MessagesBody ─Edits─▶ Payload
//!  client                       one pass     per upstream  slices of the same Bytes
//! ```
//! Nothing here opens a connection, starts a task or knows an upstream by name. `relay-providers` decides which parts of
//! this crate a request needs.

mod body;
mod capabilities;
mod date;
mod error;
mod estimate;
pub mod headers;
mod rate_limits;
mod refusals;
pub mod retry_after;
mod select;
mod thinking_provenance;
mod two_generations;
mod unsupported;

pub use body::{BodyError, Children, ContentTypes, Edits, JsonKind, MessagesBody, Node, Payload, ScanError};
pub use capabilities::Adapter;
pub use error::{ApiError, OVERLOADED_STATUS, error_body, error_type};
pub use estimate::estimate_tokens;
pub use rate_limits::{RateLimit, RateLimits};
pub use refusals::{KnownRefusal, RefusalMemory, Retry};
pub use thinking_provenance::{SignatureOwner, ThinkingProvenance};
pub use two_generations::TwoGenerations;
pub use unsupported::Unsupported;
