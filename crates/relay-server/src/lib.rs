//! cc-relay as a library: a tower service that serves the Anthropic Messages API by any of several upstreams.
//!
//! ```text
//! client ─▶ edge ─▶ intake ─▶ routing ─▶ providers ─▶ upstream
//!        ◀─ respond ◀──────── answer, frame by frame ◀─
//! ```
//! [`Relay`] is the service, for any tower or axum stack. [`serve`] serves it on a socket of its own. Every fact about a request
//! is in its [`RequestRecord`], which [`RecordSubscriber`]s receive at its end.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use relay_config::{Format, Loader};
//! use relay_server::Relay;
//! use tower::ServiceExt;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let config = "providers: [{ name: local, type: mock }]";
//! let config = Loader::new().with_text("embedded.yaml", Format::Yaml, config).load()?.config;
//! let relay = Relay::builder(config).build()?;
//!
//! let body = r#"{"model":"claude-opus-5-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}"#;
//! let request = Request::post("/v1/messages").body(Full::from(body))?;
//! let response = relay.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! let answer: Bytes = response.into_body().collect().await?.to_bytes();
//! # assert!(answer.starts_with(b"{"));
//! # Ok(())
//! # })
//! # }
//! ```
//! The crate reads no arguments, installs no logger, handles no signals and never ends the process.

pub mod access_log;
mod assemble;
pub mod auth;
mod body;
mod body_error;
mod break_event;
mod build_error;
mod builder;
mod catalog;
mod changes;
pub mod check;
mod client_certificate;
mod clock;
pub mod concurrency;
mod control;
mod credential_probe;
mod custom;
mod debug_log;
mod discovered;
mod discovery;
mod edge;
mod encodings;
mod error;
mod explain;
mod forward;
#[cfg(feature = "serve")]
mod in_process;
mod intake;
mod layers;
mod limits;
pub mod linger;
mod listener_rules;
mod messages;
mod offload;
mod open_files;
mod operation;
mod options;
mod path;
pub mod rate_limit;
pub mod record;
mod relay;
mod reload;
mod request_body;
pub mod request_id;
pub mod respond;
mod response;
mod router;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
pub mod site;
pub mod spending;
mod stack;
pub mod stages;
mod state;

pub use body::Body;
pub use build_error::BuildError;
pub use builder::Builder;
pub use changes::Changes;
pub use client_certificate::ClientCertificate;
pub use control::{Control, ControlError};
pub use custom::CustomProvider;
pub use discovered::discover_models;
pub use error::Error;
pub use explain::{Considered, Explanation};
pub use layers::{LayerBody, RequestService};
pub use record::{RecordHandle, RecordSubscriber, RequestEnd, RequestRecord};
pub use relay::Relay;
pub use reload::Reloadable;
pub use request_id::RequestId;
#[cfg(feature = "serve")]
pub use serve::{
    BoundAddress, Drained, Listener, ListenerTls, ListenerTlsError, Stop, bind, bind_ipv6_only, serve,
    serve_until,
};
#[cfg(all(feature = "serve", unix))]
pub use serve::{SocketFile, bind_unix};
pub use state::{ConfigurationState, ProviderState, RelayState};

pub use relay_messages::trace_context::{Sampling, TraceContext};
pub use relay_providers::AnswerBodyError;
pub use relay_routing::{
    CandidateService, CircuitState, Figure, KeyState, LimitLevel, ModelTime, PoolState, RestingModel,
};

/// Compiles and runs the example of the README.
#[cfg(all(doctest, feature = "serve"))]
#[doc = include_str!("../README.md")]
struct Readme;
