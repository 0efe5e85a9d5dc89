//! Requests that are invalid, large, slow or compressed.

use std::time::Duration;

use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::{
    Call, Client, Coding, PROVIDER_KEY, Relay, Response, Upstream, compress, provider, rule, within_limit,
};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;

async fn upstream() -> Upstream {
    let rules = anthropic::rules(Credential::Key(PROVIDER_KEY))
        .into_iter()
        .chain([rule::without("content-encoding")]);
    Upstream::builder().require(rules).answering(anthropic::answer).await
}

async fn relay(upstream: &Upstream, server: Value) -> Relay {
    let config = json!({"server": server, "providers": [provider("a", "anthropic", &upstream.url())]});
    Relay::start(&config).await
}

/// Asserts that `response` is an error of the relay: Anthropic's body, and the same request id in head and body.
#[track_caller]
fn assert_error(response: &Response, status: u16, kind: &str) {
    assert_eq!(response.status, status, "{:?}", response.body());
    assert_eq!(response.headers.get("content-type"), Some("application/json"));
    let body = response.json();
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(kind)), "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
    assert_eq!(body["request_id"], response.headers.get("request-id").expect("a request id"));
}

#[tokio::test]
async fn a_body_without_a_model_is_refused_and_the_connection_stays_open() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let mut client = Client::connect(relay.address()).await;
    let bodies: [&[u8]; 16] = [
        b"",
        b" ",
        b"{",
        b"null",
        b"[]",
        b"\"model\"",
        b"{}",
        br#"{"messages":[]}"#,
        br#"{"model":5}"#,
        br#"{"model":null}"#,
        br#"{"model":["claude-opus-5-5"]}"#,
        br#"{"model":""}"#,
        br#"{"x":{"model":"claude-opus-5-5"}}"#,
        br#"{"model":"claude-opus-5-5"} {}"#,
        br#"{"model":"claude-opus-5-5","a":}"#,
        b"{\"model\":\"claude-opus-5-5\",\"a\":\"\xff\"}",
    ];
    for body in bodies {
        for target in ["/v1/messages?beta=true", "/v1/messages/count_tokens"] {
            client.call(&Call::post(target).json(body)).await;
            assert_error(&client.response().await, 400, "invalid_request_error");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn deep_nesting_is_accepted() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let deep = format!(r#"{{"model":"m","a":{}1{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    let response = Call::messages(deep).send(relay.address()).await;
    assert!(matches!(response.status, 200 | 400), "{}", response.status);
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_a_known_length() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({"max_body_bytes": 2000})).await;
    let host = relay.address().to_string();

    // It is refused for its length, before a byte of it is read.
    let mut client = Client::connect(relay.address()).await;
    client.send(Call::messages("").header("content-length", "2001").head(&host)).await;
    assert_error(&client.response().await, 413, "request_too_large");

    let mut client = Client::connect(relay.address()).await;
    client.send(Call::messages("").header("transfer-encoding", "chunked").head(&host)).await;
    client.send(format!("800\r\n{}\r\n", "x".repeat(0x800))).await;
    assert_error(&client.response().await, 413, "request_too_large");

    let padded = |length: usize| format!("{BODY}{}", " ".repeat(length - BODY.len()));
    assert_eq!(Call::messages(padded(2000)).send(relay.address()).await.status, 200);
    assert_error(&Call::messages(padded(2001)).send(relay.address()).await, 413, "request_too_large");
    assert_eq!(upstream.only_request().body, padded(2000));
}

#[tokio::test]
async fn a_compressed_body_is_decoded_before_it_is_forwarded() {
    for coding in Coding::ALL {
        let upstream = upstream().await;
        let relay = relay(&upstream, json!({})).await;
        let packed = compress(coding, BODY.as_bytes()).await;
        let call = Call::messages(packed).header("content-encoding", coding.token());
        assert_eq!(call.send(relay.address()).await.status, 200, "{coding:?}");
        assert_eq!(upstream.only_request().body, BODY);
        upstream.assert_clean();
    }
}

#[tokio::test]
async fn a_compressed_body_is_bounded_by_its_decoded_size() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({"max_body_bytes": 100_000})).await;
    let bomb = format!(r#"{{"model":"m","a":"{}"}}"#, "x".repeat(64 << 20));
    for coding in Coding::ALL {
        let packed = compress(coding, bomb.as_bytes()).await;
        assert!(packed.len() < 100_000, "{coding:?}: {} bytes", packed.len());
        let call = Call::messages(packed).header("content-encoding", coding.token());
        assert_error(&call.send(relay.address()).await, 413, "request_too_large");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_is_refused() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    for coding in Coding::ALL {
        let mut packed = compress(coding, BODY.as_bytes()).await;
        packed.truncate(packed.len() / 2);
        let cut = Call::messages(packed).header("content-encoding", coding.token());
        assert_error(&cut.send(relay.address()).await, 400, "invalid_request_error");
        let plain = Call::messages(BODY).header("content-encoding", coding.token());
        assert_error(&plain.send(relay.address()).await, 400, "invalid_request_error");
    }
    let unknown = Call::messages(BODY).header("content-encoding", "compress");
    assert_error(&unknown.send(relay.address()).await, 415, "invalid_request_error");
    let identity = Call::messages(BODY).header("content-encoding", "identity");
    assert_eq!(identity.send(relay.address()).await.status, 200);
}

#[tokio::test]
async fn thirty_megabytes_arrive_intact() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let text: String = ('a'..='z').cycle().take(30 << 20).collect();
    let body = format!(
        r#"{{"model":"m","max_tokens":8,"messages":[{{"role":"user","content":"{text}"}}],"stream":true}}"#
    );
    let response = Call::messages(body.clone()).send(relay.address()).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.events().last().expect("events").name, "message_stop");
    assert!(upstream.only_request().body == body, "the body was changed");
}

#[tokio::test]
async fn a_model_at_the_end_of_a_large_body_is_found() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let text = "\\\"model\\\":\\\"x\\\",".repeat(100_000);
    let body = format!(
        r#"{{"max_tokens":8,"messages":[{{"content":"{text}"}}],"stream":true,"model":"at-the-end"}}"#
    );
    let response = Call::messages(body).send(relay.address()).await;
    assert_eq!(response.events()[0].json()["message"]["model"], "at-the-end");
}

#[tokio::test]
async fn an_upstream_that_never_answers_ends_in_a_timeout() {
    for stream in [false, true] {
        let upstream = Upstream::manual().await;
        let relay = relay(&upstream, json!({"timeout_ms": 300})).await;
        let body = json!({"model": "m", "max_tokens": 8, "messages": [], "stream": stream});
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(body.to_string())).await;
        let (mut connection, _) = upstream.exchange().await;

        assert_error(&client.response().await, 504, "timeout_error");
        connection.peer_closed().await;
    }
}

#[tokio::test]
async fn an_answer_without_streaming_that_stalls_ends_in_a_timeout() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream, json!({"timeout_ms": 300})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(r#"{"model":"m","max_tokens":8,"messages":[]}"#)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection
        .send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
        .await;

    assert_error(&client.response().await, 504, "timeout_error");
    connection.peer_closed().await;
}

#[tokio::test]
async fn a_stream_that_keeps_flowing_outlives_the_timeout() {
    let upstream = Upstream::manual().await;
    let relay = relay(&upstream, json!({"timeout_ms": 300})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(r#"{"model":"m","max_tokens":8,"messages":[],"stream":true}"#)).await;
    let (mut connection, _) = upstream.exchange().await;
    let events = relay_tests::sse::recorded("anthropic/hello.sse");
    connection.send_head(&relay_tests::Answer::event_stream()).await;
    for event in &events[..4] {
        connection.send_chunk(event).await;
    }
    client.head().await;
    client.expect(&events[..4].concat()).await;

    // The limit has to elapse in real time: it is measured by the clock of the relay's process.
    tokio::time::sleep(Duration::from_millis(400)).await;
    for event in &events[4..] {
        connection.send_chunk(event).await;
    }
    connection.send_last_chunk().await;
    client.expect(&events[4..].concat()).await;
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.end(), Some(relay_tests::End::Complete));
}

#[tokio::test]
async fn invalid_http_does_not_reach_an_upstream() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let length = BODY.len();
    let requests = [
        "\x16\x03\x01\x02\x00\x01\x00\x01\x00\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\ncontent-length: 1\r\n\r\n{BODY}"
        ),
        format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: +{length}\r\n\r\n{BODY}"),
        format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{BODY}"
        ),
        format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
            "x".repeat(1 << 20)
        ),
    ];
    for request in requests {
        let mut client = Client::connect(relay.address()).await;
        // It may be refused before its end.
        let _ = client.try_send(&request).await;
        if let Some(head) = client.try_head().await {
            assert!((400..500).contains(&head.status), "{}: {request:.40}", head.status);
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_client_that_disconnects_within_its_request_affects_no_other() {
    let upstream = upstream().await;
    let relay = relay(&upstream, json!({})).await;
    let bytes = Call::messages(BODY).bytes("localhost");
    for end in [1, 20, bytes.len() - BODY.len(), bytes.len() - 1] {
        let mut client = Client::connect(relay.address()).await;
        client.send(&bytes[..end]).await;
        client.disconnect();
    }
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

/// Sends the lines of a request head at intervals, without end, until the relay closes the connection.
async fn send_endless_head(client: &mut Client) {
    client.send("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n").await;
    let mut number = 0;
    // The interval between lines is short: only a limit on the whole head ends this.
    while client.try_send(format!("x-{number}: y\r\n")).await.is_ok() {
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_connection_is_closed_if_its_first_head_never_ends() {
    let upstream = upstream().await;
    let config = json!({"providers": [provider("a", "anthropic", &upstream.url())]});
    let (first, next) = (Duration::from_millis(500), Duration::from_secs(3600));
    let relay = Relay::start_with_head_timeouts(&config, first, next).await;
    let mut slow = Client::connect(relay.address()).await;
    let others = async {
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    };
    tokio::join!(within_limit("end of a slow client", send_endless_head(&mut slow)), others);
}

#[tokio::test]
async fn a_connection_is_closed_if_a_later_head_never_ends() {
    let upstream = upstream().await;
    let config = json!({"providers": [provider("a", "anthropic", &upstream.url())]});
    let (first, next) = (Duration::from_secs(3600), Duration::from_millis(500));
    let relay = Relay::start_with_head_timeouts(&config, first, next).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    assert_eq!(client.response().await.status, 200);
    within_limit("end of a slow client", send_endless_head(&mut client)).await;
}

#[tokio::test]
async fn a_body_of_several_gzip_members_or_zstd_frames_is_read_to_its_end() {
    let (start, end) = BODY.split_at(BODY.len() / 2);
    for coding in [Coding::Gzip, Coding::Zstd] {
        let upstream = upstream().await;
        let relay = relay(&upstream, json!({})).await;
        let packed =
            [compress(coding, start.as_bytes()).await, compress(coding, end.as_bytes()).await].concat();
        let call = Call::messages(packed).header("content-encoding", coding.token());
        assert_eq!(call.send(relay.address()).await.status, 200, "{coding:?}");
        assert_eq!(upstream.only_request().body, BODY);
        upstream.assert_clean();
    }
}
