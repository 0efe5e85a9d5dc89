//! The export of traces by the program, up to its stop.

use std::net::SocketAddr;

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, CertificateAuthority, Upstream};
use serde_json::json;

use crate::process::User;
use crate::proxy::Proxy;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_in_a_span_is_that_of_the_upstream_and_not_of_the_proxy() {
    let authority = CertificateAuthority::for_names(&["far.invalid"]);
    // Only the proxy can resolve this name.
    let upstream = Upstream::builder().tls(&authority).name("localhost").host("far.invalid");
    let upstream = upstream.answering(anthropic::answer).await;
    let (proxy, collector) =
        (Proxy::before(&upstream).await, Upstream::answering(|_| Answer::new(200)).await);
    let user = User::new()
        .with_variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .with_variable("HTTPS_PROXY", format!("http://user:secret@{}", proxy.address));
    let mut provider = relay_tests::provider("far", "anthropic", "https://far.invalid");
    provider["ca_file"] = json!(authority.ca_file());
    user.write("config.yaml", &json!({"providers": [provider]}).to_string());
    let (mut process, address) = user.serve(&[]);
    send(address).await;
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    assert_eq!(proxy.heads().len(), 1);
    let exports = collector.requests();
    let body = String::from_utf8_lossy(&exports[0].body).into_owned();
    assert!(body.contains("server.address") && body.contains("far.invalid"), "{body}");
    assert!(!body.contains(&proxy.address.ip().to_string()) && !body.contains("secret"), "{body}");
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
