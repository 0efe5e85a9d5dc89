//! Paths and methods that another server could read as another operation.

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Client, Relay, Upstream, provider};
use serde_json::json;

async fn relay(upstream: &Upstream) -> Relay {
    Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await
}

#[tokio::test]
async fn no_spelling_of_an_own_operation_reaches_an_upstream() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream).await;
    for target in [
        "/v1/messages/",
        "/v1//messages",
        "//v1/messages",
        "/v1/./messages",
        "/v1/x/../messages",
        "/v1/x/..%2fmessages",
        "/v1/x/%2e%2E/messages",
        "/v1/x%2f%2e%2e%2fmessages",
        "/v1/x/%252e%252e/messages",
        "/v1/%6dessages",
        "/v1/%4dessages",
        "/v1/MESSAGES",
        "/v1%2fmessages",
        "/v1/messages%2f",
        "/v1/messages%2Fcount_tokens",
        "/v1/messages%5ccount_tokens",
        "/v1/messages\\count_tokens",
        "/v1/messages;x=y",
        "/v1/messages%3bx",
        "/v1/messages%3fbeta=true",
        "/v1/messages%23",
        "/v1/messages%00",
        "/v1/messages%20",
        "/v1/messages/count_tokens/",
        "/v1/x%c0%ae%c0%ae%c0%afmessages",
        "/v1/x%zz",
        "http://localhost/v1/messages/",
        "http://localhost//v1/messages",
    ] {
        for method in ["GET", "POST"] {
            let call = Call::new(method, target).json(r#"{"model":"m"}"#);
            let response = call.send(relay.address()).await;
            assert!(matches!(response.status, 400 | 404), "{} to {method} {target}", response.status);
            assert_eq!(response.json()["type"], "error", "{method} {target}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn other_encoded_paths_arrive_as_they_were_written() {
    let upstream =
        Upstream::answering(|request| relay_tests::Answer::json(200, &json!({"saw": request.target}))).await;
    let relay = relay(&upstream).await;
    for target in [
        "/v1/files/a%2Fb",
        "/v1/files/a%20b?x=%2e%2e",
        "/v1/models/anthropic%2Fclaude",
        "/v1/messages/batches",
    ] {
        let response = Call::get(target).send(relay.address()).await;
        assert_eq!((response.status, &response.json()["saw"]), (200, &json!(target)), "{target}");
    }
    let response = Call::get("http://localhost/v1/files").send(relay.address()).await;
    assert_eq!((response.status, &response.json()["saw"]), (200, &json!("/v1/files")));
}

#[tokio::test]
async fn unusual_methods_are_refused_on_every_path() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = relay(&upstream).await;
    for method in ["TRACE", "OPTIONS", "PROPFIND", "PURGE", "M-SEARCH", "post", "QUERY"] {
        for target in
            ["/v1/files", "/v1/messages", "/v1/models/x", "/v1/providers", "/health", "/", "/nowhere"]
        {
            let response = Call::new(method, target).send(relay.address()).await;
            assert_eq!(response.status, 405, "{method} {target}");
            assert_eq!(response.headers.get("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE"));
            assert_eq!(response.json()["error"]["type"], "invalid_request_error");
        }
    }
    for target in ["api.anthropic.com:443", "localhost:80"] {
        let mut client = Client::connect(relay.address()).await;
        client.send(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n")).await;
        assert_eq!(client.head().await.status, 405, "{target}");
    }
    assert_eq!(upstream.connections(), 0);
}
