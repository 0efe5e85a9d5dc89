//! Connections to an upstream: TLS, HTTP/2, pooled connections, lost connections, and connections that fail.

use std::io::Write;

use h2::Reason;
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{
    Answer, Call, CertificateAuthority, Client, End, Http2Exchange, Http2Upstream, Relay, RelayProcess,
    Response, Upstream, provider, sse,
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;

const RELAY: &str = env!("CARGO_BIN_EXE_relay-under-test");
const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// A provider whose upstream has a certificate of `authority`, which is trusted.
fn trusting(name: &str, url: &str, authority: &CertificateAuthority) -> Value {
    let mut provider = provider(name, "anthropic", url);
    provider["ca_file"] = json!(authority.ca_file());
    provider
}

async fn relay(providers: &[Value]) -> Relay {
    Relay::start(&json!({"providers": providers})).await
}

#[track_caller]
fn assert_text(response: &Response, expected: &str) {
    assert_eq!((response.status, response.end), (200, End::Complete), "{:?}", response.body());
    assert_eq!(response.text(), expected);
}

/// Asserts that `response` is an error of the relay as a gateway, with all of `parts` in its message.
#[track_caller]
fn assert_gateway_error(response: &Response, parts: &[&str]) {
    let body = response.json();
    assert_eq!((response.status, &body["error"]["type"]), (502, &json!("api_error")), "{body}");
    let message = body["error"]["message"].as_str().expect("a message");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_the_ca_file_is_trusted() {
    let authority = CertificateAuthority::new();
    for name in ["localhost", "127.0.0.1"] {
        let upstream =
            Upstream::builder().tls(&authority).name(name).answering(anthropic::answer_with("hello")).await;
        let relay = relay(&[trusting("a", &upstream.url(), &authority)]).await;
        assert_text(&Call::messages(BODY).send(relay.address()).await, "hello");
    }
}

#[tokio::test]
async fn one_file_may_hold_several_authorities() {
    let (one, other) = (CertificateAuthority::new(), CertificateAuthority::new());
    let mut bundle = NamedTempFile::new().expect("a temporary file");
    for authority in [&one, &other] {
        let pem = std::fs::read(authority.ca_file()).expect("its certificate");
        bundle.write_all(&pem).expect("a temporary file takes writes");
    }
    let upstream =
        Upstream::builder().tls(&other).name("localhost").answering(anthropic::answer_with("hello")).await;
    let mut provider = provider("a", "anthropic", &upstream.url());
    provider["ca_file"] = json!(bundle.path());
    assert_text(&Call::messages(BODY).send(relay(&[provider]).await.address()).await, "hello");
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_with_the_reason() {
    let upstream = Upstream::builder()
        .tls(&CertificateAuthority::new())
        .name("localhost")
        .answering(anthropic::answer_with("never"))
        .await;
    // Trust in one authority is not trust in another.
    for untrusting in [
        provider("homemade", "anthropic", &upstream.url()),
        trusting("homemade", &upstream.url(), &CertificateAuthority::new()),
    ] {
        let relay_ = relay(std::slice::from_ref(&untrusting)).await;
        for body in [BODY, STREAMED] {
            let response = Call::messages(body).send(relay_.address()).await;
            assert_gateway_error(&response, &["`homemade`", "certificate", "not trusted", "ca_file"]);
            assert_eq!(response.headers.get("x-should-retry"), Some("false"));
        }
        // Forwarded routes of the API take another path through the relay.
        let response = Call::get("/v1/files").send(relay_.address()).await;
        assert_gateway_error(&response, &["`homemade`", "certificate", "not trusted", "ca_file"]);

        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let relay = relay(&[untrusting, provider("second", "anthropic", &second.url())]).await;
        assert_text(&Call::messages(BODY).send(relay.address()).await, "second");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = CertificateAuthority::for_names(&["elsewhere.example"]);
    for name in ["localhost", "127.0.0.1"] {
        let upstream =
            Upstream::builder().tls(&authority).name(name).answering(anthropic::answer_with("never")).await;
        let relay = relay(&[trusting("misnamed", &upstream.url(), &authority)]).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_gateway_error(&response, &["`misnamed`", "certificate", name]);
        assert!(upstream.requests().is_empty());
    }
}

#[tokio::test]
async fn a_provider_without_tls_is_skipped() {
    let silent = Upstream::scripted(|mut connection| async move {
        connection.peer_closed().await;
    })
    .await;
    let leaving = Upstream::scripted(|connection| async { connection.finish().await }).await;
    let plain = Upstream::scripted(|mut connection| async move {
        connection.send(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
        connection.finish().await;
    })
    .await;
    let second = Upstream::answering(anthropic::answer_with("second")).await;
    for first in [silent, leaving, plain] {
        let mut first = provider("first", "anthropic", &first.url().replace("http:", "https:"));
        first["connect_timeout_ms"] = json!(300);
        let relay = relay(&[first, provider("second", "anthropic", &second.url())]).await;
        assert_text(&Call::messages(BODY).send(relay.address()).await, "second");
    }
}

#[tokio::test]
async fn a_connection_attempt_ends_at_its_time_limit() {
    // The system accepts connections, and no process answers on them.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let mut silent = provider("silent", "anthropic", &format!("https://{address}"));
    silent["connect_timeout_ms"] = json!(200);
    let relay = relay(&[silent]).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    assert_gateway_error(&response, &["`silent`", "no connection within 200 ms"]);
}

#[tokio::test]
async fn successive_requests_share_a_connection() {
    let authority = CertificateAuthority::new();
    let plain = Upstream::answering(anthropic::answer_with("hello")).await;
    let tls = Upstream::builder()
        .tls(&authority)
        .name("localhost")
        .answering(anthropic::answer_with("hello"))
        .await;
    for upstream in [plain, tls] {
        let relay = relay(&[trusting("a", &upstream.url(), &authority)]).await;
        // The connection of one client's request serves the next client's.
        for _ in 0..3 {
            assert_text(&Call::messages(BODY).send(relay.address()).await, "hello");
        }
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(STREAMED)).await;
        assert_eq!(client.response().await.end, End::Complete);
        client.call(&Call::messages(BODY)).await;
        assert_text(&client.response().await, "hello");
        assert_eq!((upstream.connections(), upstream.requests().len()), (1, 5));
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let authority = CertificateAuthority::new();
    let plain = Upstream::manual().await;
    let tls = Upstream::builder().tls(&authority).name("localhost").manual().await;
    for upstream in [plain, tls] {
        let relay = relay(&[trusting("a", &upstream.url(), &authority)]).await;
        let mut client = Client::connect(relay.address()).await;
        for number in 0..3 {
            client.call(&Call::messages(BODY)).await;
            let (mut connection, request) = upstream.exchange().await;
            assert_eq!(connection.number(), number);
            connection.answer(&anthropic::answer_with("hello")(&request)).await.expect("the relay listens");
            assert_text(&client.response().await, "hello");
            connection.finish().await;
        }
        assert_eq!(upstream.requests().len(), 3, "each request was sent once");
    }
}

/// The first events of a recorded stream, up to its first content, and the rest of them.
fn events() -> (Vec<u8>, Vec<bytes::Bytes>) {
    let events = sse::recorded("anthropic/hello.sse");
    (events[..4].concat(), events[4..].to_vec())
}

/// A stream over HTTP/2 whose first content has reached the client.
async fn http2_stream_under_way() -> (Http2Upstream, Relay, Http2Exchange, Client) {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let relay = relay(&[trusting("a", &upstream.url(), &authority)]).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let mut exchange = upstream.exchange().await;
    exchange.send_head("text/event-stream; charset=utf-8");
    let (opening, _) = events();
    exchange.data(opening.clone());
    assert_eq!(client.head().await.status, 200);
    client.expect(&opening).await;
    (upstream, relay, exchange, client)
}

#[tokio::test]
async fn http2_is_used_if_the_upstream_offers_it() {
    let (_upstream, _relay, mut exchange, mut client) = http2_stream_under_way().await;
    let request = exchange.request();
    assert_eq!(request.version(), http::Version::HTTP_2);
    assert!(request.uri().to_string().ends_with("/v1/messages?beta=true"), "{request:?}");
    assert_eq!(request.body(), STREAMED);
    assert_eq!(request.headers()["x-api-key"], relay_tests::PROVIDER_KEY);
    assert_eq!(request.headers()["content-length"], STREAMED.len().to_string());
    // RFC 9113 section 8.2.2: no connection-specific header. The host is in `:authority`.
    for name in ["connection", "transfer-encoding", "keep-alive", "host"] {
        assert!(!request.headers().contains_key(name), "{name}: {request:?}");
    }
    for event in events().1 {
        exchange.data(event.clone());
        client.expect(&event).await;
    }
    assert_eq!(client.end(), None);
    exchange.finish();
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.end(), Some(End::Complete));
}

#[tokio::test]
async fn simultaneous_requests_share_one_http2_connection() {
    let (upstream, relay, first, _client) = http2_stream_under_way().await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    let mut second = upstream.exchange().await;
    assert_eq!((first.connection(), second.connection(), upstream.connections()), (0, 0, 1));
    second.send_head("application/json");
    second.data(Reply::new("claude-opus-5-5").text("beside it").json().to_string());
    second.finish();
    assert_text(&client.response().await, "beside it");
}

#[tokio::test]
async fn a_client_that_disconnects_resets_only_its_own_http2_stream() {
    let (upstream, relay, mut left, client) = http2_stream_under_way().await;
    client.disconnect();
    assert_eq!(left.peer_reset().await, Reason::CANCEL);

    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    assert_eq!(upstream.exchange().await.connection(), 0, "the connection must stay open");
}

#[tokio::test]
async fn an_http2_stream_that_is_reset_breaks_the_answer_off() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR, Reason::REFUSED_STREAM] {
        let (_upstream, _relay, exchange, mut client) = http2_stream_under_way().await;
        exchange.reset(reason);
        while client.chunk().await.is_some() {}
        assert!(client.end().is_some_and(End::is_broken), "{reason:?}: {:?}", client.end());
    }
}

#[tokio::test]
async fn an_http2_connection_that_ends_breaks_the_answer_off() {
    let (upstream, relay, exchange, mut client) = http2_stream_under_way().await;
    exchange.go_away(Reason::ENHANCE_YOUR_CALM);
    while client.chunk().await.is_some() {}
    assert!(client.end().is_some_and(End::is_broken), "{:?}", client.end());

    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    assert_eq!(upstream.exchange().await.connection(), 1);
}

#[tokio::test]
async fn an_http2_connection_that_is_shut_down_completes_its_streams() {
    let (upstream, relay, mut exchange, mut client) = http2_stream_under_way().await;
    exchange.go_away(Reason::NO_ERROR);
    for event in events().1 {
        exchange.data(event.clone());
        client.expect(&event).await;
    }
    exchange.finish();
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.end(), Some(End::Complete));

    client.call(&Call::messages(STREAMED)).await;
    assert_eq!(upstream.exchange().await.connection(), 1);
    drop(relay);
}

#[tokio::test]
async fn a_refused_http2_stream_fails_over() {
    let authority = CertificateAuthority::new();
    for reason in [Reason::INTERNAL_ERROR, Reason::HTTP_1_1_REQUIRED, Reason::ENHANCE_YOUR_CALM] {
        let first = Http2Upstream::start(&authority).await;
        let second = Upstream::answering(anthropic::answer_with("second")).await;
        let first_provider = trusting("first", &first.url(), &authority);
        let relay = relay(&[first_provider, provider("second", "anthropic", &second.url())]).await;
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(BODY)).await;
        first.exchange().await.reset(reason);
        assert_text(&client.response().await, "second");
    }
}

#[tokio::test]
async fn the_error_of_an_unreachable_proxy_names_the_proxy() {
    let (_socket, refusing) = Upstream::refusing();
    let denying = Upstream::answering(|_| Answer::new(407)).await;
    for proxy in [refusing, denying.address()] {
        let environment = [("HTTPS_PROXY", format!("http://user:secret@{proxy}"))];
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let config = json!({"providers": [provider("proxied", "anthropic", "https://upstream.example")]});
        let relay = RelayProcess::start(RELAY, &config, &environment).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_gateway_error(&response, &["`proxied`", "proxy", &proxy.to_string()]);
        assert!(!response.json().to_string().contains("secret"));
    }
    drop(denying.take_violations()); // CONNECT names the upstream, not the proxy
}
