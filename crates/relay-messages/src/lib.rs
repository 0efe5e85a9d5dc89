//! The request side of the Anthropic Messages format, without I/O. The counterpart for responses is
//! `relay-stream`.
//!
//! ```text
//! client ─Bytes─▶ MessagesBody::parse ─▶ MessagesBody ─▶ estimate_tokens
//!                 one pass               │
//!                                        ▼
//!                 Adapter::adapt ─▶ Edits and betas ─▶ Payload: slices of the same Bytes
//!                 per upstream                         │
//!                                                      ▼
//!                 RefusalMemory::strip_known ─▶ Request<Payload> ─▶ upstream
//!                 RefusalMemory::retry_without ◀── 400 that names a field ◀┤
//!                 RateLimits, retry_after      ◀── headers, error message ◀┘
//! client ◀─Bytes─ error_body ◀─ ApiError
//! ```
//! A body is edited in place: numbers, key order, escapes, unknown fields and thinking blocks reach the upstream byte for byte.
//!
//! ```
//! use relay_messages::{Adapter, Edits, MessagesBody};
//!
//! # fn main() -> Result<(), relay_messages::BodyError> {
//! let text = r#"{"model":"claude-opus-5-5","speed":"fast","temperature":1.50,"messages":[]}"#;
//! let body = MessagesBody::parse(text.into())?;
//! let betas = ["fast-mode-2026-02-01".to_owned(), "effort-2025-11-24".to_owned()];
//!
//! // The rules for Ollama drop every beta, and with it the fields that need it.
//! let mut edits = Edits::default();
//! edits.set_model(&body, "qwen");
//! let adapter = Adapter::of("ollama");
//! let kept = adapter.adapt("qwen", &body, &betas, &mut edits);
//! assert_eq!(kept, Some(vec![]));
//! let payload = edits.apply(&body).to_bytes();
//! assert_eq!(payload, r#"{"model":"qwen","temperature":1.50,"messages":[]}"#);
//! # Ok(())
//! # }
//! ```
//! This crate opens no connection, starts no task and writes no log. Functions that depend on the time take
//! it as an argument. `relay-providers` decides which functions a request needs, and `relay-transport` sends
//! the request.

mod body;
mod capabilities;
mod cut;
mod error;
mod error_chain;
mod estimate;
pub mod headers;
#[cfg(test)]
mod linear_tests;
pub mod media_type;
mod model_cache;
mod prompt;
mod rate_limits;
mod refusals;
pub mod retry_after;
mod select;
mod thinking_provenance;
pub mod trace_context;
mod two_generations;
mod unsupported;

pub use body::{BodyError, Children, ContentTypes, Edits, JsonKind, MessagesBody, Node, Payload, ScanError};
pub use capabilities::{Adapter, Replaced};
pub use cut::cut;
pub use error::{ApiError, OVERLOADED_STATUS, error_body, error_type};
pub use error_chain::{ErrorChain, error_sources};
pub use estimate::{estimate_tokens, estimate_tokens_by_length};
pub use model_cache::ModelCache;
pub use prompt::{CacheTtl, ChangeKind, PromptChange, PromptDigest, PromptPart};
pub use rate_limits::{RateLimit, RateLimits};
pub use refusals::{KnownRefusal, RefusalMemory, RefusalScope, Retry, WholeRequest};
pub use thinking_provenance::{SignatureOwner, ThinkingProvenance};
pub use two_generations::TwoGenerations;
pub use unsupported::Unsupported;

/// Runs the example of the README as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
