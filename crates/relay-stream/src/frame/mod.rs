//! The AWS Event Stream framing: a decoder and, with the feature `encode`, an encoder.
//!
//! ```text
//! Bytes ─Decoder─▶ Message
//! any chunks       headers, payload, both slices of the frame
//!
//! frame: total u32 │ headers u32 │ crc32(8 bytes) u32 │ headers │ payload │ crc32(all before) u32
//! ```
//! ```
//! use bytes::Bytes;
//! use relay_stream::frame::Decoder;
//!
//! // The smallest message: no headers, no payload.
//! let mut chunk = Bytes::from_static(b"\0\0\0\x10\0\0\0\0\x05\xc2\x48\xeb\x7d\x98\xc8\xff");
//! let mut decoder = Decoder::new();
//! let message = decoder.decode(&mut chunk)?.expect("the frame is complete");
//! assert_eq!(message.headers().count(), 0);
//! assert!(message.payload().is_empty());
//! decoder.finish()?;
//! # Ok::<(), relay_stream::frame::FrameError>(())
//! ```
//! The meaning of headers and payload is left to the caller; [`bedrock`](crate::bedrock) reads those of one
//! service. Signed messages, which some AWS services send inside of others, are not verified.

#[cfg(feature = "codec")]
mod codec;
mod decoder;
#[cfg(any(test, feature = "encode"))]
mod encode;
mod error;
mod header;
mod message;
mod prelude;
mod stream;

#[cfg(feature = "codec")]
pub use codec::{CodecError, MessageCodec};
pub use decoder::Decoder;
#[cfg(any(test, feature = "encode"))]
pub use encode::{EncodeError, write_message};
pub use error::{FrameError, HeaderError};
pub use header::{Header, HeaderValue, Headers};
pub use message::{Message, MessageRef};
pub use prelude::Limits;
pub(crate) use prelude::{PRELUDE_LEN, Prelude};
pub use stream::MessageStream;
