//! The traces of a relay, as a collector receives them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use relay_admin::otlp::{TraceSettings, Traces};
use relay_config::{Format, Loader};
use relay_server::Relay;
use relay_tests::{Answer, Ending, Upstream, sse};
use relay_transport::Proxies;
use serde_json::{Value, json};
use tower::ServiceExt;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A relay whose traces a scripted collector receives.
struct Traced {
    relay: Relay,
    traces: Traces,
    collector: Upstream,
}

impl Traced {
    async fn new(providers: Value, variables: &[(&str, &str)]) -> Self {
        let collector =
            Upstream::answering(|_| Answer::new(200).with_content_type("application/x-protobuf")).await;
        let url = collector.url();
        Self::with_collector(collector, &url, providers, variables)
    }

    fn with_collector(collector: Upstream, url: &str, providers: Value, variables: &[(&str, &str)]) -> Self {
        let settings = TraceSettings::from_environment(|name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url.to_owned()),
            _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        });
        let settings = settings.expect("valid settings").expect("traces are on");
        let sampling = settings.sampling();
        let traces = Traces::start(settings, Proxies::none()).expect("an exporter");
        let config = json!({ "providers": providers }).to_string();
        let config = Loader::new().with_text("test.yaml", Format::Yaml, config).load();
        let relay = Relay::builder(config.unwrap_or_else(|error| panic!("{error}")).config)
            .without_proxy()
            .with_traces(sampling)
            .on_finished(traces.clone())
            .build()
            .expect("a relay of a valid configuration");
        Self { relay, traces, collector }
    }

    /// Sends a streamed request with these headers, and reads its response.
    async fn send(&self, model: &str, headers: &[(&str, &str)]) -> u16 {
        let content = json!([{"role": "user", "content": "a secret prompt"}]);
        let body = json!({"model": model, "max_tokens": 9, "messages": content, "stream": true});
        let mut request = Request::post("/v1/messages").header("host", "127.0.0.1:8787");
        for (name, value) in headers.iter().chain(&[("content-type", "application/json")]) {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_string())).expect("a valid request");
        let response = self.relay.clone().oneshot(request).await.expect("an infallible service");
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(Ok(_)) = body.frame().await {}
        status
    }

    /// Stops the export, and returns all that the collector has received.
    async fn exported(&self) -> Vec<ExportTraceServiceRequest> {
        self.traces.shutdown(Duration::from_secs(5)).await;
        let requests = self.collector.requests();
        for request in &requests {
            assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/v1/traces"));
            assert!(!request.headers.contains("traceparent"), "the export is not traced");
            assert_eq!(request.headers.all("content-type").collect::<Vec<_>>(), ["application/x-protobuf"]);
            assert!(!String::from_utf8_lossy(&request.body).contains("secret prompt"));
        }
        requests
            .iter()
            .map(|request| ExportTraceServiceRequest::decode(&*request.body).expect("protobuf of OTLP"))
            .collect()
    }

    async fn spans(&self) -> Vec<Span> {
        let exported = self.exported().await;
        let resources = exported.into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn provider(name: &str, upstream: &Upstream, priority: u32) -> Value {
    json!({"name": name, "type": "anthropic", "base_url": upstream.url(), "priority": priority,
        "keys": [{"key": format!("key-of-{name}"), "name": format!("{name}-1")}]})
}

/// An upstream that streams an answer, which is cut if the model is `cut`.
async fn streaming() -> Upstream {
    Upstream::answering(|request| {
        let is_whole = !String::from_utf8_lossy(&request.body).contains("\"cut\"");
        let usage = json!({"input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 2, "output_tokens": 1});
        let start = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-served", "content": [],
            "stop_reason": null, "usage": usage});
        let block = json!({"type": "text", "text": ""});
        let delta = json!({"type": "text_delta", "text": "an answer"});
        let mut events = vec![
            sse::event("message_start", &json!({"type": "message_start", "message": start})),
            sse::event("content_block_start", &json!({"type": "content_block_start", "index": 0, "content_block": block})),
            sse::event("content_block_delta", &json!({"type": "content_block_delta", "index": 0, "delta": delta})),
        ];
        if !is_whole {
            return Answer::sse(events).with_ending(Ending::Reset);
        }
        events.push(sse::event("content_block_stop", &json!({"type": "content_block_stop", "index": 0})));
        let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}});
        events.push(sse::event("message_delta", &end));
        events.push(sse::event("message_stop", &json!({"type": "message_stop"})));
        Answer::sse(events).with_header("request-id", "req_upstream")
    })
    .await
}

async fn overloaded() -> Upstream {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    Upstream::answering(move |_| Answer::json(529, &error)).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(list: &[KeyValue]) -> HashMap<&str, String> {
    let text = |value: &AnyValue| match value.value.as_ref() {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        Some(Any::BoolValue(value)) => value.to_string(),
        Some(Any::ArrayValue(array)) => format!("{} items", array.values.len()),
        other => panic!("{other:?}"),
    };
    list.iter().map(|pair| (pair.key.as_str(), text(pair.value.as_ref().expect("a value")))).collect()
}

#[tokio::test]
async fn a_request_and_its_attempts_are_spans_of_the_clients_trace() {
    let (busy, good) = (overloaded().await, streaming().await);
    let providers = json!([provider("busy", &busy, 2), provider("good", &good, 1)]);
    let traced = Traced::new(providers, &[("OTEL_SERVICE_NAME", "relay-1")]).await;
    let session = ("x-claude-code-session-id", "11111111-2222-3333-4444-555555555555");
    assert_eq!(
        traced.send("claude-a", &[("traceparent", PARENT), ("tracestate", "a=1"), session]).await,
        200
    );
    let spans = traced.spans().await;
    let [server, first, second] = spans.as_slice() else { panic!("three spans: {spans:?}") };

    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE_ID && span.trace_state == "a=1"));
    assert_eq!((server.kind(), hex(&server.parent_span_id).as_str()), (SpanKind::Server, "00f067aa0ba902b7"));
    assert_eq!(server.name, "POST /v1/messages");
    for (span, upstream) in [(first, &busy), (second, &good)] {
        assert_eq!(span.kind(), SpanKind::Client);
        assert_eq!(span.parent_span_id, server.span_id);
        let request = upstream.only_request();
        let sent: Vec<_> = request.headers.all("traceparent").collect();
        assert_eq!(sent, [format!("00-{TRACE_ID}-{}-01", hex(&span.span_id))]);
        assert_eq!(request.headers.all("tracestate").collect::<Vec<_>>(), ["a=1"]);
        assert!(span.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= server.end_time_unix_nano);
        let attributes = attributes(&span.attributes);
        assert_eq!(attributes["server.address"], "127.0.0.1");
        assert_eq!(attributes["server.port"], upstream.address().port().to_string());
    }
    assert_eq!(second.end_time_unix_nano, server.end_time_unix_nano, "the answer ends with the request");

    let server = attributes(&server.attributes);
    assert_eq!(
        (server["http.response.status_code"].as_str(), server["http.route"].as_str()),
        ("200", "/v1/messages")
    );
    assert_eq!(server["gen_ai.conversation.id"], session.1);
    assert!(server["cc_relay.request_id"].starts_with("req_") && !server.contains_key("error.type"));
    let failed = attributes(&first.attributes);
    assert_eq!(
        (failed["error.type"].as_str(), failed["http.response.status_code"].as_str()),
        ("overloaded", "529")
    );
    assert_eq!(first.status.as_ref().map(|status| status.code), Some(2));
    let answered = attributes(&second.attributes);
    for (key, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.request.model", "claude-a"),
        ("gen_ai.request.stream", "true"),
        ("gen_ai.response.model", "claude-served"),
        ("gen_ai.response.finish_reasons", "1 items"),
        ("gen_ai.usage.input_tokens", "42"),
        ("gen_ai.usage.output_tokens", "20"),
        ("gen_ai.usage.cache_read.input_tokens", "30"),
        ("gen_ai.usage.cache_write.input_tokens", "2"),
        ("cc_relay.provider", "good"),
        ("cc_relay.key", "good-1"),
    ] {
        assert_eq!(answered.get(key).map(String::as_str), Some(expected), "{key}");
    }
    assert!(answered.contains_key("gen_ai.response.time_to_first_chunk"));
    assert_eq!(second.name, "chat claude-a");
}

#[tokio::test]
async fn the_resource_names_the_service() {
    let good = streaming().await;
    let variables = [
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b"),
    ];
    let traced = Traced::new(json!([provider("good", &good, 1)]), &variables).await;
    assert_eq!(traced.send("claude-a", &[]).await, 200);
    let exported = traced.exported().await;
    let resource = exported[0].resource_spans[0].resource.as_ref().expect("a resource");
    let resource = attributes(&resource.attributes);
    assert_eq!(
        (resource["service.name"].as_str(), resource["deployment.environment.name"].as_str()),
        ("cc-relay", "test")
    );
    let requests = traced.collector.requests();
    assert_eq!(requests[0].headers.all("x-tenant").collect::<Vec<_>>(), ["a b"]);
}

#[tokio::test]
async fn a_request_without_a_trace_starts_one_and_a_broken_answer_is_an_error() {
    let good = streaming().await;
    let traced = Traced::new(json!([provider("good", &good, 1)]), &[]).await;
    assert_eq!(traced.send("cut", &[("traceparent", "not a parent"), ("tracestate", "a=1")]).await, 200);
    let spans = traced.spans().await;
    let [server, attempt] = spans.as_slice() else { panic!("two spans: {spans:?}") };
    assert!(server.parent_span_id.is_empty() && server.trace_id.iter().any(|byte| *byte != 0));
    assert_eq!((server.trace_state.as_str(), attempt.trace_id == server.trace_id), ("", true));
    for span in [server, attempt] {
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(2), "{span:?}");
        assert_eq!(attributes(&span.attributes)["error.type"], "broken");
    }
}

#[tokio::test]
async fn a_trace_that_the_client_does_not_record_is_not_exported_and_its_flag_is_forwarded() {
    let good = streaming().await;
    let traced = Traced::new(json!([provider("good", &good, 1)]), &[]).await;
    let parent = PARENT.replace("-01", "-00");
    assert_eq!(traced.send("claude-a", &[("traceparent", &parent)]).await, 200);
    assert!(traced.spans().await.is_empty());
    let request = good.only_request();
    let sent = request.headers.all("traceparent").next().expect("a trace").to_owned();
    assert!(sent.starts_with(&format!("00-{TRACE_ID}-")) && sent.ends_with("-00"), "{sent}");
}

#[tokio::test]
async fn every_span_arrives_in_batches() {
    let good = streaming().await;
    let variables = [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"), ("OTEL_TRACES_SAMPLER", "always_on")];
    let traced = Arc::new(Traced::new(json!([provider("good", &good, 1)]), &variables).await);
    for _ in 0..10 {
        assert_eq!(traced.send("claude-a", &[]).await, 200);
    }
    assert_eq!(traced.spans().await.len(), 20);
    assert!(traced.collector.requests().len() >= 3);
    assert_eq!(traced.traces.dropped(), 0);
}

#[tokio::test]
async fn a_collector_that_never_answers_delays_neither_requests_nor_the_shutdown() {
    let good = streaming().await;
    let silent = Upstream::scripted(|mut connection| async move {
        connection.receive().await;
        std::future::pending::<()>().await;
    });
    let silent = silent.await;
    let url = silent.url();
    let variables = [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"), ("OTEL_BSP_MAX_QUEUE_SIZE", "2")];
    let traced = Traced::with_collector(silent, &url, json!([provider("good", &good, 1)]), &variables);
    for _ in 0..10 {
        assert_eq!(traced.send("claude-a", &[]).await, 200);
    }
    assert!(traced.traces.dropped() >= 5, "{}", traced.traces.dropped());
    let started = Instant::now();
    traced.traces.shutdown(Duration::from_millis(200)).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_collector_that_refuses_connections_costs_only_the_spans() {
    let good = streaming().await;
    let (_socket, address) = Upstream::refusing();
    let collector = Upstream::answering(|_| Answer::new(200)).await;
    let url = format!("http://{address}");
    let traced = Traced::with_collector(collector, &url, json!([provider("good", &good, 1)]), &[]);
    assert_eq!(traced.send("claude-a", &[]).await, 200);
    traced.traces.shutdown(Duration::from_secs(5)).await;
    assert_eq!(traced.traces.dropped(), 1);
    // A second shutdown has nothing to wait for.
    traced.traces.shutdown(Duration::from_secs(5)).await;
}
