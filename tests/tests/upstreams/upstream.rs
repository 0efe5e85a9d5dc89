//! The scripted upstream and the raw client themselves, connected without a relay.

use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::fakes::{ollama, zai};
use relay_tests::{
    Answer, Call, CertificateAuthority, Client, Coding, End, Ending, Tee, Upstream, in_turn, rule, sse,
    within_limit,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[tokio::test]
async fn a_request_is_recorded_as_it_was_written() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let call = Call::messages(r#"{"model":"m",  "max_tokens":1}"#)
        .header("X-Lab-One", "yes")
        .header("x-lab-one", "no");
    call.send(upstream.address()).await;

    let request = upstream.only_request();
    let host = upstream.address().to_string();
    assert_eq!(request.head, call.head(&host));
    assert_eq!(request.body, r#"{"model":"m",  "max_tokens":1}"#);
    assert_eq!((request.path(), request.connection), ("/v1/messages", 0));
    let names: Vec<_> = request.headers.iter().map(|(name, _)| name).collect();
    let expected = ["anthropic-version", "content-type", "X-Lab-One", "x-lab-one", "host", "content-length"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_released() {
    let upstream = Upstream::manual().await;
    let mut client = Client::connect(upstream.address()).await;
    client.call(&Call::messages(r#"{"stream":true}"#)).await;
    let (mut connection, _) = upstream.exchange().await;

    connection.send_head(&Answer::event_stream()).await;
    assert_eq!(client.head().await.status, 200);
    for event in sse::recorded("anthropic/hello.sse") {
        connection.send_chunk(&event).await;
        assert_eq!(client.chunk().await, Some(event));
    }
    assert_eq!(client.end(), None);
    connection.send_last_chunk().await;
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.end(), Some(End::Complete));
}

#[tokio::test]
async fn the_client_recognises_each_end_of_an_answer() {
    let events = || [sse::ping(), sse::ping()];
    let whole = Answer::text(200, "text/plain", "four");
    let cases = [
        (Answer::sse(events()), End::Complete),
        (Answer::sse(events()).with_ending(Ending::Fin), End::Broken),
        (Answer::sse(events()).with_ending(Ending::Reset), End::Reset),
        (whole.clone(), End::Complete),
        (whole.clone().with_content_length(5).with_ending(Ending::Fin), End::Broken),
    ];
    for (answer, expected) in cases {
        let upstream = Upstream::answering(in_turn([answer.clone()])).await;
        let response = Call::messages("{}").send(upstream.address()).await;
        assert_eq!(response.end, expected, "{answer:?}");
        if expected != End::Reset {
            assert!(!response.body().is_empty(), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let upstream = Upstream::manual().await;
    let mut client = Client::connect(upstream.address()).await;
    client.call(&Call::get("/")).await;
    let (mut connection, _) = upstream.exchange().await;

    connection.send(b"HTTP/1.1 200 OK\r\n\r\nall of it?").await;
    let (response, ()) = tokio::join!(client.response(), async { drop(connection) });
    assert_eq!((response.body().as_ref(), response.end), (b"all of it?".as_ref(), End::Closed));
}

#[tokio::test]
async fn a_connection_is_used_again_until_the_upstream_closes_it() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let mut client = Client::connect(upstream.address()).await;
    for _ in 0..2 {
        client.call(&Call::get("/v1/models")).await;
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!((upstream.connections(), upstream.requests().len()), (1, 2));

    let upstream = Upstream::manual().await;
    let mut client = Client::connect(upstream.address()).await;
    client.call(&Call::get("/")).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.answer(&Answer::new(200)).await.expect("the client listens");
    client.response().await;
    drop(connection);
    client.closed().await;
}

#[tokio::test]
async fn an_answer_may_precede_the_end_of_the_body() {
    let upstream = Upstream::manual().await;
    let mut client = Client::connect(upstream.address()).await;
    let call = Call::messages("0123456789");
    client.send(call.head(&upstream.address().to_string())).await;

    let mut connection = upstream.connection().await;
    assert!(connection.receive_head().await.is_some());
    connection.answer(&anthropic::error(413)).await.expect("the client listens");
    assert_eq!(client.response().await.status, 413);

    client.send("0123456789").await;
    assert_eq!(connection.receive_body().await.as_deref(), Some(b"0123456789".as_ref()));
}

#[tokio::test]
async fn the_upstream_notices_that_the_client_disconnects() {
    for leave in [Client::disconnect, Client::reset] {
        let upstream = Upstream::manual().await;
        let mut client = Client::connect(upstream.address()).await;
        client.call(&Call::messages("{}")).await;
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream()).await;
        client.head().await;

        let left = leave(client);
        assert!(connection.peer_closed().await >= left);
    }
}

#[tokio::test]
async fn connections_are_refused_without_a_listener() {
    let (_socket, address) = Upstream::refusing();
    let error = TcpStream::connect(address).await.expect_err("there is no listener");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_script_can_reset_a_connection_before_a_byte_was_read() {
    let upstream = Upstream::scripted(|connection| async { connection.reset() }).await;
    let mut client = Client::connect(upstream.address()).await;
    client.closed().await;
}

#[tokio::test]
async fn a_request_that_violates_the_rules_is_recorded() {
    let rules = || anthropic::rules(Credential::Key("right"));
    let right = || Call::messages("{}").header("x-api-key", "right");
    let cases = [
        (right(), None),
        (Call::messages("{}"), Some("x-api-key is []")),
        (Call::messages("{}").header("x-api-key", "wrong"), Some("x-api-key is [\"wrong\"]")),
        (right().header("Authorization", "Bearer right"), Some("authorization")),
        (right().header("Cookie", "a=b"), Some("cookie")),
        (right().header("accept-encoding", "gzip"), Some("accept-encoding")),
        (right().header("host", "api.anthropic.com"), Some("host")),
        (Call::post("/v1/messages").body("{}").header("x-api-key", "right"), Some("anthropic-version")),
    ];
    for (call, expected) in cases {
        let upstream = Upstream::builder().require(rules()).answering(|_| Answer::new(200)).await;
        call.send(upstream.address()).await;
        let violations = upstream.take_violations();
        match expected {
            None => assert!(violations.is_empty(), "{violations:?}"),
            Some(part) => {
                assert!(violations.len() == 1 && violations[0].contains(part), "{part}: {violations:?}");
            }
        }
    }
}

#[tokio::test]
async fn invalid_http_is_recorded() {
    let cases = [
        ("POST / HTTP/1.1\r\nhost: H\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "transfer-encoding"),
        ("POST / HTTP/1.1\r\nhost: H\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}", "combination"),
        ("POST / HTTP/1.1\r\nhost: H\r\ncontent-length: +2\r\n\r\n{}", "content-length"),
        ("POST / HTTP/1.1\r\nhost: H\r\ncontent-length: 3\r\n\r\n{}", "ended within a body"),
        ("POST / HTTP/1.1\r\nhost: H\r\nhost: H\r\n\r\n", "host"),
        ("POST / HTTP/1.1\r\nhost : H\r\n\r\n", "header line"),
        ("POST  / HTTP/1.1\r\nhost: H\r\n\r\n", "request line"),
        ("GET / HTTP/1.1\r\nhost: H", "ended within a head"),
    ];
    for (request, expected) in cases {
        let upstream = Upstream::builder().host("H").answering(|_| Answer::new(200)).await;
        let mut stream = TcpStream::connect(upstream.address()).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        stream.shutdown().await.expect("an open socket");
        let mut answer = Vec::new();
        within_limit("end of the connection", stream.read_to_end(&mut answer)).await.expect("a clean end");
        let violations = upstream.take_violations();
        assert!(violations.len() == 1 && violations[0].contains(expected), "{expected}: {violations:?}");
    }
}

#[tokio::test]
#[should_panic(expected = "the upstream saw violations")]
async fn a_violation_fails_the_test_when_the_upstream_is_dropped() {
    let upstream =
        Upstream::builder().require([rule::exactly_one("x-missing")]).answering(|_| Answer::new(200)).await;
    Call::get("/").send(upstream.address()).await;
}

#[tokio::test]
async fn a_script_that_panics_is_a_violation() {
    let upstream = Upstream::answering(|_| panic!("on purpose")).await;
    let mut client = Client::connect(upstream.address()).await;
    client.call(&Call::get("/")).await;
    assert!(client.try_head().await.is_none());
    let violation = within_limit("violation", async {
        loop {
            if let Some(violation) = upstream.take_violations().pop() {
                return violation;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(violation.await.contains("panicked"));
}

#[tokio::test]
async fn the_tap_records_the_bytes_in_both_directions() {
    let upstream = Upstream::builder().host("tapped").answering(anthropic::answer).await;
    let tee = Tee::before(upstream.address()).await;
    let mut client = Client::connect(tee.address()).await;
    for _ in 0..2 {
        client.call(&Call::messages(r#"{"model":"m","stream":true}"#).header("host", "tapped")).await;
        assert_eq!(client.response().await.end, End::Complete);
    }
    let (sent, received) = (tee.requests().await, upstream.requests());
    assert_eq!(sent.len(), 2);
    for (sent, received) in sent.iter().zip(&received) {
        assert_eq!((&sent.head, &sent.body), (&received.head, &received.body));
    }
}

#[tokio::test]
async fn a_compressed_answer_names_its_coding() {
    for coding in Coding::ALL {
        let answer = Answer::text(200, "text/plain", "some text").compressed(coding).await;
        let upstream = Upstream::answering(in_turn([answer])).await;
        let response = Call::get("/").send(upstream.address()).await;
        assert_eq!(response.headers.get("content-encoding"), Some(coding.token()));
        assert!(!response.body().is_empty() && response.body() != "some text");
    }
}

#[tokio::test]
async fn tls_uses_a_certificate_of_the_test_authority() {
    let authority = CertificateAuthority::new();
    let upstream = Upstream::builder().tls(&authority).answering(anthropic::answer).await;
    assert!(upstream.url().starts_with("https://127.0.0.1:"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca_file()).expect("a PEM file")).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("default versions").with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(upstream.address()).await.expect("it listens");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut stream =
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a trusted certificate");

    let call = Call::get("/v1/models").bytes(&upstream.address().to_string());
    stream.write_all(&call).await.expect("it reads");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("it answers");
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn each_scripted_provider_answers_in_its_own_format() {
    let body = |model| json!({"model": model, "max_tokens": 8, "stream": true, "messages": []}).to_string();

    let upstream = Upstream::answering(anthropic::answer).await;
    let response = Call::messages(body("claude-opus-5-5")).send(upstream.address()).await;
    let names: Vec<_> = response.events().into_iter().map(|event| event.name).collect();
    assert_eq!(names.first().map(String::as_str), Some("message_start"));
    assert_eq!(names.last().map(String::as_str), Some("message_stop"));
    let response = Call::post("/v1/messages/count_tokens").json("{}").send(upstream.address()).await;
    assert_eq!(response.json(), json!({"input_tokens": 2095}));

    let upstream = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let response = Call::messages(body("qwen3-coder")).send(upstream.address()).await;
    assert_eq!(response.events()[1].json()["content_block"], json!({"type": "thinking", "thinking": ""}));
    let response = Call::post("/v1/messages/count_tokens").json("{}").send(upstream.address()).await;
    assert_eq!((response.status, response.body().as_ref()), (404, b"404 page not found".as_ref()));

    let upstream = Upstream::answering(zai::answer).await;
    let call = |body: String| Call::post("/api/anthropic/v1/messages").json(body);
    let response = call(body("glm-5.3")).send(upstream.address()).await;
    assert_eq!(response.events()[0].json()["message"]["usage"]["input_tokens"], 0);
    let response = call(body("claude-opus-5-5")).send(upstream.address()).await;
    assert_eq!((response.status, &response.json()["error"]["code"]), (400, &json!("1211")));
    let response = call(r#"{"model":"glm-5.3"}"#.to_owned()).send(upstream.address()).await;
    assert_eq!(response.status, 500);
}

#[tokio::test]
async fn recorded_streams_consist_of_events_whose_name_is_their_type() {
    for name in
        ["anthropic/hello.sse", "anthropic/thinking_tool_use.sse", "ollama/hello.sse", "zai/hello.sse"]
    {
        for bytes in sse::recorded(name) {
            let [event] = sse::parse(&bytes).try_into().expect("one event");
            assert_eq!(event.json()["type"], event.name.as_str(), "{name}");
        }
    }
}
