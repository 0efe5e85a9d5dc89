//! The spans of a request and of its attempts, and the ids that a program chooses.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod common;
mod log;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use relay_config::{Format, Loader};
use relay_providers::{Answer, AnswerBody, Attempt};
use relay_server::{Builder, LayerBody, RecordHandle, Relay};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower::util::{MapRequestLayer, MapResponseLayer};

/// Returns the log at level `warn` of a relay that serves `request`.
fn log_of(relay: Builder, request: Request<Full<Bytes>>) -> String {
    let log = log::Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::WARN);
    let subscriber = subscriber.with_writer(log.clone()).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let response = relay.build().unwrap().oneshot(request).await.unwrap();
            let _ = response.into_body().collect().await;
        });
    });
    log.text()
}

/// Returns the spans of each event with this message, outermost first.
fn spans(log: &str, message: &str) -> Vec<Value> {
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["fields"]["message"] == message).map(|event| event["spans"].clone()).collect()
}

fn messages(fault: &str) -> Request<Full<Bytes>> {
    let body = r#"{"model":"claude-x","max_tokens":8,"messages":[],"stream":true}"#;
    let request = Request::post("/v1/messages?key=secret").header("x-api-key", "relay-a");
    let request = request.header("x-cc-relay-mock", fault).header("x-request-id", "trace-1");
    request.body(Full::from(body)).unwrap()
}

/// The spans of an attempt at `provider`.
fn attempt(provider: &str, model: &str, number: u32) -> Value {
    json!([
        {"name": "request", "request_id": "trace-1", "method": "POST", "route": "/v1/messages"},
        {"name": "attempt", "provider": provider, "model": model, "attempt": number},
    ])
}

#[test]
fn an_event_of_an_attempt_carries_the_request_and_the_provider() {
    let relay = common::relay()
        .layer_attempts(MapRequestLayer::new(|attempt: Attempt| {
            tracing::warn!("sent");
            attempt
        }))
        .layer_attempts(MapResponseLayer::new(|mut answer: Answer| {
            answer.response = answer.response.map(|body| {
                let body = body.map_frame(|frame| {
                    tracing::warn!("frame");
                    frame
                });
                AnswerBody::new(body)
            });
            answer
        }));
    let log = log_of(relay, messages("first=401"));
    let (first, second) = (attempt("first", "claude-x", 1), attempt("second", "mapped", 2));
    assert_eq!(spans(&log, "sent"), [first.clone(), second.clone()]);
    assert_eq!(spans(&log, "the upstream refuses the relay's credential"), [first]);
    let frames = spans(&log, "frame");
    assert!(!frames.is_empty() && frames.iter().all(|spans| *spans == second), "{frames:?}");
    assert!(!log.contains("secret") && !log.contains("relay-a"), "{log}");
}

#[test]
fn an_event_in_a_body_of_a_request_layer_carries_the_request() {
    let relay = common::relay().layer_requests(MapResponseLayer::new(|response: Response<LayerBody>| {
        response.map(|body| {
            LayerBody::new(body.map_frame(|frame| {
                tracing::warn!("frame");
                frame
            }))
        })
    }));
    let frames = spans(&log_of(relay, messages("")), "frame");
    let request =
        json!([{"name": "request", "request_id": "trace-1", "method": "POST", "route": "/v1/messages"}]);
    assert!(!frames.is_empty() && frames.iter().all(|spans| *spans == request), "{frames:?}");
}

#[test]
fn an_event_at_the_end_of_a_body_carries_the_request_and_the_provider() {
    let config = "
server: { auth: { api_keys: [{ name: alice, key: relay-a }] } }
health: { circuit_breaker: { failure_threshold: 1 } }
providers: [{ name: first, type: mock }]
";
    let config = Loader::new().with_text("test.yaml", Format::Yaml, config).load().unwrap().config;
    let log = log_of(Relay::builder(config).without_proxy(), messages("cut"));
    assert_eq!(spans(&log, "circuit"), [attempt("first", "claude-x", 1)], "{log}");
}

#[test]
fn a_break_of_the_answer_is_logged_with_the_provider() {
    let log = log_of(common::relay(), messages("cut"));
    let event = log.lines().find(|line| line.contains("answer broke off")).unwrap();
    let fields = serde_json::from_str::<Value>(event).unwrap()["fields"].take();
    assert_eq!((&fields["request_id"], &fields["provider"]), (&json!("trace-1"), &json!("first")));
}

#[tokio::test]
async fn a_program_chooses_the_id_of_a_request() {
    let relay = common::relay().build().unwrap();
    let request =
        |id: &str| Request::get("/v1/nothing").header("x-request-id", id).body(Full::<Bytes>::default());
    let response = relay.clone().oneshot(request("trace-2").unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "trace-2");
    assert_eq!(response.headers()["request-id"], "trace-2");
    let record = response.extensions().get::<RecordHandle>().unwrap().snapshot();
    assert_eq!((record.id.as_str(), record.client_request_id.as_deref()), ("trace-2", Some("trace-2")));
    let body: Value =
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["request_id"], "trace-2");
    for id in ["", "a b", &"x".repeat(129)] {
        let response = relay.clone().oneshot(request(id).unwrap()).await.unwrap();
        assert!(response.headers()["request-id"].as_bytes().starts_with(b"req_"), "{id}");
    }
}
