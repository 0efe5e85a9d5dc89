//! The scripted upstream: its process, and the handle that the benchmark has of it.

pub(crate) mod events;
pub(crate) mod handle;
pub(crate) mod scenario;
pub(crate) mod server;
mod stream;
mod tls;
