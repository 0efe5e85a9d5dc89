//! Scripted upstreams, raw clients and real clients for the end-to-end tests in `tests/`.
//!
//! ```text
//! Client ──────────▶ relay ──────────▶ Upstream
//! bytes as written,                    bytes as received, violations recorded,
//! chunks as received                   answers and faults as scripted
//! ```
//!
//! Both ends implement HTTP/1.1 directly on a socket. A test can therefore check the bytes on the wire (order and case
//! of header lines, boundaries of chunks, the end of a body) and can break the protocol at any point. For HTTP/2 there
//! are [`Http2Upstream`] and [`Http2Client`].
//!
//! Nothing here sleeps. The test itself is the script: it takes a [`Connection`], sends each event, and checks the
//! effect on the other side. Every wait fails the test after [`STEP_TIMEOUT`].
//!
//! ```
//! use relay_tests::{Answer, Call, Client, End, Upstream, sse};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let upstream = Upstream::manual().await;
//! let mut client = Client::connect(upstream.address()).await;
//! client.call(&Call::post("/v1/messages").json(r#"{"model":"m","stream":true}"#)).await;
//!
//! let mut connection = upstream.connection().await;
//! let request = connection.receive().await.expect("a request");
//! assert_eq!(request.body, r#"{"model":"m","stream":true}"#);
//!
//! connection.send_head(&Answer::event_stream()).await;
//! connection.send_chunk(&sse::ping()).await;
//! assert_eq!(client.head().await.status, 200);
//! assert_eq!(client.chunk().await, Some(sse::ping()));
//!
//! connection.reset();
//! assert_eq!(client.chunk().await, None);
//! assert_eq!(client.end(), Some(End::Reset));
//! upstream.assert_clean();
//! # }
//! ```

mod answer;
mod browser;
mod client;
mod compress;
pub mod fakes;
mod flooding;
mod http1;
mod http2;
mod identity;
mod long;
mod nginx;
mod real;
mod relay;
mod request;
mod rewriting_io;
pub mod rule;
pub mod sse;
mod tee;
mod time_limit;
mod tls;
mod tunnel;
mod upstream;

pub use answer::{Answer, Ending};
pub use browser::Browser;
pub use client::{Call, Client, Response, ResponseHead};
pub use compress::{Coding, compress};
pub use flooding::{FloodingUpstream, HTTP2_PREFACE, http2_frame};
pub use http1::{End, Headers};
pub use http2::{Http2Answer, Http2Client, Http2Exchange, Http2Upstream};
pub use identity::Identity;
pub use long::{LONG_VARIABLE, short_or_long};
pub use nginx::Nginx;
pub use real::{ClaudeCode, ProcessOutput, Python, skip};
pub use relay::{
    Footprint, PROVIDER_KEY, Records, Relay, RelayProcess, minimal_provider, passthrough, provider, records,
    send_to_lone_provider,
};
pub use request::Request;
pub use rule::Rule;
pub use tee::Tee;
pub use time_limit::{STEP_TIMEOUT, within, within_limit};
pub use tls::CertificateAuthority;
pub use tunnel::{Tunnel, tls_connection};
pub use upstream::{Connection, Upstream, UpstreamBuilder, in_turn};
