//! HTTP to an upstream and back: connections, TLS, proxies, idle timeouts, decompression, token caches and images.
//!
//! ```text
//! Request ─▶ Transport ── pool ▸ proxy ▸ TCP ▸ TLS ──▶ upstream
//!                                                         │
//! AnswerBody ◀── read_start ◀── IdleTimeout ◀─ decompress ◀┘
//! ```
//! This crate has no notion of a provider. It moves bytes, and its errors state what was sent and received. The
//! meaning of a response is left to `relay-providers`.
//!
//! ```
//! # #[cfg(feature = "compression")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use relay_transport::ContentCoding;
//!
//! // Decoding is bounded by the decoded size.
//! let coding = ContentCoding::from_name(b"GZIP").expect("a known name");
//! assert!(coding.decode("not gzip".into(), 1024, |_| true).await.is_err());
//! # }
//! # #[cfg(not(feature = "compression"))]
//! # fn main() {}
//! ```

mod answer;
mod arrivals;
#[cfg(feature = "bedrock")]
mod aws;
mod body;
mod connect;
mod credential_cache;
mod custom_connector;
mod decompress;
mod diagnosis;
mod event_gaps;
mod event_timeout;
mod http_client;
mod idle;
mod image_error;
#[cfg(feature = "fetch-images")]
mod images;
mod network;
mod open_files;
mod peek;
mod pool;
mod request_body;
mod roots;
mod time_limit;
mod tls;
mod token;
mod transport;
mod x509;

pub use answer::answer_body;
pub use arrivals::Arrivals;
#[cfg(feature = "bedrock")]
pub use aws::AwsHttpClient;
pub use body::{AnswerBody, AnswerBodyError, received};
pub use connect::Proxies;
pub use credential_cache::{CacheTimes, CredentialCache, CredentialSource, Interrupted, Loaded};
pub use custom_connector::CustomConnector;
pub use decompress::{ContentCoding, DecodeError, decompress};
pub use diagnosis::{CertificateFacts, Diagnosis, Step, StepError, TlsFacts, TlsFault};
pub use event_gaps::{EventGaps, GAP_BOUNDS};
pub use event_timeout::{EventClock, EventTimeout};
pub use idle::IdleTimeout;
pub use image_error::FetchError;
#[cfg(feature = "fetch-images")]
pub use images::{Fetcher, Image};
pub use network::Network;
pub use open_files::is_about_open_files;
pub use peek::{Gathered, Resumed, Start, read_start};
pub use pool::{QueueTime, ReceiveError, ReceivedBody, SendError};
pub use request_body::{RequestBody, RequestStream};
pub use roots::TrustRoots;
pub use time_limit::in_time;
pub use tls::{TlsError, is_about_certificate};
pub use token::{
    Minted, TokenAnswer, TokenClient, TokenError, TokenSource, bearer, check_url, form, read_file,
};
pub use transport::{Transport, TransportSettings};
pub use x509::{Validity, certificate_subject, is_self_issued};

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
