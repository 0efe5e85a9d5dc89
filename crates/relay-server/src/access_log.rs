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
//! //   head_ms=0 total_ms=0 bytes=5 end="complete"
//! # Ok(())
//! # }
//! ```
//! The event has the target `relay_server::access_log`, the level `info`, or `debug` for a probe, and these fields. A field
//! without a value is absent.
//!
//! | field | value |
//! |---|---|
//! | `request_id`, `method`, `path` | of the request; the path without its query |
//! | `status`, `bytes` | of the response: its status, and the bytes of its body that were handed to the server |
//! | `head_ms`, `total_ms` | milliseconds from the request's head to the response's head, and to the end |
//! | `end` | `complete`, `broken`, `abandoned` or `stalled`: see [`RequestEnd`] |
//! | `error`, `client` | the message of an own error, and the name of the client key, if the layers of this crate set them |
//! | `model`, `provider`, `attempts`, `content_ms`, `…_tokens` | of a request that a [`Relay`](crate::Relay) routed |
//!
//! Texts of clients are cut to a bounded length. Headers, bodies and addresses are not logged. The format, the filter and the
//! files of the log are left to the subscriber of `tracing` that the program installs.

use std::fmt::{self, Write};
use std::sync::Arc;

use relay_messages::cut;
use relay_routing::AttemptRecord;

use crate::record::{RecordSubscriber, RequestEnd, RequestRecord};

/// The paths of the relay that machines request again and again.
pub(crate) const PROBES: [&str; 5] = ["/health", "/healthz", "/readyz", "/", "/api/hello"];

/// The usual length of the text of one attempt, in bytes.
const ATTEMPT_LENGTH: usize = 80;

/// Emits one event, at a level that tracing needs to know at compile time.
macro_rules! log_event {
    ($is_probe:expr, $($fields:tt)*) => {
        if $is_probe { tracing::debug!($($fields)*) } else { tracing::info!($($fields)*) }
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

    /// Logs requests for these paths at level `debug`: machines request them again and again. Replaces the paths of an
    /// earlier call.
    #[must_use]
    pub fn with_probes<P: Into<Box<str>>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.probes = paths.into_iter().map(Into::into).collect();
        self
    }
}

impl RecordSubscriber for AccessLog {
    fn finished(&self, record: &Arc<RequestRecord>) {
        let last = record.attempts.last();
        log_event!(
            self.probes.contains(&record.path),
            request_id = record.id.as_str(),
            method = &*cut(record.method.as_str()),
            path = &*cut(&record.path),
            status = record.status.map(|status| status.as_u16()),
            model = record.model_requested.as_deref().map(cut).as_deref(),
            client = record.client.as_deref().map(cut).as_deref(),
            provider = last.map(|attempt| attempt.provider.as_str()),
            attempts = (record.strategy.is_some() || last.is_some()).then(|| describe(&record.attempts)),
            error = record.error.as_deref().map(cut).as_deref(),
            head_ms = record.head.map(|latency| latency.as_millis() as u64),
            content_ms = record.content_latency().map(|latency| latency.as_millis() as u64),
            total_ms = record.duration().as_millis() as u64,
            bytes = record.bytes_sent,
            input_tokens = record.usage.input_tokens,
            cache_read_tokens = record.usage.cache_read_input_tokens,
            cache_write_tokens = record.usage.cache_creation_input_tokens,
            output_tokens = record.usage.output_tokens,
            end = record.end.map(RequestEnd::as_str),
            "request"
        );
    }
}

/// Formats attempts as `zai/1f2e3d4c glm-5.3 529 overloaded 120ms, anthropic/… claude-opus-5-5 200 success 800ms`.
fn describe(attempts: &[AttemptRecord]) -> String {
    let mut text = String::with_capacity(attempts.len() * ATTEMPT_LENGTH);
    for attempt in attempts {
        if !text.is_empty() {
            text.push_str(", ");
        }
        // A `String` takes every text.
        let _ = push_attempt(&mut text, attempt);
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
