//! A relay in this process whose upstream is a script, with metrics.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use relay_admin::metrics::{Metrics, MetricsSettings};
use relay_config::{Format as FileFormat, Loader, ProviderName};
use relay_providers::Usage;
use relay_routing::{Pricing, Usd};
use relay_server::{Builder, Relay, RequestRecord, Sampling};
use relay_tests::{Answer, Upstream, sse};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::exposition::{Family, Format, Sample, parse};

/// The value of `accept` for OpenMetrics.
pub(crate) const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text;version=1.0.0");

/// A price of 1 USD for a million tokens of every kind, except for the model `unpriced`.
struct FlatPrice;

impl Pricing for FlatPrice {
    fn cost(&self, _: &ProviderName, model: &str, usage: &Usage) -> Option<Usd> {
        let tokens = usage.total_input_tokens().unwrap_or(0) + usage.output_tokens.unwrap_or(0);
        (model != "unpriced").then(|| Usd::from_nanos(tokens * 1000))
    }
}

/// A relay with metrics.
pub(crate) struct Served {
    pub(crate) relay: Relay,
    pub(crate) metrics: Metrics,
}

impl Served {
    /// Serves with this configuration.
    pub(crate) fn new(config: &Value) -> Self {
        Self::with_metrics(config, Metrics::new(MetricsSettings::default()), None)
    }

    /// Serves with this configuration and these metrics, after another relay.
    pub(crate) fn with_metrics(config: &Value, metrics: Metrics, before: Option<&Relay>) -> Self {
        Self::build(config, metrics, |builder| match before {
            Some(before) => builder.inherit_state(before),
            None => builder,
        })
    }

    /// Serves with this configuration, and gives each request a trace.
    pub(crate) fn with_traces(config: &Value) -> Self {
        let metrics = Metrics::new(MetricsSettings::default());
        Self::build(config, metrics, |builder| builder.with_traces(Sampling::default()))
    }

    fn build(config: &Value, metrics: Metrics, set: impl FnOnce(Builder) -> Builder) -> Self {
        let loader = Loader::new().with_text("test.yaml", FileFormat::Yaml, config.to_string());
        let config = loader.load().unwrap_or_else(|error| panic!("{error}")).config;
        let builder = Relay::builder(config).without_proxy().on_finished(metrics.clone());
        let builder = set(builder.with_pricing(Arc::new(FlatPrice)));
        Self { relay: builder.build().expect("a relay of a valid configuration"), metrics }
    }

    /// Sends a request and reads its response. Returns the status.
    pub(crate) async fn send(&self, request: Request<Full<bytes::Bytes>>) -> u16 {
        let response = self.relay.clone().oneshot(request).await.expect("an infallible service");
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(Ok(_)) = body.frame().await {}
        status
    }

    /// Sends a Messages request for this model.
    pub(crate) async fn message(&self, model: &str, client_key: &str, is_stream: bool) -> u16 {
        let content = json!([{"role": "user", "content": "hi"}]);
        let body = json!({"model": model, "max_tokens": 9, "messages": content, "stream": is_stream});
        self.send(post("/v1/messages", client_key, body.to_string())).await
    }

    /// Returns the metrics, read by the rules of the format.
    pub(crate) fn families(&self, format: Format) -> Vec<Family> {
        parse(&self.text(format), format)
    }

    /// Returns the text of the metrics.
    pub(crate) fn text(&self, format: Format) -> String {
        let accept = (format == Format::OpenMetrics).then_some(OPEN_METRICS);
        let (content_type, text) = self.metrics.encode(&self.relay.state(), accept.as_ref());
        let expected = match format {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        };
        assert_eq!(content_type, expected);
        text
    }

    /// Returns the sum of the samples with this name and these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.families(Format::Prometheus);
        let samples = families.iter().flat_map(|family| &family.samples);
        samples
            .filter(|sample| sample.name == name && has(sample, labels))
            .map(|sample| sample.value)
            .fold(0.0, |a, b| a + b)
    }
}

/// Returns `true` if a sample has all of these labels.
pub(crate) fn has(sample: &Sample, labels: &[(&str, &str)]) -> bool {
    labels.iter().all(|(name, value)| sample.label(name) == Some(value))
}

/// Returns a request with a JSON body.
pub(crate) fn post(path: &str, client_key: &str, body: String) -> Request<Full<bytes::Bytes>> {
    let request = Request::post(path).header("host", "127.0.0.1:8787").header("x-api-key", client_key);
    request.header("content-type", "application/json").body(Full::from(body)).expect("a valid request")
}

/// The answers of the upstream by the model in the request.
pub(crate) async fn upstream() -> Upstream {
    Upstream::answering(|request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let model = body["model"].as_str().unwrap_or_default().to_owned();
        match (request.target.contains("count_tokens"), model.as_str()) {
            (true, _) => Answer::json(200, &json!({"input_tokens": 7})),
            (_, "unknown") => refusal(404, "not_found_error"),
            (_, "busy") => refusal(529, "overloaded_error"),
            (_, "limited") => refusal(429, "rate_limit_error").with_header("retry-after", "30"),
            (_, "cut") => stream(&model, false),
            _ if body["stream"] == true => stream(&model, true),
            _ => limited(Answer::json(200, &message(&model))),
        }
    })
    .await
}

fn refusal(status: u16, kind: &str) -> Answer {
    Answer::json(status, &json!({"type": "error", "error": {"type": kind, "message": "no"}}))
}

/// Adds the headers from which limits are learned.
fn limited(answer: Answer) -> Answer {
    ["requests", "input-tokens", "output-tokens"].into_iter().fold(answer, |answer, name| {
        let prefix = format!("anthropic-ratelimit-{name}");
        let answer = answer.with_header(&format!("{prefix}-limit"), "1000");
        let answer = answer.with_header(&format!("{prefix}-remaining"), "900");
        answer.with_header(&format!("{prefix}-reset"), "2099-01-01T00:00:00Z")
    })
}

fn usage() -> Value {
    json!({
        "input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 12,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 8},
        "server_tool_use": {"web_search_requests": 2}
    })
}

fn message(model: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hello"}], "usage": usage()
    })
}

/// A stream of three events with content, whose end may be missing.
fn stream(model: &str, is_whole: bool) -> Answer {
    let mut start = message(model);
    (start["content"], start["stop_reason"], start["usage"]["output_tokens"]) =
        (json!([]), Value::Null, json!(1));
    let block = json!({"type": "text", "text": ""});
    let delta = json!({"type": "text_delta", "text": "hello"});
    let mut events = vec![
        sse::event("message_start", &json!({"type": "message_start", "message": start})),
        sse::event(
            "content_block_start",
            &json!({"type": "content_block_start", "index": 0, "content_block": block}),
        ),
    ];
    for _ in 0..3 {
        let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
        events.push(sse::event("content_block_delta", &event));
    }
    if is_whole {
        events.push(sse::event("content_block_stop", &json!({"type": "content_block_stop", "index": 0})));
        let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage()});
        events.push(sse::event("message_delta", &end));
        events.push(sse::event("message_stop", &json!({"type": "message_stop"})));
        return Answer::sse(events);
    }
    Answer::sse(events).with_ending(relay_tests::Ending::Reset)
}

/// A configuration with two providers and two clients.
pub(crate) fn config(upstream: &Upstream) -> Value {
    let provider = |name: &str, priority: u32| {
        let keys = json!([{"key": format!("key-of-{name}"), "name": format!("{name}-1"), "rpm_limit": 1000}]);
        json!({"name": name, "type": "anthropic", "base_url": upstream.url(), "priority": priority, "keys": keys})
    };
    json!({
        "providers": [provider("a", 2), provider("b", 1)],
        "server": {"auth": {"api_keys": [{"key": "one", "name": "team-one"}, {"key": "two", "name": "team-two"}]}}
    })
}

/// Serves a few requests of every kind.
pub(crate) async fn serve_some(served: &Served) {
    assert_eq!(served.message("claude-a", "one", false).await, 200);
    assert_eq!(served.message("claude-a", "two", true).await, 200);
    assert_eq!(served.message("unpriced", "two", true).await, 200);
    assert_eq!(served.message("cut", "one", true).await, 200);
    assert_eq!(served.message("unknown", "one", false).await, 404);
    assert_eq!(served.message("claude-a", "wrong", false).await, 401);
    let count = json!({"model": "claude-a", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(served.send(post("/v1/messages/count_tokens", "one", count.to_string())).await, 200);
    assert_eq!(served.send(post("/nowhere", "one", String::new())).await, 404);
    assert!(served.message("busy", "one", false).await >= 500);
}

/// Returns the record of a successful request for `claude-a`, to be changed and counted again.
pub(crate) async fn record() -> (Served, Arc<RequestRecord>) {
    let upstream = upstream().await;
    let metrics = Metrics::new(MetricsSettings::default());
    let kept = Arc::new(std::sync::Mutex::new(None));
    let loader = Loader::new().with_text("test.yaml", FileFormat::Yaml, config(&upstream).to_string());
    let records = Arc::clone(&kept);
    let relay = Relay::builder(loader.load().unwrap_or_else(|error| panic!("{error}")).config)
        .without_proxy()
        .with_pricing(Arc::new(FlatPrice))
        .on_finished(move |record: &Arc<RequestRecord>| {
            *records.lock().expect("no panic") = Some(Arc::clone(record));
        })
        .build()
        .expect("a relay of a valid configuration");
    let served = Served { relay, metrics };
    assert_eq!(served.message("claude-a", "one", true).await, 200);
    let record = kept.lock().expect("no panic").take().expect("a finished record");
    (served, record)
}

/// Returns the families by name.
pub(crate) fn by_name(families: &[Family]) -> HashMap<&str, &Family> {
    families.iter().map(|family| (family.name.as_str(), family)).collect()
}
