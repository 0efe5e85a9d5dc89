//! The spans of a request, made from its record.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use relay_providers::{Endpoint, Usage};
use relay_routing::AttemptRecord;
use relay_server::{RequestEnd, RequestRecord, TraceContext};

/// Returns the span of the request and those of its attempts.
pub(super) fn spans(
    record: &RequestRecord,
    trace: &TraceContext,
    scope: &InstrumentationScope,
) -> Vec<SpanData> {
    let attempts = record.attempts.iter().enumerate().map(|(number, attempt)| {
        let mut span = span(record, trace, scope, trace.attempt_id(number));
        span.parent_span_id = SpanId::from(trace.span_id());
        span.span_kind = SpanKind::Client;
        let is_served =
            number + 1 == record.attempts.len() && record.provider.as_ref() == Some(&attempt.provider);
        describe_attempt(&mut span, record, attempt, is_served);
        span
    });
    let mut request = span(record, trace, scope, trace.span_id());
    request.parent_span_id = trace.parent_id().map_or(SpanId::INVALID, SpanId::from);
    request.parent_span_is_remote = trace.parent_id().is_some();
    describe_request(&mut request, record);
    [request].into_iter().chain(attempts).collect()
}

/// Returns a span for the whole time of the request, without a name.
fn span(record: &RequestRecord, trace: &TraceContext, scope: &InstrumentationScope, id: u64) -> SpanData {
    let state = trace.state().and_then(|state| state.parse().ok()).unwrap_or(TraceState::NONE);
    let trace_id = TraceId::from(trace.trace_id());
    SpanData {
        span_context: SpanContext::new(trace_id, SpanId::from(id), TraceFlags::SAMPLED, false, state),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Server,
        name: Cow::Borrowed(""),
        start_time: record.started_at,
        end_time: record.started_at + record.duration(),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.clone(),
    }
}

/// # Source
/// Semantic conventions for HTTP server spans; `gen_ai.conversation.id` of those for generative AI. `cc_relay.*` is our own.
fn describe_request(span: &mut SpanData, record: &RequestRecord) {
    let method = known_method(record.method.as_str());
    let route = record.endpoint.map(Endpoint::path);
    span.name = match route {
        Some(route) => format!("{method} {route}").into(),
        None if method == "_OTHER" => "HTTP".into(),
        None => method.into(),
    };
    let mut add = |key: &'static str, value: Value| span.attributes.push(KeyValue::new(key, value));
    add("http.request.method", method.into());
    if method == "_OTHER" {
        add("http.request.method_original", text(record.method.as_str()));
    }
    add("url.path", text(&record.path));
    add("url.scheme", "http".into());
    add("network.protocol.name", "http".into());
    add("http.request.body.size", int(record.bytes_received));
    add("http.response.body.size", int(record.bytes_sent));
    add("cc_relay.request_id", text(record.id.as_str()));
    add("cc_relay.end", record.end.map_or("complete", RequestEnd::as_str).into());
    let optional = [
        ("http.route", route.map(Value::from)),
        ("http.response.status_code", record.status.map(|status| i64::from(status.as_u16()).into())),
        ("error.type", error_type(record)),
        ("gen_ai.conversation.id", record.session.as_deref().map(text)),
        ("gen_ai.request.model", record.model_requested.as_deref().map(text)),
        ("cc_relay.client", record.client.as_deref().map(text)),
        ("cc_relay.client_request_id", record.client_request_id.as_deref().map(text)),
        ("cc_relay.strategy", record.strategy.map(|strategy| strategy.as_str().into())),
        ("cc_relay.own_time", record.own_time.map(seconds)),
        ("cc_relay.cost_usd", record.cost.map(|cost| cost.as_dollars().into())),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            add(key, value);
        }
    }
    // A status of 4xx is no error of a server.
    if error_type(record).is_some()
        && record.status.is_none_or(|status| status.as_u16() >= 500 || is_cut(record))
    {
        span.status = Status::error(record.error.as_deref().map(cut).unwrap_or_default());
    }
}

/// # Source
/// Semantic conventions for generative AI, `gen_ai.client.inference` spans, October 2026.
fn describe_attempt(span: &mut SpanData, record: &RequestRecord, attempt: &AttemptRecord, is_served: bool) {
    let start = record.started_at + attempt.started;
    span.start_time = start;
    span.end_time = if is_served { span.end_time.max(start) } else { start + attempt.latency };
    let operation = match record.endpoint {
        Some(Endpoint::Messages) => "chat",
        Some(Endpoint::CountTokens) => "count_tokens",
        _ => "",
    };
    let model = &*attempt.model;
    span.name = match operation {
        "" => known_method(record.method.as_str()).into(),
        operation => format!("{operation} {}", cut(model)).into(),
    };
    let is_success = attempt.result == "success";
    let is_broken = is_served && is_cut(record);
    let mut add = |key: &'static str, value: Value| span.attributes.push(KeyValue::new(key, value));
    if !operation.is_empty() {
        add("gen_ai.operation.name", operation.into());
        add("gen_ai.provider.name", provider_name(attempt.kind).into());
        add("gen_ai.request.model", text(model));
        add("gen_ai.request.stream", record.is_stream.into());
    }
    add("cc_relay.provider", text(attempt.provider.as_str()));
    add("cc_relay.key", text(attempt.credential.as_str()));
    add("cc_relay.result", attempt.result.into());
    let failure = match (is_success, is_broken) {
        (false, _) => Some(attempt.result.into()),
        (true, true) => record.end.map(|end| end.as_str().into()),
        (true, false) => None,
    };
    let optional = [
        ("error.type", failure.clone()),
        ("http.response.status_code", attempt.status.map(|status| i64::from(status).into())),
        ("server.address", attempt.address.as_ref().map(|address| text(address.host()))),
        ("server.port", attempt.address.as_ref().map(|address| i64::from(address.port()).into())),
        ("cc_relay.upstream_request_id", attempt.upstream_request_id.as_deref().map(text)),
        ("cc_relay.cost_usd", attempt.cost.map(|cost| cost.as_dollars().into())),
        ("cc_relay.response_head_time", Some(seconds(attempt.latency))),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            add(key, value);
        }
    }
    if let Some(usage) = attempt.usage.as_ref().or(is_served.then_some(&record.usage)) {
        span.attributes.extend(usage_attributes(usage));
    }
    if is_served && is_success {
        span.attributes.extend(answer_attributes(record, is_broken));
    }
    if failure.is_some() {
        span.status = Status::error(attempt.error.as_deref().map(cut).unwrap_or_default());
    }
}

/// The facts of the answer that the client got. The finish reason of a stream that broke or was cancelled is `error`.
fn answer_attributes(record: &RequestRecord, is_broken: bool) -> Vec<KeyValue> {
    let reason = if is_broken { Some("error") } else { record.stop_reason.as_deref() };
    let reasons = reason.map(|reason| Value::Array(Array::String(vec![StringValue::from(cut(reason))])));
    let all = [
        ("gen_ai.response.model", record.model_served.as_deref().map(text)),
        ("gen_ai.response.finish_reasons", reasons),
        ("gen_ai.response.time_to_first_chunk", record.content_latency().map(seconds)),
    ];
    all.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?))).collect()
}

/// The count of input tokens includes those of the cache, as the conventions demand.
fn usage_attributes(usage: &Usage) -> Vec<KeyValue> {
    let all = [
        ("gen_ai.usage.input_tokens", usage.total_input_tokens()),
        ("gen_ai.usage.output_tokens", usage.output_tokens),
        ("gen_ai.usage.cache_read.input_tokens", usage.cache_read_input_tokens),
        ("gen_ai.usage.cache_write.input_tokens", usage.cache_creation_input_tokens),
        ("gen_ai.usage.reasoning.output_tokens", usage.thinking_tokens),
    ];
    all.into_iter().filter_map(|(key, count)| Some(KeyValue::new(key, int(count?)))).collect()
}

/// Returns the name of a provider type in the conventions; types that they do not list keep the name of the configuration.
fn provider_name(kind: &'static str) -> &'static str {
    match kind {
        "bedrock" => "aws.bedrock",
        "vertex" => "gcp.vertex_ai",
        "azure" => "azure.ai.inference",
        kind => kind,
    }
}

/// Returns the kind of error of a request: the status from 500 on, or the kind of an early end.
fn error_type(record: &RequestRecord) -> Option<Value> {
    if is_cut(record) {
        return record.end.map(|end| end.as_str().into());
    }
    record.status.filter(|status| status.as_u16() >= 500).map(|status| text(status.as_str()))
}

fn is_cut(record: &RequestRecord) -> bool {
    record.end.is_some_and(|end| end != RequestEnd::Complete)
}

/// Returns a method that HTTP defines, or `_OTHER`: a client may invent methods.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

/// The longest text of an attribute, in bytes.
const TEXT_MAX: usize = 512;

/// Cuts a text that is too long for an attribute.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX)].to_owned()
}

fn text(text: &str) -> Value {
    cut(text).into()
}

fn int(count: u64) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

fn seconds(time: Duration) -> Value {
    time.as_secs_f64().into()
}
