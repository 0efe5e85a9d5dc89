//! The record of a request: every fact about it in one value. A layer for any service over `http::Request`.
//!
//! ```text
//! request ─▶ Record ─▶ RecordHandle in request.extensions ─▶ inner layers fill it in
//! response ◀─ RecordHandle in response.extensions; the body is counted, and finishes the record when it is dropped
//!                                                                        └─▶ RecordSubscribers, exactly once
//! ```
//! The log line of a request is one subscriber, the [`access_log`](crate::access_log). Metrics and a usage ledger are others:
//! none of them collects facts of its own.
//!
//! Around any service, a record has id, method, path, status, bytes, times and the kind of end. [`respond`](crate::respond) adds
//! the error, and [`auth`](crate::auth) with [`ConfiguredKeys`](crate::auth::ConfiguredKeys) the client. The model, the
//! attempts and the tokens are facts of a [`Relay`](crate::Relay), which has this layer already: a layer around it opens a second
//! record, without them.
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::{Arc, Mutex};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use relay_server::record::{CountedBody, RecordLayer, RequestEnd, RequestRecord};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let echo = service_fn(|request: Request<CountedBody<Full<Bytes>>>| async {
//!     let body = request.into_body().collect().await?.to_bytes();
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body)))
//! });
//! let finished = Arc::new(Mutex::new(Vec::new()));
//! let kept = Arc::clone(&finished);
//! let layer = RecordLayer::new()
//!     .with_subscriber(move |record: &Arc<RequestRecord>| kept.lock().unwrap().push(Arc::clone(record)));
//!
//! let response = layer.layer(echo).oneshot(Request::post("/echo").body(Full::from("hello"))?).await?;
//! assert!(finished.lock().unwrap().is_empty(), "the body of the response has not ended");
//! response.into_body().collect().await?;
//!
//! let records = finished.lock().unwrap();
//! assert_eq!((&*records[0].path, records[0].status), ("/echo", Some(http::StatusCode::OK)));
//! assert_eq!((records[0].bytes_received, records[0].bytes_sent), (5, 5));
//! assert_eq!(records[0].end, Some(RequestEnd::Complete));
//! # Ok(())
//! # }
//! ```
//! Neither headers nor bodies nor the query of the path are recorded. Nothing is sampled or stored: that is left to the
//! subscribers. Errors of inner services should become responses further in. Otherwise the record has no status, and ends as
//! [`RequestEnd::Broken`].

mod body;
mod client_request_id;
mod cost;
mod detached;
mod handle;
mod layer;
mod own_time;
mod subscriber;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use relay_config::{ProviderName, Strategy};
use relay_messages::CacheTtl;
use relay_messages::trace_context::TraceContext;
use relay_providers::{Endpoint, Usage};
use relay_routing::{AttemptRecord, CircuitState, Usd};
use tokio::time::Instant;

use crate::request_id::RequestId;

pub use body::{CountedBody, RecordedBody};
use handle::OpenRecord;
pub use handle::RecordHandle;
pub use layer::{Record, RecordFuture, RecordLayer};
pub use relay_providers::{EventGaps, GAP_BOUNDS};
pub use subscriber::RecordSubscriber;
use subscriber::Subscribers;

/// Everything that is known of one request.
///
/// A field is `None` or empty as long as its fact is unknown, and stays so if the request never comes that far: a
/// request that is refused for its credential has no model. Every fact is final in the record that a
/// [`RecordSubscriber`] receives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The relay's own id of the request.
    pub id: RequestId,
    /// The id that the client sent as `x-client-request-id`, `x-request-id` or `request-id`: the first of these that has
    /// a value of at most 128 visible ASCII characters.
    pub client_request_id: Option<Box<str>>,
    /// The upstream's id of the request, from the `request-id` header of the response that the client gets. For
    /// clouds that name it otherwise, it is the value of their header.
    pub upstream_request_id: Option<Arc<str>>,
    /// The name of the client key that admitted the request (`server.auth.api_keys[].name`), or of the
    /// [`Client`](crate::auth::Client) that a program put into the request's extensions; `None` for a client without a name.
    pub client: Option<Arc<str>>,
    /// The subject of the client's certificate, such as `CN=laptop,O=Example`, from a listener with `server.tls.client_ca` or from the
    /// [`ClientCertificate`](crate::ClientCertificate) that a program put into the request's extensions. `None` without a
    /// certificate, and for one whose subject is empty.
    pub client_subject: Option<Arc<str>>,
    /// The session that the client names, in `x-claude-code-session-id` or in `metadata.user_id`: at most 128 visible ASCII
    /// characters. `None` for a longer text, and if there is no such name.
    pub session: Option<Arc<str>>,
    /// The request's method.
    pub method: Method,
    /// The request's path, without its query.
    pub path: Box<str>,
    /// The operation of the Messages API; `None` for every other path.
    pub endpoint: Option<Endpoint>,
    /// The model in the client's request.
    pub model_requested: Option<Arc<str>>,
    /// The model that answered, as its upstream reports it, or else as the upstream calls the model that the relay sent.
    /// `None` if no upstream answered with success.
    pub model_served: Option<Arc<str>>,
    /// True if the client asked for a streamed answer.
    pub is_stream: bool,
    /// The time to live that every `cache_control` in the request asks for. `None` if there is none, or if they differ.
    pub cache_ttl: Option<CacheTtl>,
    /// The routing strategy that ordered the candidates; `None` for a request that was not routed.
    pub strategy: Option<Strategy>,
    /// Every attempt at an upstream, in order, with its provider, key, status, reason, start and duration. At most
    /// `routing.max_attempts`.
    pub attempts: Vec<AttemptRecord>,
    /// The provider whose answer the client gets; `None` for a response of the relay's own.
    pub provider: Option<ProviderName>,
    /// The circuit of the last attempt's provider, after that attempt.
    pub circuit: Option<CircuitState>,
    /// Tokens by kind, as the upstream counted them in the answer that the client got. If the answer was cut before it
    /// reported its output tokens, their number is an [estimate](relay_providers::Billed).
    pub usage: Usage,
    /// True if tokens of `usage`, or of an attempt whose answer the client did not get, were estimated: the output tokens, since an
    /// answer was cut before it reported them, or the time to live of cache writes, since neither the answer nor `cache_ttl` has it.
    pub is_estimated: bool,
    /// True if the upstream bills the answer that the client got.
    pub is_billed: bool,
    /// The cost of all attempts together, by [`Builder::with_pricing`](crate::Builder::with_pricing). It includes attempts
    /// whose answers the client did not get, as far as their upstreams bill them. `None` if nothing was billed, or if the
    /// price of every billed attempt is unknown.
    pub cost: Option<Usd>,
    /// The `stop_reason` of the answer, such as `end_turn`.
    pub stop_reason: Option<Arc<str>>,
    /// Bytes of the request body that were received, before decoding.
    pub bytes_received: u64,
    /// Bytes of the response body that were handed to the server.
    pub bytes_sent: u64,
    /// The wall-clock time at which the request's head had been read: the start of the request.
    pub started_at: SystemTime,
    /// The time from the start of the request until the response's head was ready.
    pub head: Option<Duration>,
    /// The part of `head` in which the relay worked at the request itself. The rest is time of waiting: for the client's body,
    /// for upstreams, for a free key or connection, and for a thread of the runtime.
    pub own_time: Option<Duration>,
    /// The time from the start of the request until the first content of a streamed answer passed.
    pub first_content: Option<Duration>,
    /// The gaps between the events of a streamed answer, as the upstream sent them.
    pub gaps: EventGaps,
    /// The time from the start of the request to its end; set in every finished record.
    pub ended: Option<Duration>,
    /// The response's status; `None` if the client left before the response's head.
    pub status: Option<StatusCode>,
    /// The message of an error that the relay answered with itself; `None` for an upstream's error.
    pub error: Option<Box<str>>,
    /// The kind of end; set in every finished record.
    pub end: Option<RequestEnd>,
    /// The trace of the request; `None` if the program records no traces ([`Builder::with_traces`](crate::Builder::with_traces)).
    pub trace: Option<Arc<TraceContext>>,
    /// The start of the request on the monotonic clock.
    started: Instant,
}

impl RequestRecord {
    /// The time from the start of the request to its end, or until now if it has not ended.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.ended.unwrap_or_else(|| self.started.elapsed())
    }

    /// The time from the start of the last attempt to the first content of its streamed answer: the latency of the
    /// upstream alone.
    #[must_use]
    pub fn content_latency(&self) -> Option<Duration> {
        Some(self.first_content?.saturating_sub(self.attempts.last()?.started))
    }
}

/// The kind of end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestEnd {
    /// The server took the whole response.
    Complete,
    /// The response broke off: its upstream failed, the service returned an error, or a panic ended it. This includes a
    /// stream whose break the client sees as an `error` event (`routing.on_stream_break`).
    Broken,
    /// The client left, or the server shut down, before the response was complete.
    Abandoned,
    /// The client accepted nothing of the response for `server.write_timeout_ms`.
    Stalled,
}

impl RequestEnd {
    /// The end in a word: `complete`, `broken`, `abandoned` or `stalled`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Broken => "broken",
            Self::Abandoned => "abandoned",
            Self::Stalled => "stalled",
        }
    }
}
