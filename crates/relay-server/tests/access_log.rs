//! The access log: one event for each request.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod common;
mod log;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Sends `request`, reads the response, and returns the log: a JSON object in each line.
fn log_of(request: Request<Full<Bytes>>) -> String {
    let log = log::Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(log.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let relay = common::relay().build().unwrap();
            let response = relay.oneshot(request).await.unwrap();
            let _ = response.into_body().collect().await;
        });
    });
    log.text()
}

/// Sends `request`, and returns each event of the log: its level and its fields, times as 0.
fn logged(request: Request<Full<Bytes>>) -> Vec<(String, Value)> {
    let log = log_of(request);
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events = events.filter(|event| event["target"].as_str().unwrap().starts_with("relay_server"));
    events.map(|event| (event["level"].as_str().unwrap().to_owned(), without_times(event))).collect()
}

fn without_times(mut event: Value) -> Value {
    let mut fields = event["fields"].take();
    assert!(fields["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{fields}");
    fields["request_id"] = "req_".into();
    for name in ["head_ms", "own_us", "content_ms", "total_ms"] {
        if fields.get(name).is_some() {
            assert!(fields[name].is_u64(), "{fields}");
            fields[name] = 0.into();
        }
    }
    if let Some(attempts) = fields["attempts"].as_str() {
        let words = attempts.split(' ').map(|word| match word.trim_end_matches(',').strip_suffix("ms") {
            Some(_) => word.trim_start_matches(|char: char| char.is_ascii_digit()),
            None => word,
        });
        fields["attempts"] = words.collect::<Vec<_>>().join(" ").into();
    }
    fields
}

fn messages(fault: &str) -> Request<Full<Bytes>> {
    let body = r#"{"model":"claude-x","max_tokens":8,"messages":[],"stream":true}"#;
    let request = Request::post("/v1/messages?beta=true").header("x-api-key", "relay-a");
    request.header("x-cc-relay-mock", fault).body(Full::from(body)).unwrap()
}

#[test]
fn a_streamed_answer_is_logged_with_its_attempts_and_tokens() {
    let [(level, fields)] = &logged(messages("first=529"))[..] else { panic!("not one event") };
    let (bytes, tokens) = (&fields["bytes"], &fields["output_tokens"]);
    let upstream_id = fields["upstream_request_id"].as_str().unwrap();
    let first_id =
        fields["attempts"].as_str().unwrap().split([' ', ',']).find(|word| word.starts_with("req_"));
    let first_id = first_id.unwrap();
    assert_ne!(first_id, upstream_id);
    assert!(bytes.as_u64() > Some(0) && tokens.as_u64() > Some(0), "{fields}");
    assert_eq!(level, "INFO");
    assert_eq!(
        *fields,
        json!({
            "message": "request", "request_id": "req_", "method": "POST", "path": "/v1/messages", "status": 200,
            "upstream_request_id": upstream_id, "model": "claude-x", "served_model": "mapped", "client": "alice",
            "provider": "second", "tries": 2,
            "attempts": format!("first/none claude-x 529 overloaded ms {first_id}, second/none mapped 200 success ms"),
            "head_ms": 0, "own_us": 0, "content_ms": 0, "total_ms": 0, "stop_reason": "end_turn", "bytes": bytes, "input_tokens": fields["input_tokens"],
            "output_tokens": tokens, "end": "complete",
        })
    );
}

#[test]
fn an_answer_that_breaks_off_is_logged_as_broken() {
    let events = logged(messages("cut"));
    let [(warning, cause), (level, fields)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&**warning, &cause["message"]), ("WARN", &json!("answer broke off")));
    assert_eq!((&**level, &fields["end"], &fields["status"]), ("WARN", &json!("broken"), &json!(200)));
}

#[test]
fn an_error_of_the_relay_is_logged_with_its_message() {
    let request = Request::post("/v1/messages").body(Full::from("{}")).unwrap();
    let [(level, fields)] = &logged(request)[..] else { panic!("not one event") };
    assert_eq!(level, "INFO");
    assert_eq!(
        *fields,
        json!({
            "message": "request", "request_id": "req_", "method": "POST", "path": "/v1/messages", "status": 401,
            "error": fields["error"], "head_ms": 0, "own_us": 0, "total_ms": 0, "bytes": fields["bytes"], "end": "complete",
        })
    );
    assert!(fields["error"].as_str().is_some_and(|error| error.contains("credential")), "{fields}");
}

#[test]
fn the_level_shows_failures_and_those_that_an_operator_has_to_repair() {
    #[track_caller]
    fn check(fault: &str, status: u64, expected: &str) {
        let events = logged(messages(fault));
        let (level, fields) = events.iter().find(|(_, fields)| fields["message"] == "request").unwrap();
        assert_eq!((&**level, fields["status"].as_u64()), (expected, Some(status)), "{fault}: {fields}");
    }
    check("first=529", 200, "INFO");
    check("429", 429, "INFO");
    check("500", 500, "WARN");
    check("529", 503, "WARN");
    check("first=401,second=401", 502, "ERROR");
    check("first=401,second=500", 500, "WARN");
}

#[test]
fn probes_are_logged_at_level_debug() {
    for path in ["/health", "/healthz", "/readyz", "/", "/api/hello", "/v1/providers"] {
        let request = Request::get(path).header("x-api-key", "relay-a").body(Full::default()).unwrap();
        let [(level, fields)] = &logged(request)[..] else { panic!("not one event") };
        assert_eq!((&**level, &fields["path"], &fields["end"]), ("DEBUG", &json!(path), &json!("complete")));
    }
}

#[test]
fn a_request_cannot_write_long_log_lines() {
    let long = "x".repeat(60_000);
    let request = || Request::post("/v1/messages").header("x-api-key", "relay-a");
    let body = |model: &str| Full::from(format!(r#"{{"model":"{model}","max_tokens":8,"messages":[]}}"#));
    let method = Method::from_bytes(long.as_bytes()).unwrap();
    for request in [
        request().uri(format!("/v1/{long}")).body(body("m")),
        request().uri(format!("/{long}")).body(body("m")),
        request().method(method).body(body("m")),
        request().body(body(&long)),
        request().body(body(&"m".repeat(256))),
        request().header("content-type", &long).body(body("m")),
        request().header("content-encoding", &long).body(body("m")),
        request().header("origin", &long).body(body("m")),
        request().header("user-agent", &long).header("x-claude-code-session-id", &long).body(body("m")),
        request().header("x-request-id", &long).body(body("m")),
        request().uri(format!("/v1/models/{long}")).method(Method::GET).body(body("m")),
        request().uri(format!("/v1/models?limit={long}")).method(Method::GET).body(body("m")),
        request().uri(format!("/v1/models?{long}=1")).method(Method::GET).body(body("m")),
        request().uri(format!("/v1/models?after_id={long}")).method(Method::GET).body(body("m")),
    ] {
        let request = request.unwrap();
        let head = format!("{request:?}").chars().take(100).collect::<String>();
        let length = log_of(request).len();
        assert!((1..2500).contains(&length), "{length} bytes for {head}");
    }
}
