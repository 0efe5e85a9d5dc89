//! The length of log fields that a client determines.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;

/// The lines of a log.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the length of the log of `request`, in bytes.
fn log_length(request: Request<Full<Bytes>>) -> usize {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let relay = common::relay().build().unwrap();
            let response = relay.oneshot(request).await.unwrap();
            let _ = response.into_body().collect().await;
        });
    });
    log.0.lock().unwrap().len()
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
        let length = log_length(request);
        assert!((1..2500).contains(&length), "{length} bytes for {head}");
    }
}
