//! TLS of a listener: its certificate, which can be replaced while connections are open, and the handshake.

mod certificate;
mod error;
mod files;
mod handshake;
mod handshake_log;
mod listener_tls;
mod plain;
mod stream;
mod turns;

pub use error::ListenerTlsError;
pub(super) use handshake::accept;
pub use listener_tls::ListenerTls;
pub(super) use plain::refuse;
pub(super) use stream::TlsClient;
