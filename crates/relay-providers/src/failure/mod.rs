//! Failures of upstreams: read once, judged, and put into Anthropic's form, so that a client's own recovery works.
//!
//! ```text
//! head, start of body ─UpstreamError::read─▶ UpstreamError ─Provider::judge─▶ Judgement ─write_error─▶ client
//!  any form                                   form, code, message  rules of the kind
//! ```
//! The rules of a kind come first. If they state no message for an error, [`translate()`] makes one.

mod anthropic;
mod judgement;
mod meaning;
mod prompt_too_long;
mod readable;
mod respond;
mod rules;
mod soft_error;
#[cfg(test)]
pub(crate) mod testing;
mod texts;
mod translate;
mod upstream_error;
mod wording;

pub(crate) use anthropic::{judge, judge_own_key};
pub use judgement::Judgement;
pub use meaning::{Meaning, Scope, Wait};
pub(crate) use respond::{write_error, write_retry};
pub(crate) use rules::Subject;
pub use rules::{Rule, When};
pub(crate) use soft_error::{Answered, inspect, status_of};
pub(crate) use translate::translate;
pub(crate) use upstream_error::ERROR_BODY_LIMIT;
#[cfg(test)]
pub(crate) use upstream_error::reads;
pub use upstream_error::{Form, UpstreamError};
