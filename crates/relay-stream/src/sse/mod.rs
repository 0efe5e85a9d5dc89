//! Server-sent events: an incremental parser, a stream of events, and an encoder.
//!
//! ```text
//! Bytes ─SseParser─▶ SseBlock ─event─▶ SseEvent        write_event ─▶ Bytes
//! any chunks         raw bytes         name, data, id  name, data
//!
//! Stream of Bytes, Body ─SseEventStream─▶ Stream of SseEvent
//! ```
//! ```
//! use bytes::Bytes;
//! use relay_stream::sse::SseParser;
//!
//! let mut parser = SseParser::new();
//! let mut names = Vec::new();
//! for chunk in [&b"event: ping\nda"[..], b"ta: {}\r\n\r\n: comment\n\nevent: last\ndata: 1\n\n"] {
//!     let mut chunk = Bytes::copy_from_slice(chunk);
//!     while let Some(block) = parser.parse(&mut chunk)? {
//!         names.extend(block.event().map(|event| event.name.into_owned()));
//!     }
//! }
//! assert_eq!(names, ["ping", "last"]);
//! # Ok::<(), relay_stream::sse::SseError>(())
//! ```
//! A block keeps its bytes unchanged, so a relay that only reads events can forward exactly the bytes that it
//! received.
//!
//! The meaning of an event's data is left to the caller; [`watch`](crate::watch) reads the events of the
//! Messages API. Reconnecting with `id` and `retry` is left to the client.

mod boundary;
mod event;
mod parser;
mod stream;
mod write;

pub(crate) use boundary::Boundary;
pub use event::SseEvent;
pub(crate) use event::{Fields, data_lines, field_value, other_lines, without_bom};
pub use parser::{SseBlock, SseError, SseParser};
pub use stream::{BodyChunks, SseEventStream};
pub(crate) use write::write_named;
pub use write::{write_error_event, write_event};
