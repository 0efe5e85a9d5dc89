//! Streams through the whole relay.

use std::time::Duration;

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Client, Connection, End, Ending, Relay, Upstream, in_turn, provider, sse};
use serde_json::json;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// An upstream and a relay before it, with a stream under way whose head has been sent and received.
async fn stream_under_way() -> (Upstream, Relay, Connection, Client) {
    let upstream = Upstream::manual().await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(BODY)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&anthropic::success(Answer::event_stream())).await;
    // Up to the first content the relay may hold events back.
    let opening = sse::recorded("anthropic/hello.sse")[..4].concat();
    connection.send(format!("{:x}\r\n", opening.len()).as_bytes()).await;
    connection.send(&[&opening, b"\r\n".as_slice()].concat()).await;
    assert_eq!(client.head().await.status, 200);
    client.expect(&opening).await;
    (upstream, relay, connection, client)
}

fn delta(number: usize) -> bytes::Bytes {
    let delta = json!({"type": "text_delta", "text": format!("word {number} ")});
    sse::event("content_block_delta", &json!({"type": "content_block_delta", "index": 0, "delta": delta}))
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_released() {
    let (_upstream, _relay, mut connection, mut client) = stream_under_way().await;
    for number in 0..5 {
        connection.send_chunk(&delta(number)).await;
        client.expect(&delta(number)).await;
    }
    for event in &sse::recorded("anthropic/hello.sse")[5..] {
        connection.send_chunk(event).await;
        client.expect(event).await;
    }
    // `message_stop` is not the end: the body ends together with the upstream's.
    assert_eq!(client.end(), None);
    connection.send_last_chunk().await;
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.end(), Some(End::Complete));
}

#[tokio::test]
async fn an_event_that_is_split_arrives_whole() {
    let (_upstream, _relay, mut connection, mut client) = stream_under_way().await;
    let event = sse::event("content_block_delta", &json!({"type": "content_block_delta", "text": "é 🚀"}));
    for byte in &event {
        connection.send_chunk(&[*byte]).await;
    }
    client.expect(&event).await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_breaks_off_for_the_client() {
    for reset in [false, true] {
        let (_upstream, _relay, mut connection, mut client) = stream_under_way().await;
        connection.send_chunk(&delta(0)).await;
        client.expect(&delta(0)).await;
        if reset {
            connection.reset();
        } else {
            connection.finish().await;
        }
        assert_eq!(client.chunk().await, None);
        assert!(client.end().is_some_and(End::is_broken), "{:?}", client.end());
    }
}

#[tokio::test]
async fn a_stream_that_ends_cleanly_without_message_stop_breaks_off_for_the_client() {
    let events = Reply::new("m").text("half an answer").events();
    for count in 1..events.len() {
        let answer = anthropic::success(Answer::sse(events.iter().take(count).cloned()));
        let upstream = Upstream::answering(in_turn([answer])).await;
        let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert!(response.end.is_broken(), "after {count} events: {:?}", response.end);
        // All events arrive, even if the end of the body arrives with the last event.
        assert_eq!(response.body(), events[..count].concat());
    }
}

#[tokio::test]
async fn an_error_event_replaces_a_break_if_configured() {
    let events = Reply::new("claude-opus-5-5").text("half an answer").events();
    let whole = anthropic::success(Answer::sse(events.clone()));
    let opening = events[..4].to_vec();
    for ending in [Ending::Fin, Ending::Reset, Ending::Clean] {
        let half = anthropic::success(Answer::sse(opening.clone())).with_ending(ending);
        let first = Upstream::answering(in_turn([half, whole.clone()])).await;
        let second = Upstream::answering(in_turn([whole.clone()])).await;
        let relay = Relay::start(&json!({
            "providers": [provider("a", "anthropic", &first.url()), provider("b", "anthropic", &second.url())],
            "routing": {"on_stream_break": "error_event"},
        }))
        .await;
        let call = || Call::messages(BODY).header("x-claude-code-session-id", "one");
        let response = call().send(relay.address()).await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{ending:?}");
        let body = response.body();
        let error = body.strip_prefix(&*opening.concat()).expect("what did come");
        assert!(error.starts_with(b"event: error\ndata: {"), "{ending:?}: {error:?}");
        assert_eq!(response.events().last().unwrap().json()["error"]["type"], "api_error");

        // In both modes, only this session avoids the provider that broke off.
        assert_eq!(call().send(relay.address()).await.status, 200);
        assert_eq!((first.requests().len(), second.requests().len()), (1, 1), "{ending:?}");
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
        assert_eq!((first.requests().len(), second.requests().len()), (2, 1), "{ending:?}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_first_content_is_a_failure() {
    let events = Reply::new("m").text("never said").events();
    for (count, ending) in
        [(0, Ending::Fin), (1, Ending::Fin), (2, Ending::Fin), (2, Ending::Reset), (0, Ending::Clean)]
    {
        let answer = anthropic::success(Answer::sse(events.iter().take(count).cloned())).with_ending(ending);
        let upstream = Upstream::answering(in_turn([answer])).await;
        let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(BODY)).await;
        // A server whose whole answer is the break may send nothing at all.
        let Some(head) = client.try_head().await else { continue };
        while client.chunk().await.is_some() {}
        assert!(
            head.status >= 500 || client.end().is_some_and(End::is_broken),
            "{count} {ending:?}: {head:?}"
        );
    }
}

#[tokio::test]
async fn an_error_event_is_passed_on() {
    let (_upstream, _relay, mut connection, mut client) = stream_under_way().await;
    let error = sse::error("overloaded_error", "Overloaded");
    connection.send_chunk(&error).await;
    client.expect(&error).await;
}

#[tokio::test]
async fn a_client_that_disconnects_in_mid_stream_cancels_the_upstream_request_at_once() {
    for leave in [Client::disconnect, Client::reset] {
        let (_upstream, _relay, mut connection, client) = stream_under_way().await;
        let left = leave(client);
        let seen = connection.peer_closed().await;
        assert!(seen - left < Duration::from_millis(100), "{:?}", seen - left);
    }
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_answer_cancels_the_upstream_request_at_once() {
    for stream in [false, true] {
        let upstream = Upstream::manual().await;
        let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
        let mut client = Client::connect(relay.address()).await;
        let body = json!({"model": "m", "max_tokens": 8, "messages": [], "stream": stream});
        client.call(&Call::messages(body.to_string())).await;
        let (mut connection, _) = upstream.exchange().await;

        let left = client.disconnect();
        let seen = connection.peer_closed().await;
        assert!(seen - left < Duration::from_millis(100), "{:?}", seen - left);
    }
}

#[tokio::test]
async fn a_slow_client_slows_only_its_own_upstream_request() {
    let (_upstream, _relay, mut connection, mut client) = stream_under_way().await;
    // The client does not read: the relay must stop reading long before all of this is sent.
    let event = sse::event("content_block_delta", &json!({"padding": "x".repeat(1 << 20)}));
    let flood = async {
        for _ in 0..256 {
            connection.send_chunk(&event).await;
        }
    };
    tokio::select! {
        () = flood => panic!("256 MB were taken in for a client that reads nothing"),
        () = tokio::time::sleep(Duration::from_secs(2)) => {} // the only way to see that nothing happens
    }
    client.expect(&event).await;
}

#[tokio::test]
async fn an_answer_without_streaming_that_breaks_off_is_never_taken_for_complete() {
    let whole = Reply::new("m").text("an answer").json().to_string();
    for ending in [Ending::Fin, Ending::Reset] {
        let answer = Answer::json(200, &json!(null)).with_body(whole.clone());
        let answer = anthropic::success(answer).with_content_length(whole.len() + 1).with_ending(ending);
        let upstream = Upstream::answering(in_turn([answer])).await;
        let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
        let body = r#"{"model":"m","max_tokens":8,"messages":[]}"#;
        let response = Call::messages(body).send(relay.address()).await;
        assert!(response.status >= 500 || response.end.is_broken(), "{ending:?}: {response:?}");
    }
}
