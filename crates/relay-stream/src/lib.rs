//! AWS Event Streams in, server-sent events out; and what a relay of Messages streams needs on the way.
//!
//! ```text
//!            bedrock                           body, watch
//! upstream ─▶ SseBody ───────────────────────▶ MessageStartBody ─▶ WatchBody ─▶ KeepAliveBody ─▶ client
//! Event       Decoder ▸ Converter ▸ SSE        first event  usage, end    pings
//! Stream
//! ```
//! Every part stands alone. The cores ([`frame::Decoder`], [`sse::SseParser`], [`bedrock::Translator`],
//! [`watch::SseWatch`], [`MessageStartEditor`], [`EventFilter`]) do no I/O and take bytes cut anywhere; the wrappers put them around an
//! `http_body::Body` or a `Stream`, and pass on what they have the moment it is complete.
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
//! No default feature brings a runtime: `encode` writes Event Streams (for tests that play the upstream), `codec` is
//! for tokio-util's framed transports, `tokio` is the timer for keep-alives. Everything kept between two calls is
//! bounded, and no input makes anything here panic.

pub mod bedrock;
pub mod body;
mod filter;
pub mod frame;
mod json;
mod lexer;
mod message_start;
mod on_break;
pub mod sse;
pub mod thinking;
pub mod watch;

pub use filter::EventFilter;
pub use message_start::MessageStartEditor;
pub use on_break::OnBreak;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
