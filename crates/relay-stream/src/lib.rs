//! AWS Event Streams in, server-sent events out.

pub mod body;
mod json;
mod model;
pub mod sse;
pub mod watch;

pub use model::ModelRewriter;
