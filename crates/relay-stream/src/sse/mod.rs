//! Server-sent events: an incremental parser and an encoder.
//!
//! ```text
//! Bytes ─SseParser─▶ SseBlock ─event─▶ SseEvent        write_event ─▶ Bytes
//! any cut            raw bytes         name, data, id  name, data
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
//! A block keeps its bytes as they came, so a relay that only reads events can send on exactly what it received.

mod boundary;
mod event;
mod parser;
mod write;

pub(crate) use boundary::Boundary;
pub use event::SseEvent;
pub(crate) use event::{data_lines, without_bom};
pub use parser::{SseBlock, SseError, SseParser};
pub use write::{write_error_event, write_event};
