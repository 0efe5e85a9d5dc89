//! cc-relay as a library: a tower service that takes requests of the Anthropic Messages API and has them answered by
//! whichever upstream can.
//!
//! ```text
//! client ─▶ edge ─▶ intake ─▶ routing ─▶ providers ─▶ upstream
//!        ◀─ respond ◀──────── answer, frame by frame ◀─
//! ```
//! [`Relay`] is the service, to be mounted wherever tower services are; [`serve`] puts it on a socket of its own.
//! Nothing here reads arguments, installs a logger, handles signals or ends the process.

mod access_log;
mod assemble;
mod body;
mod catalog;
mod debug_log;
mod discovery;
mod edge;
mod error;
mod explain;
mod forward;
mod intake;
mod messages;
mod record;
mod relay;
mod request_body;
mod response;
mod router;
mod serve;
mod serve_settings;
mod stack;

pub use assemble::BuildError;
pub use body::Body;
pub use error::Error;
pub use explain::{Considered, Explanation};
pub use record::{RecordHandle, RecordSubscriber, RequestEnd, RequestId, RequestRecord};
pub use relay::{Builder, Relay};
pub use serve::{Drained, bind, serve};
