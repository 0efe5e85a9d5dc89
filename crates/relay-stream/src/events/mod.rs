//! The events of a Messages stream: checked, repaired where their meaning is certain, and read in one pass.
//!
//! ```text
//! bytes ─push─▶ EventNormalizer ─▶ events of the Messages API, each one whole
//! any chunks          │
//!                     └─▶ StreamReport, Thinking, DamagedEvent
//! ```
//! A well-formed event is forwarded with its bytes unchanged. The rules for every other event:
//!
//! | event | result |
//! |---|---|
//! | no name, or a foreign name, and a `type` of the Messages API | the name is made from the `type` |
//! | an error in another form (`event: error`, or an object with `error` and without `type`) | an `error` event in Anthropic's form |
//! | a foreign name or a foreign `type`, and `[DONE]` | dropped |
//! | a comment, or a block without data and without a known name | forwarded, since clients ignore it |
//! | a known name without JSON, without a `type` or with another `type`; data without a name that is no event | [`DamagedEvent`] |
//!
//! After the end of the message (`message_stop` or `error`), a damaged event is dropped instead.
//! ```
//! use bytes::Bytes;
//! use relay_stream::events::{EventNormalizer, UnknownEvents};
//!
//! let mut events = EventNormalizer::new(UnknownEvents::Drop);
//! let out = events.push(Bytes::from("data: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n"));
//! assert_eq!(out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
//! assert!(events.report().message_stop);
//! ```
//! The order of the events is not checked: clients do that.

mod error;
mod kind;
mod normalizer;
mod repair;
mod rules;

pub use error::{Damage, DamagedEvent};
pub(crate) use kind::EventKind;
pub use normalizer::EventNormalizer;
#[cfg(any(test, feature = "encode"))]
pub(crate) use repair::write_foreign_error;
pub use rules::UnknownEvents;
#[cfg(any(test, feature = "encode"))]
pub(crate) use rules::{Decision, decide};
