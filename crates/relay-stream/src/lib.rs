//! Codecs and body adapters for streams of the Anthropic Messages API: AWS Event Stream in, server-sent
//! events out.
//!
//! ```text
//!             bedrock                    body                 watch         body
//! upstream ─▶ SseBody ────────────────▶ MessageStartBody ─▶ WatchBody ─▶ KeepAliveBody ─▶ client
//! Event       Decoder ▸ Converter ▸ SSE  first event          usage,        pings
//! Stream                                                      signatures,
//!                                                             end
//! ```
//! Each part can be used alone. The cores ([`frame::Decoder`], [`sse::SseParser`], [`bedrock::Translator`],
//! [`events::EventNormalizer`], [`watch::SseWatch`], [`watch::JsonWatch`], [`MessageStartEditor`]) do no I/O and
//! accept bytes that are cut anywhere. The adapters apply them to an `http_body::Body` or a `Stream`, and
//! forward each result once it is complete.
//! ```
//! use http_body_util::{BodyExt, Full};
//! use relay_stream::OnBreak;
//! use relay_stream::bedrock::{SseBody, Translator};
//! use relay_stream::watch::WatchBody;
//!
//! # const CAPTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.eventstream"));
//! # tokio_test::block_on(async {
//! let upstream = Full::new(bytes::Bytes::from_static(CAPTURE));
//! let events = SseBody::new(upstream, Translator::new());
//! let body = WatchBody::new(events, |report, end| {
//!     assert_eq!(report.usage.output_tokens, Some(93));
//!     println!("{end:?}: {report:?}");
//! });
//! let sse = body.check_end(OnBreak::Abort).collect().await?.to_bytes();
//! assert!(sse.starts_with(b"event: message_start\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//! No feature is enabled by default, and without features the crate depends on no runtime:
//!
//! - `encode` writes Event Streams, for servers of Bedrock's clients and for tests that simulate the upstream.
//! - `codec` implements the codec traits of tokio-util for Event Stream messages.
//! - `tokio` provides the timer of tokio for [`body::KeepAliveBody`].
//!
//! All memory that is kept between two calls is bounded, and no input causes a panic. Connections, HTTP
//! status codes, credentials and retries are left to the caller.

pub mod bedrock;
pub mod body;
mod edited;
pub mod events;
pub mod frame;
mod json;
mod json_valid;
mod lexer;
mod message_start;
mod on_break;
mod rename;
pub mod sse;
mod stream_error;
pub mod thinking;
mod thinking_id;
pub mod watch;

pub use message_start::MessageStartEditor;
pub use on_break::OnBreak;
pub use rename::rename_model;
pub use stream_error::StreamError;

/// Runs the example of the README as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
