//! The access log: one `tracing` event for each request, after it has ended.
//!
//! ```text
//! request ─▶ Record ─▶ inner service
//! response ◀─┘ the body ends, fails or is dropped ─▶ RequestRecord ─▶ AccessLog ─▶ event "request"
//! ```
//! [`AccessLog`] is a subscriber of the [`record`](crate::record) of a request, and no layer: the log line, the metrics and the
//! observers of a program then agree in every fact. In a service of another author, the pair of
//! [`RecordLayer`](crate::record::RecordLayer) and [`AccessLog`] is its access log.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use relay_server::access_log::AccessLog;
//! use relay_server::record::{CountedBody, RecordLayer};
//! use relay_server::request_id::SetRequestIdLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! tracing_subscriber::fmt().with_test_writer().init();
//! let log = AccessLog::new().with_probes(["/healthz"]);
//! let service = ServiceBuilder::new()
//!     .layer(SetRequestIdLayer::new()) // the id in the log is the one in the response
//!     .layer(RecordLayer::new().with_subscriber(log))
//!     .service(service_fn(|_: Request<CountedBody<Full<Bytes>>>| async {
//!         Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
//!     }));
//! let response = service.oneshot(Request::get("/greeting").body(Full::default())?).await?;
//! response.into_body().collect().await?;
//! // INFO relay_server::access_log: request request_id="req_…" method="GET" path="/greeting" status=200
//! //   head_ms=0 own_us=31 total_ms=0 bytes=5 end="complete"
//! # Ok(())
//! # }
//! ```
//! The event has the target `relay_server::access_log`, and one of these levels:
//!
//! | level | request |
//! |---|---|
//! | `error` | one that failed until an operator acts: the upstream rejects the credential, a provider is misconfigured, no provider is usable, or the relay has a defect |
//! | `warn` | another one with a status of 500 or above, or whose response broke off |
//! | `debug` | one of a probe: machines request these paths again and again |
//! | `info` | every other one |
//!
//! It has these fields. A field without a value is absent.
//!
//! | field | value |
//! |---|---|
//! | `request_id`, `method`, `path` | of the request; the path without its query |
//! | `upstream_request_id`, `client_request_id` | the ids of the same request at the upstream and at the client. A client sees the upstream's in the header `request-id`, or else `request_id` |
//! | `status`, `bytes` | of the response: its status, and the bytes of its body that were handed to the server |
//! | `head_ms`, `total_ms` | milliseconds from the request's head to the response's head, and to the end |
//! | `own_us` | microseconds of `head_ms` in which the relay worked, without waiting |
//! | `end` | `complete`, `broken`, `abandoned` or `stalled`: see [`RequestEnd`] |
//! | `error`, `client` | the message of an own error, and the name of the client key, if the layers of this crate set them |
//! | `client_subject` | the subject of the client's certificate, if the listener demands one or the program knows it |
//! | `model`, `served_model`, `session`, `provider`, `attempts`, `tries`, `content_ms`, `stop_reason` | of a request that a [`Relay`](crate::Relay) routed. `tries` is the number of attempts, if there was more than one |
//! | `…_tokens`, `web_searches`, `estimated` | the usage of its answer. `estimated` is `true` if output tokens are an estimate |
//! | `cost_usd` | the cost of all attempts in US dollars, if prices are known |
//!
//! Texts of clients are cut to a bounded length. Headers, bodies and addresses are not logged. The format, the filter and the
//! files of the log are left to the subscriber of `tracing` that the program installs.

use std::fmt::{self, Write};
use std::sync::Arc;

use http::StatusCode;
use relay_messages::cut;
use relay_routing::{AttemptRecord, Usd};
use tracing::Level;

use crate::record::{RecordSubscriber, RequestEnd, RequestRecord};

/// The paths of the relay that machines request again and again: probes, and `cc-relay status`.
pub(crate) const PROBES: [&str; 6] = ["/health", "/healthz", "/readyz", "/", "/api/hello", "/v1/providers"];

/// The usual length of the text of one attempt, in bytes.
const ATTEMPT_LENGTH: usize = 80;

/// The results of attempts that fail again until an operator changes a key or a setting.
const MISCONFIGURED: [&str; 4] = ["credential_rejected", "authorize", "prepare", "redirect"];

/// Emits one event at `level`, which tracing needs to know at compile time.
macro_rules! log_event {
    ($level:expr, $($fields:tt)*) => {
        match $level {
            Level::ERROR => tracing::error!($($fields)*),
            Level::WARN => tracing::warn!($($fields)*),
            Level::DEBUG => tracing::debug!($($fields)*),
            _ => tracing::info!($($fields)*),
        }
    };
}

/// Logs each request by its record, as the [module](self) describes.
#[derive(Debug, Clone, Default)]
pub struct AccessLog {
    probes: Arc<[Box<str>]>,
}

impl AccessLog {
    /// Creates a log of all requests at level `info`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Logs requests for these paths at level `debug`, whatever their status. Replaces the paths of an earlier call.
    #[must_use]
    pub fn with_probes<P: Into<Box<str>>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.probes = paths.into_iter().map(Into::into).collect();
        self
    }
}

impl AccessLog {
    fn level(&self, record: &RequestRecord) -> Level {
        if self.probes.contains(&record.path) {
            Level::DEBUG
        } else if needs_operator(record) {
            Level::ERROR
        } else if record.end == Some(RequestEnd::Broken) || record.status.is_some_and(|s| s.is_server_error())
        {
            Level::WARN
        } else {
            Level::INFO
        }
    }
}

/// Returns `true` for a failure that lasts until an operator acts.
fn needs_operator(record: &RequestRecord) -> bool {
    match record.status {
        // Only a defect of the relay has this status without an upstream.
        Some(StatusCode::INTERNAL_SERVER_ERROR) => record.provider.is_none(),
        Some(StatusCode::SERVICE_UNAVAILABLE) if record.attempts.is_empty() => record.strategy.is_some(),
        Some(status) if status.is_server_error() && !record.attempts.is_empty() => {
            record.attempts.iter().all(|attempt| MISCONFIGURED.contains(&attempt.result))
        }
        _ => false,
    }
}

impl RecordSubscriber for AccessLog {
    fn finished(&self, record: &Arc<RequestRecord>) {
        let last = record.attempts.last();
        let usage = &record.usage;
        let served = record
            .model_served
            .as_deref()
            .filter(|served| Some(*served) != record.model_requested.as_deref());
        log_event!(
            self.level(record),
            request_id = record.id.as_str(),
            upstream_request_id = record.upstream_request_id.as_deref().map(cut).as_deref(),
            client_request_id = record.client_request_id.as_deref(),
            method = &*cut(record.method.as_str()),
            path = &*cut(&record.path),
            status = record.status.map(|status| status.as_u16()),
            model = record.model_requested.as_deref().map(cut).as_deref(),
            served_model = served.map(cut).as_deref(),
            client = record.client.as_deref().map(cut).as_deref(),
            client_subject = record.client_subject.as_deref().map(cut).as_deref(),
            session = record.session.as_deref(),
            provider = last.map(|attempt| attempt.provider.as_str()),
            attempts = (record.strategy.is_some() || last.is_some()).then(|| describe(&record.attempts)),
            tries = Some(record.attempts.len()).filter(|count| *count > 1),
            error = record.error.as_deref().map(cut).as_deref(),
            head_ms = record.head.map(|latency| latency.as_millis() as u64),
            own_us = record.own_time.map(|time| time.as_micros() as u64),
            content_ms = record.content_latency().map(|latency| latency.as_millis() as u64),
            total_ms = record.duration().as_millis() as u64,
            bytes = record.bytes_sent,
            input_tokens = usage.input_tokens,
            cache_read_tokens = usage.cache_read_input_tokens,
            cache_write_tokens = usage.cache_creation_input_tokens,
            cache_write_1h_tokens = usage.ephemeral_1h_input_tokens,
            output_tokens = usage.output_tokens,
            web_searches = usage.web_search_requests,
            estimated = record.is_estimated.then_some(true),
            cost_usd = record.cost.map(Usd::as_dollars),
            stop_reason = record.stop_reason.as_deref().map(cut).as_deref(),
            end = record.end.map(RequestEnd::as_str),
            "request"
        );
    }
}

/// Formats attempts as `zai/1f2e3d4c glm-5.3 529 overloaded 120ms req_1, anthropic/… claude-opus-5-5 200 success 800ms`. The
/// upstream's id of the last one is a field of its own.
fn describe(attempts: &[AttemptRecord]) -> String {
    let mut text = String::with_capacity(attempts.len() * ATTEMPT_LENGTH);
    for (index, attempt) in attempts.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        // A `String` takes every text.
        let _ = push_attempt(&mut text, attempt);
        if index + 1 < attempts.len() {
            push_id(&mut text, attempt);
        }
    }
    text
}

fn push_attempt(text: &mut String, attempt: &AttemptRecord) -> fmt::Result {
    text.push_str(attempt.provider.as_str());
    write!(text, "/{}", attempt.credential)?;
    if !attempt.model.is_empty() {
        text.push(' ');
        text.push_str(&cut(&attempt.model));
    }
    if let Some(status) = attempt.status {
        write!(text, " {status}")?;
    }
    text.push(' ');
    text.push_str(attempt.result);
    if let Some(error) = &attempt.error {
        write!(text, " ({})", cut(error))?;
    }
    write!(text, " {}ms", attempt.latency.as_millis() as u64)
}

/// Appends the upstream's id of an attempt whose response the client does not have.
fn push_id(text: &mut String, attempt: &AttemptRecord) {
    if let Some(id) = &attempt.upstream_request_id {
        text.push(' ');
        text.push_str(&cut(id));
    }
}
