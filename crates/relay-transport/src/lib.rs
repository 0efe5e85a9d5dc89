//! The way to an upstream and back: connections, TLS, proxies, idle timeouts, and bodies that arrive compressed.
//!
//! ```text
//! Request ─▶ Transport ── pool ▸ proxy ▸ TCP ▸ TLS ──▶ upstream
//!                                                         │
//! ResponseBody ◀─ read_start ◀─ decompress ◀─ IdleTimeout ◀┘
//! ```
//! Nothing in this crate knows what a provider is: it moves bytes, and reports what became of them in errors of its own.
//! The meaning of an answer is left to `relay-providers`.

mod aws;
mod body;
mod connect;
mod decompress;
mod idle;
mod images;
mod peek;
mod tls;
mod token;
mod transport;

pub use aws::AwsHttpClient;
pub use body::{ResponseBody, ResponseBodyError};
pub use connect::Proxies;
pub use decompress::decompress;
pub use idle::IdleTimeout;
pub use images::{FetchError, Fetcher, Image};
pub use peek::{Resumed, Start, full, read_start};
pub use tls::{TlsError, TrustRoots, is_about_certificate};
pub use token::{
    Chain, Minted, TokenAnswer, TokenCache, TokenClient, TokenError, TokenSource, form, read_file,
};
pub use transport::{RequestBody, SendError, Transport, TransportSettings};
