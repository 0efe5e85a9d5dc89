//! AWS Event Streams in, server-sent events out.

pub mod bedrock;
pub mod body;
pub mod frame;
mod json;
mod model;
mod on_break;
pub mod sse;
pub mod watch;

pub use model::ModelRewriter;
pub use on_break::OnBreak;
