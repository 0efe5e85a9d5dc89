//! Requests that a web page causes, and requests for hosts that the relay does not serve.

use bytes::Bytes;
use http::{Request, StatusCode};
use relay_tests::fakes::anthropic;
use relay_tests::{Call, PROVIDER_KEY, Relay, Response, Upstream, provider, rule, within_limit};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const EVIL: &str = "https://evil.example";
const APP: &str = "https://app.example";

async fn upstream() -> Upstream {
    let rules = anthropic::rules(anthropic::Credential::Key(PROVIDER_KEY));
    let rules = rules.into_iter().chain([rule::header("content-type", "application/json")]);
    Upstream::builder().require(rules).answering(anthropic::answer).await
}

async fn relay(upstream: &Upstream, server: Value) -> Relay {
    let config = json!({"server": server, "providers": [provider("a", "anthropic", &upstream.url())]});
    Relay::start(&config).await
}

/// Asserts that `response` is an error of the relay in Anthropic's form.
#[track_caller]
fn assert_error(response: &Response, status: u16, kind: &str) {
    assert_eq!(response.status, status, "{:?}", response.body());
    assert_eq!(response.json()["error"]["type"], kind, "{}", response.json());
}

/// A message request with these header lines instead of the usual ones.
fn post(headers: &[(&str, &str)]) -> Call {
    let call = Call::post("/v1/messages").header("anthropic-version", "2023-06-01").body(BODY);
    headers.iter().fold(call, |call, (name, value)| call.header(name, *value))
}

#[tokio::test]
async fn a_web_page_cannot_use_the_relay() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let text = ("content-type", "text/plain");
    for headers in [
        &[("origin", EVIL)][..],
        &[("origin", EVIL), ("sec-fetch-site", "cross-site"), text],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "http://127.0.0.1:8787")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "Cross-Site")],
        &[("host", "attacker.example")],
        &[("host", "attacker.example:8787"), ("content-type", "application/json")],
    ] {
        assert_error(&post(headers).send(relay.address()).await, 403, "permission_error");
    }
    for target in ["/v1/models", "/v1/providers", "/v1/files", "/health", "/readyz", "/", "/api/hello", "/x"]
    {
        for (name, value) in [("origin", EVIL), ("sec-fetch-site", "cross-site"), ("host", "evil.example")] {
            let response = Call::get(target).header(name, value).send(relay.address()).await;
            assert_error(&response, 403, "permission_error");
            assert!(!response.headers.contains("access-control-allow-origin"));
        }
    }
    assert_eq!(upstream.connections(), 0);
    // A user who types the address into a browser, and a client that is no browser.
    let typed = Call::get("/health").header("sec-fetch-site", "none").send(relay.address()).await;
    assert_eq!(typed.status, 200);
    let node = post(&[("content-type", "application/json"), ("sec-fetch-mode", "cors")]);
    assert_eq!(node.send(relay.address()).await.status, 200);
}

#[tokio::test]
async fn options_never_reaches_an_upstream() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    for target in ["/v1/messages", "/v1/files", "/v1/unknown", "/health", "*"] {
        let response = Call::new("OPTIONS", target).send(relay.address()).await;
        assert_error(&response, 405, "invalid_request_error");
        let preflight = Call::new("OPTIONS", target)
            .header("origin", EVIL)
            .header("access-control-request-method", "POST");
        assert_error(&preflight.send(relay.address()).await, 403, "permission_error");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_listed_origin_gets_cors_answers_and_preflights() {
    let upstream = upstream().await;
    let server = json!({
        "cors": {"allowed_origins": [APP, "http://localhost:3000"]},
        "auth": {"api_key": "relay-key"},
    });
    let relay = relay(&upstream, server).await;
    let preflight = Call::new("OPTIONS", "/v1/messages")
        .header("origin", APP)
        .header("sec-fetch-site", "cross-site")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-api-key,content-type")
        .header("access-control-request-private-network", "true");
    let response = preflight.send(relay.address()).await;
    assert_eq!((response.status, response.body()), (204, Bytes::new()));
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("access-control-allow-headers", "x-api-key,content-type"),
        ("access-control-allow-private-network", "true"),
        ("access-control-max-age", "7200"),
        ("vary", "origin"),
    ] {
        assert_eq!(response.headers.get(name), Some(value), "{name}");
    }
    assert!(!response.headers.contains("access-control-allow-credentials"));
    assert_eq!(upstream.connections(), 0);

    let json = ("content-type", "application/json");
    let page = [("origin", APP), ("sec-fetch-site", "cross-site"), json];
    let refused = post(&page).send(relay.address()).await;
    assert_error(&refused, 401, "authentication_error");
    assert_eq!(refused.headers.get("access-control-allow-origin"), Some(APP), "a page can read an error");
    let served = post(&[&page[..], &[("x-api-key", "relay-key")]].concat()).send(relay.address()).await;
    assert_eq!(served.status, 200);
    let found: Vec<_> = served.headers.all("access-control-allow-origin").collect();
    assert_eq!((found, served.headers.get("access-control-expose-headers")), (vec![APP], Some("*")));

    for other in
        [EVIL, "https://app.example.evil.example", "http://app.example", "https://app.example:8443", "null"]
    {
        let response =
            post(&[("origin", other), json, ("x-api-key", "relay-key")]).send(relay.address()).await;
        assert_error(&response, 403, "permission_error");
        assert!(!response.headers.contains("access-control-allow-origin"));
    }
    let two = post(&[("origin", APP), ("origin", EVIL), json, ("x-api-key", "relay-key")]);
    assert_error(&two.send(relay.address()).await, 403, "permission_error");
    let plain = post(&[json, ("x-api-key", "relay-key")]).send(relay.address()).await;
    assert_eq!((plain.status, plain.headers.contains("access-control-allow-origin")), (200, false));
    let options = Call::new("OPTIONS", "/v1/files").header("origin", APP).send(relay.address()).await;
    assert_error(&options, 405, "invalid_request_error");
}

#[tokio::test]
async fn a_loopback_listener_serves_the_hosts_of_the_configuration() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({"allowed_hosts": ["relay.example"]})).await;
    for host in ["relay.example", "Relay.Example.:443", "localhost", "[::1]:8787", "127.0.0.9"] {
        assert_eq!(post(&[("host", host)]).send(relay.address()).await.status, 200, "{host}");
    }
    let refused = post(&[("host", "other.example")]).send(relay.address()).await;
    assert_error(&refused, 403, "permission_error");
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("other.example") && message.contains("server.allowed_hosts"), "{message}");
    assert_eq!(refused.headers.get("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let rest = format!("content-length: {}\r\nanthropic-version: 2023-06-01\r\n\r\n{BODY}", BODY.len());
    for (start, status) in [
        ("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n", 400),
        ("POST /v1/messages HTTP/1.1\r\n", 400),
        ("POST /v1/messages HTTP/1.0\r\n", 200),
        ("POST /v1/messages HTTP/1.0\r\nhost: attacker.example\r\n", 403),
        ("POST http://localhost/v1/messages HTTP/1.1\r\nhost: localhost\r\n", 200),
        ("POST http://attacker.example/v1/messages HTTP/1.1\r\nhost: localhost\r\n", 403),
        ("POST http://localhost/v1/messages HTTP/1.1\r\nhost: attacker.example\r\n", 403),
    ] {
        // The answer to HTTP/1.0 has this version as well, which `Client` does not read.
        let mut stream = TcpStream::connect(relay.address()).await.expect("the relay listens");
        stream.write_all(format!("{start}{rest}").as_bytes()).await.expect("an open connection");
        let mut line = String::new();
        let mut reader = BufReader::new(stream);
        within_limit("status line", reader.read_line(&mut line)).await.expect("a status line");
        assert_eq!(line.split(' ').nth(1), Some(status.to_string().as_str()), "{start}");
    }
}

/// Sends a message request over HTTP/2 with this authority and these headers. Returns the status.
async fn http2_status(relay: &Relay, authority: &str, headers: &[(&'static str, &str)]) -> StatusCode {
    let stream = TcpStream::connect(relay.address()).await.expect("the relay listens");
    let (mut requests, connection) = h2::client::handshake(stream).await.expect("a socket takes a preface");
    let driving = tokio::spawn(connection);
    let uri = format!("http://{authority}/v1/messages");
    let mut request = Request::post(uri).header("anthropic-version", "2023-06-01");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a valid head");
    let (response, mut stream) = requests.send_request(request, false).expect("an open connection");
    stream.send_data(BODY.into(), true).expect("an open stream");
    let status = within_limit("answer", response).await.expect("an answer").status();
    driving.abort();
    status
}

#[tokio::test]
async fn the_rules_apply_to_http2() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let local = relay.address().to_string();
    assert_eq!(http2_status(&relay, &local, &[]).await, 200);
    assert_eq!(http2_status(&relay, &local, &[("host", &local)]).await, 200);
    assert_eq!(http2_status(&relay, "attacker.example", &[]).await, 403);
    assert_eq!(http2_status(&relay, &local, &[("host", "attacker.example")]).await, 400);
    assert_eq!(http2_status(&relay, &local, &[("origin", EVIL)]).await, 403);
    assert_eq!(http2_status(&relay, &local, &[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(http2_status(&relay, &local, &[("content-type", "text/plain")]).await, 415);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_body_is_json_or_of_the_type_that_curl_sends() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    for target in ["/v1/messages", "/v1/messages/count_tokens"] {
        let call = |types: &[&str]| {
            let call = Call::post(target).header("anthropic-version", "2023-06-01").body(BODY);
            types.iter().fold(call, |call, value| call.header("content-type", *value))
        };
        for types in [&[][..], &["application/json"], &["application/x-www-form-urlencoded"]] {
            assert_eq!(call(types).send(relay.address()).await.status, 200, "{types:?}");
        }
        for types in [
            &["text/plain"][..],
            &["text/plain;charset=UTF-8"],
            &["multipart/form-data; boundary=x"],
            &["application/octet-stream"],
            &["application/json", "text/plain"],
        ] {
            assert_error(&call(types).send(relay.address()).await, 415, "invalid_request_error");
        }
    }
    upstream.assert_clean();
}
