//! The export of traces by the program, up to its stop.

use std::net::SocketAddr;

use relay_tests::{Answer, Call, Upstream};

use crate::process::User;

const BODY: &str = r#"{"model":"claude-a","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#;

async fn send(to: SocketAddr) {
    assert_eq!(Call::messages(BODY).send(to).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_traces_are_exported_before_the_program_ends() {
    let collector = Upstream::answering(|_| Answer::new(200)).await;
    let user = User::new().with_variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let (mut process, address) = user.serve(&["--demo"]);
    send(address).await;
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let exports = collector.requests();
    assert_eq!(exports.len(), 1);
    assert_eq!((exports[0].method.as_str(), exports[0].target.as_str()), ("POST", "/v1/traces"));
    let body = String::from_utf8_lossy(&exports[0].body).into_owned();
    assert!(
        body.contains("POST /v1/messages") && body.contains("chat claude-a") && body.contains("cc-relay"),
        "{body}"
    );
}

#[test]
fn grpc_is_refused_at_the_start_with_the_way_out() {
    let user = User::new()
        .with_variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .with_variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let outcome = user.run(&["serve", "--listen", "127.0.0.1:0", "--demo"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"), "{}", outcome.stderr);
}
