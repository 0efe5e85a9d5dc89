//! Translates Amazon Bedrock's Event Stream of a Messages model into Anthropic's server-sent events, and back.
//!
//! ```text
//! Bytes ─Decoder─▶ MessageRef ─Converter─▶ event: / data: lines      Translator: both, and the end
//! any chunks       chunk,                  one event's JSON,         SseBody, SseStream: adapters of
//!                  exception, error        or an error event         a body and of a stream
//!
//! payload, decoded by the SDK of AWS ─write_payload─▶ event: / data: lines
//!
//! event: / data: lines ─FrameTranslator─▶ frames                     FrameBody: adapter of a body
//! any chunks                              chunk, exception           (feature `encode`)
//! ```
//! ```
//! use bytes::BytesMut;
//! use relay_stream::bedrock::Translator;
//!
//! # const CAPTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.eventstream"));
//! let mut translator = Translator::new();
//! let mut out = BytesMut::new();
//! for chunk in CAPTURE.chunks(1400) {
//!     translator.push(chunk, &mut out)?;
//! }
//! translator.finish(&mut out)?;
//! assert!(out.starts_with(b"event: message_start\ndata: {\"type\":\"message_start\""));
//! assert!(out.ends_with(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
//! # Ok::<(), relay_stream::bedrock::TranslateError>(())
//! ```
//! A broken stream never ends like a complete one: an end without `message_stop` and a corrupt frame are
//! errors. Pings are left to [`KeepAliveBody`](crate::body::KeepAliveBody), usage to [`watch`](crate::watch),
//! and HTTP status codes and headers to the caller.

mod adapter;
mod convert;
#[cfg(any(test, feature = "encode"))]
mod encode;
mod engine;
mod error;
#[cfg(any(test, feature = "encode"))]
mod frame_body;
#[cfg(any(test, feature = "encode"))]
mod frame_translator;
mod payload;
mod progress;
mod translate;

pub use adapter::{SseBody, SseStream};
pub use convert::Converter;
#[cfg(any(test, feature = "encode"))]
pub use encode::{write_chunk, write_error, write_exception};
pub use error::{anthropic_error_type, anthropic_message, aws_exception_name};
#[cfg(any(test, feature = "encode"))]
pub use frame_body::FrameBody;
#[cfg(any(test, feature = "encode"))]
pub use frame_translator::{FrameTranslateError, FrameTranslator};
pub use payload::{ConvertError, write_error_event, write_payload};
pub use translate::{TranslateError, Translator};
