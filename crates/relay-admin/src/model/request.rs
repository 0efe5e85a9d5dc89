//! One request.

use relay_routing::{ModelCost, Usd};
use relay_server::{RequestEnd, RequestRecord};
use relay_stream::watch::Usage;
use serde::Serialize;
use utoipa::ToSchema;

use super::{millis, unix_ms};
use crate::cost::{self, CostSum};

/// A request: one that is under way, or one that has ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Request {
    /// The relay's id.
    pub id: String,
    /// The id that the client sent.
    pub client_request_id: Option<String>,
    /// The id of the upstream whose answer the client got.
    pub upstream_request_id: Option<String>,
    /// The name of the client's key.
    pub client: Option<String>,
    /// The session that the client names.
    pub session: Option<String>,
    /// The method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The path of the operation; null for every path that is not routed by model.
    pub endpoint: Option<&'static str>,
    /// The model in the request.
    pub model_requested: Option<String>,
    /// The model that answered.
    pub model_served: Option<String>,
    /// True if the client requested a streamed answer.
    pub is_stream: bool,
    /// The strategy that ordered the candidates.
    pub strategy: Option<&'static str>,
    /// The provider whose answer the client gets.
    pub provider: Option<String>,
    /// The state of the circuit of the last attempt's provider, after that attempt.
    pub circuit: Option<&'static str>,
    /// The status of the response; null before its head.
    pub status: Option<u16>,
    /// `complete`, `broken`, `abandoned` or `stalled`; null while the request is under way.
    pub end: Option<&'static str>,
    /// The message of an error of the relay's own.
    pub error: Option<String>,
    /// The reason for which the model stopped.
    pub stop_reason: Option<String>,
    /// The start of the request.
    pub started_unix_ms: u64,
    /// The time to the head of the response.
    pub head_ms: Option<u64>,
    /// The time to the first content of a streamed answer.
    pub first_content_ms: Option<u64>,
    /// The time to the end, or until now.
    pub total_ms: u64,
    /// The part of `head_ms` that the relay itself needed.
    pub own_ms: Option<f64>,
    /// Bytes of the request's body.
    pub bytes_received: u64,
    /// Bytes of the response's body.
    pub bytes_sent: u64,
    /// Tokens by kind.
    pub usage: Tokens,
    /// True if tokens are an estimate: the output tokens, since the answer was cut off before it reported them, or the time to live
    /// of cache writes, since neither the answer nor the request has it.
    pub is_estimated: bool,
    /// The cost of all attempts, 0 if nothing was billed; null if no price is known, while the request is under way, and for every
    /// path that is not routed by model.
    pub cost_usd: Option<f64>,
    /// True if the cost is at least `cost_usd`, since the prices of some attempts are unknown.
    pub is_cost_partial: bool,
    /// The attempts at upstreams, in order.
    pub attempts: Vec<AttemptBody>,
}

/// Tokens by kind. `null` is a number that the upstream has not reported.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Tokens {
    /// Input tokens neither read from a cache nor written to one.
    pub input_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// Input tokens read from a cache.
    pub cache_read_tokens: Option<u64>,
    /// Input tokens written to a cache of any lifetime.
    pub cache_write_tokens: Option<u64>,
    /// Input tokens written to a cache for five minutes.
    pub cache_write_5m_tokens: Option<u64>,
    /// Input tokens written to a cache for one hour.
    pub cache_write_1h_tokens: Option<u64>,
    /// Searches of the web that the upstream has made.
    pub web_search_requests: Option<u64>,
}

/// One attempt at an upstream.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct AttemptBody {
    /// The provider.
    pub provider: String,
    /// The provider's type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The name of the key, or its short id; `client` for the client's own credential, `none` without one.
    pub credential: String,
    /// The provider's name of the model; empty for a request that was forwarded unread.
    pub model: String,
    /// The status of the response.
    pub status: Option<u16>,
    /// The outcome in one word, such as `success`, `rate_limited`, `connect` or `unfinished`.
    pub result: &'static str,
    /// The reason for which there is no response.
    pub error: Option<String>,
    /// The time from the start of the request to the start of the attempt.
    pub started_ms: u64,
    /// The time from the start of the attempt to the head of the response, or to the failure.
    pub latency_ms: u64,
    /// The cost, 0 if the attempt is not billed; null if its price is unknown, and while the request is under way.
    pub cost_usd: Option<f64>,
    /// The tokens and the cost of each model, if the upstream has called further models within the attempt, such as an advisor. The
    /// first is the model that answered. Empty if the model that was sent has used all tokens.
    pub by_model: Vec<ModelBody>,
    /// The upstream's id of the request.
    pub upstream_request_id: Option<String>,
}

/// The tokens and the cost of one model within an attempt.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ModelBody {
    /// The model, as the upstream names it; empty if it has no name.
    pub model: String,
    /// Tokens by kind.
    pub usage: Tokens,
    /// The cost; null if its price is unknown, and while the request is under way.
    pub cost_usd: Option<f64>,
}

/// A page of requests.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct RequestsBody {
    /// The requests, the one that began last first.
    pub data: Vec<Request>,
    /// The value of `before` for the next page; null on the last one.
    pub next: Option<String>,
}

impl RequestsBody {
    pub(crate) fn new(data: Vec<Request>, next: Option<String>) -> Self {
        Self { data, next }
    }
}

impl From<&RequestRecord> for Request {
    fn from(record: &RequestRecord) -> Self {
        let cost = is_counted(record).then(|| CostSum::of(record));
        Self {
            id: record.id.as_str().to_owned(),
            client_request_id: text(record.client_request_id.as_deref()),
            upstream_request_id: text(record.upstream_request_id.as_deref()),
            client: text(record.client.as_deref()),
            session: text(record.session.as_deref()),
            method: record.method.as_str().to_owned(),
            path: record.path.to_string(),
            endpoint: record.endpoint.map(relay_providers::Endpoint::path),
            model_requested: text(record.model_requested.as_deref()),
            model_served: text(record.model_served.as_deref()),
            is_stream: record.is_stream,
            strategy: record.strategy.map(relay_config::Strategy::as_str),
            provider: record.provider.as_ref().map(ToString::to_string),
            circuit: record.circuit.map(relay_routing::CircuitState::as_str),
            status: record.status.map(|status| status.as_u16()),
            end: record.end.map(RequestEnd::as_str),
            error: text(record.error.as_deref()),
            stop_reason: text(record.stop_reason.as_deref()),
            started_unix_ms: unix_ms(record.started_at),
            head_ms: record.head.map(millis),
            first_content_ms: record.first_content.map(millis),
            total_ms: millis(record.duration()),
            own_ms: record.own_time.map(|time| (time.as_secs_f64() * 1e6).round() / 1e3),
            bytes_received: record.bytes_received,
            bytes_sent: record.bytes_sent,
            usage: Tokens::from(&record.usage),
            is_estimated: record.is_estimated,
            cost_usd: cost.and_then(|cost| cost.usd()).map(Usd::as_dollars),
            is_cost_partial: cost.is_some_and(|cost| cost.is_partial()),
            attempts: (0..record.attempts.len()).filter_map(|index| AttemptBody::of(record, index)).collect(),
        }
    }
}

/// Returns `true` if the cost of a request can be known: it has ended, and its answer was read.
fn is_counted(record: &RequestRecord) -> bool {
    record.end.is_some() && record.endpoint.is_some()
}

impl AttemptBody {
    fn of(record: &RequestRecord, index: usize) -> Option<Self> {
        let attempt = record.attempts.get(index)?;
        let cost = is_counted(record).then(|| cost::of_attempt(record, index)).flatten();
        Some(Self {
            provider: attempt.provider.to_string(),
            kind: attempt.kind,
            credential: attempt.credential.to_string(),
            model: attempt.model.to_string(),
            status: attempt.status,
            result: attempt.result,
            error: attempt.error.clone(),
            started_ms: millis(attempt.started),
            latency_ms: millis(attempt.latency),
            cost_usd: cost.map(Usd::as_dollars),
            by_model: attempt.by_model.iter().map(ModelBody::from).collect(),
            upstream_request_id: text(attempt.upstream_request_id.as_deref()),
        })
    }
}

impl From<&ModelCost> for ModelBody {
    fn from(part: &ModelCost) -> Self {
        Self {
            model: part.model.to_string(),
            usage: Tokens::from(&part.usage),
            cost_usd: part.cost.map(Usd::as_dollars),
        }
    }
}

impl From<&Usage> for Tokens {
    fn from(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_tokens: usage.cache_read_input_tokens,
            cache_write_tokens: usage.cache_creation_input_tokens,
            cache_write_5m_tokens: usage.ephemeral_5m_input_tokens,
            cache_write_1h_tokens: usage.ephemeral_1h_input_tokens,
            web_search_requests: usage.web_search_requests,
        }
    }
}

fn text(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
