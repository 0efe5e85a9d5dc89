//! HTTP/2 upstreams that require HTTP/1.1 (RFC 9113 section 7), and those that send informational responses without end.

use h2::Reason;
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{
    Answer, Call, CertificateAuthority, Client, End, Http2Exchange, Http2Upstream, Relay, Request, Response,
    Upstream, provider,
};
use serde_json::json;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// Starts an upstream, and the server that it uses for HTTP/1.1.
async fn upstreams(authority: &CertificateAuthority) -> (Http2Upstream, Upstream) {
    let upstream = Http2Upstream::start(authority).await;
    let http1 = Upstream::builder().host(upstream.host()).answering(answer_http1).await;
    upstream.serve_http1_by(&http1);
    (upstream, http1)
}

fn answer_http1(request: &Request) -> Answer {
    match request.path() {
        "/v1/messages" => anthropic::answer(request),
        _ => Answer::json(200, &json!({"data": []})),
    }
}

async fn relay(upstream: &Http2Upstream, authority: &CertificateAuthority) -> Relay {
    let mut first = provider("first", "anthropic", &upstream.url());
    first["ca_file"] = json!(authority.ca_file());
    Relay::start(&json!({"providers": [first]})).await
}

/// Returns a body above the window of a stream.
fn large() -> String {
    let text = "x".repeat(3 * 1024 * 1024);
    json!({"model": "claude-opus-5-5", "max_tokens": 8, "messages": [{"role": "user", "content": text}]})
        .to_string()
}

fn answer(exchange: &mut Http2Exchange) {
    exchange.send_head("application/json");
    exchange.data(Reply::new("claude-opus-5-5").text("hello").json().to_string());
    exchange.finish();
}

#[track_caller]
fn assert_complete(response: &Response) {
    assert_eq!((response.status, response.end), (200, End::Complete), "{:?}", response.body());
}

async fn assert_circuit_is_closed(relay: &Relay) {
    let providers = Call::get("/v1/providers").send(relay.address()).await.json();
    let first = &providers["data"][0];
    assert_eq!((&first["state"], &first["circuit"]), (&json!("ready"), &json!("closed")), "{first}");
}

/// Sends `call`, which the upstream refuses over HTTP/2 by `refuse`, and a further one. Both have to arrive over HTTP/1.1.
async fn check(call: &Call, refuse: impl FnOnce(Http2Exchange)) {
    let authority = CertificateAuthority::new();
    let (upstream, http1) = upstreams(&authority).await;
    let relay = relay(&upstream, &authority).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(call).await;
    let refused = upstream.exchange().await;
    let body = refused.request().body().clone();
    refuse(refused);
    assert_complete(&client.response().await);
    assert_eq!(http1.only_request().body, body);
    assert_complete(&Call::messages(STREAMED).send(relay.address()).await);
    assert_eq!(http1.requests().len(), 2);
    assert_eq!(upstream.connections(), 2, "the connection of HTTP/1.1 is reused");
    assert_circuit_is_closed(&relay).await;
}

#[tokio::test]
async fn an_upstream_that_requires_http1_gets_the_request_once_more_and_all_further_ones_over_http1() {
    for body in [BODY.to_owned(), STREAMED.to_owned(), large()] {
        check(&Call::messages(body), |exchange| exchange.reset(Reason::HTTP_1_1_REQUIRED)).await;
    }
    check(&Call::get("/v1/files"), |exchange| exchange.reset(Reason::HTTP_1_1_REQUIRED)).await;
}

#[tokio::test]
async fn a_goaway_that_requires_http1_has_the_same_effect() {
    for body in [BODY, STREAMED] {
        // Its last stream identifier is that of the request.
        check(&Call::messages(body), |exchange| exchange.go_away(Reason::HTTP_1_1_REQUIRED)).await;
    }
    check(&Call::messages(BODY), |exchange| {
        let again = exchange.go_away_later();
        exchange.reset(Reason::HTTP_1_1_REQUIRED);
        again(Reason::HTTP_1_1_REQUIRED);
    })
    .await;
}

#[tokio::test]
async fn streams_that_are_open_while_another_one_requires_http1_continue() {
    let authority = CertificateAuthority::new();
    let (upstream, http1) = upstreams(&authority).await;
    let relay = relay(&upstream, &authority).await;
    let (mut open, mut refused) =
        (Client::connect(relay.address()).await, Client::connect(relay.address()).await);
    open.call(&Call::messages(BODY)).await;
    let mut exchange = upstream.exchange().await;
    refused.call(&Call::messages(BODY)).await;
    upstream.exchange().await.reset(Reason::HTTP_1_1_REQUIRED);
    assert_complete(&refused.response().await);
    answer(&mut exchange);
    assert_complete(&open.response().await);
    assert_eq!(http1.requests().len(), 1);
}

#[tokio::test]
async fn a_refused_stream_and_a_requirement_of_http1_are_both_followed_once() {
    let authority = CertificateAuthority::new();
    let (upstream, http1) = upstreams(&authority).await;
    let relay = relay(&upstream, &authority).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(large())).await;
    upstream.exchange().await.reset(Reason::REFUSED_STREAM);
    upstream.exchange().await.reset(Reason::HTTP_1_1_REQUIRED);
    assert_complete(&client.response().await);
    assert_eq!((http1.requests().len(), upstream.connections()), (1, 3));
}

#[tokio::test]
async fn an_upstream_that_requires_http1_and_does_not_serve_it_is_a_failure_of_the_provider() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let http1 = Upstream::scripted(|connection| async move { connection.reset() }).await;
    upstream.serve_http1_by(&http1);
    let relay = relay(&upstream, &authority).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    upstream.exchange().await.reset(Reason::HTTP_1_1_REQUIRED);
    assert_eq!(client.response().await.status, 502);
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn informational_responses_without_end_over_http2_are_a_failure_of_the_provider() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let relay = relay(&upstream, &authority).await;
    for (status, body) in [(100, BODY), (103, STREAMED)] {
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(body)).await;
        let mut exchange = upstream.exchange().await;
        for _ in 0..600 {
            exchange.send_informational(status);
        }
        let response = client.response().await;
        assert_eq!(response.status, 502);
        let message = response.json()["error"]["message"].to_string();
        assert!(message.contains("more than 512 informational responses (1xx)"), "{message}");
    }
}

#[tokio::test]
async fn some_informational_responses_precede_each_response_of_an_http2_connection() {
    let authority = CertificateAuthority::new();
    let upstream = Http2Upstream::start(&authority).await;
    let relay = relay(&upstream, &authority).await;
    for _ in 0..3 {
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(BODY)).await;
        let mut exchange = upstream.exchange().await;
        for _ in 0..300 {
            exchange.send_informational(102);
        }
        answer(&mut exchange);
        assert_complete(&client.response().await);
    }
    assert_eq!(upstream.connections(), 1);
}
