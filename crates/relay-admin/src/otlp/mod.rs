//! Traces by OpenTelemetry's protocol (OTLP over HTTP, protobuf).
//!
//! ```text
//! RequestRecord ─▶ Traces ─ bounded queue ─▶ task: spans ▸ batch ▸ OTLP ─▶ relay-transport ─▶ collector
//! ```
//! A request is a span of the kind `SERVER`, each attempt at an upstream a span of the kind `CLIENT` below it, with the semantic
//! conventions for HTTP and for generative AI. The spans are made from the finished record, so that the data path does no more
//! than put the record into a queue. If the queue is full, the record is dropped and counted. The export uses the relay's own HTTP
//! client, and no span is made for it.
//!
//! [`TraceSettings`] reads the standard variables of OpenTelemetry. Neither prompts nor answers are part of a span.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use relay_admin::otlp::{TraceSettings, Traces};
//! use relay_config::Config;
//! use relay_server::Relay;
//! use relay_transport::Proxies;
//!
//! # async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
//! let Some(settings) = TraceSettings::from_environment(|name| std::env::var(name).ok())? else { return Ok(()) };
//! let sampling = settings.sampling();
//! let traces = Traces::start(settings, Proxies::from_environment())?;
//! let relay = Relay::builder(config).with_traces(sampling).on_finished(traces.clone()).build()?;
//! // … serve the relay, then send the last spans.
//! # drop(relay);
//! traces.shutdown(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//! # Source
//! OpenTelemetry, semantic-conventions-genai (October 2026) for `gen_ai.*`; semantic conventions for HTTP spans; specification of
//! environment variables and of the OTLP exporter.

mod client;
mod settings;
mod spans;
mod traces;

pub use settings::{TraceSettings, TraceSettingsError};
pub use traces::{Traces, TracesError};
