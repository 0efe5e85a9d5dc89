//! Streams whose events are not exactly Anthropic's: nameless, foreign, damaged, and without an end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_tests::fakes::{Reply, google};
use relay_tests::{
    Answer, Call, Client, End, Relay, Response, Upstream, in_turn, minimal_provider, provider, sse,
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;

/// The kinds whose upstreams stream server-sent events, apart from `vertex`.
const KINDS: [&str; 6] = ["anthropic", "zai", "ollama", "minimax", "azure", "anthropic_compatible"];

fn events() -> Vec<Bytes> {
    Reply::new("claude-opus-5-5").thinking("hm", "c2lnbmF0dXJl").text("one, two").events()
}

/// Removes the `event` lines.
fn without_names(events: &[Bytes]) -> Vec<Bytes> {
    let nameless =
        |event: &Bytes| event.slice(event.iter().position(|&byte| byte == b'\n').expect("a line") + 1..);
    events.iter().map(nameless).collect()
}

/// A Vertex AI provider, with its token endpoint and its credentials file.
pub(super) async fn vertex(upstream: &Upstream) -> (Value, Upstream, NamedTempFile) {
    let tokens = Upstream::answering(|request| google::answer(request, "ya29.token", 3600)).await;
    let file = google::credentials_file(&google::service_account(&tokens.url()));
    let provider = json!({"name": "gw", "type": "vertex", "base_url": upstream.url(), "gcp_project_id": "p",
                          "gcp_region": "eu", "credentials_file": file.path()});
    (provider, tokens, file)
}

/// Sends a streamed request to a relay with one provider of this kind, whose upstream gives `answer`.
async fn send(kind: &str, answer: Answer, routing: Value) -> Response {
    let upstream = Upstream::answering(in_turn([answer])).await;
    let (vertex, _tokens, _file) = vertex(&upstream).await;
    let provider = match kind {
        "vertex" => vertex,
        kind => minimal_provider("gw", kind, &upstream.url()),
    };
    let relay = Relay::start(&json!({"providers": [provider], "routing": routing})).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    client.response().await
}

fn all_kinds() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().chain(["vertex"])
}

#[tokio::test]
async fn nameless_events_get_their_names_and_foreign_events_are_dropped_for_every_kind() {
    let done = ["event: done\ndata: [DONE]\n\n", "event: done\n\n", "data: [DONE]\n\n"].map(Bytes::from);
    for kind in all_kinds() {
        let nameless = without_names(&events()).into_iter().chain(done.clone());
        let response = send(kind, Answer::sse(nameless), json!({})).await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{kind}");
        assert_eq!(response.body(), events().concat(), "{kind}");
    }
}

#[tokio::test]
async fn the_models_name_is_restored_in_a_nameless_stream() {
    let stream = without_names(&Reply::new("glm-5.3").text("hello").events());
    let upstream = Upstream::answering(in_turn([Answer::sse(stream)])).await;
    let mut provider = minimal_provider("gw", "anthropic_compatible", &upstream.url());
    provider["model_mapping"] = json!({"claude-opus-5-5": "glm-5.3"});
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    let response = Call::messages(STREAMED).send(relay.address()).await;
    let expected = Reply::new("claude-opus-5-5").text("hello").events();
    assert_eq!((response.end, response.body()), (End::Complete, expected.concat().into()));
}

#[tokio::test]
async fn every_line_end_and_every_way_of_cutting_is_understood() {
    let plain = events().concat();
    for (text, expected) in [
        (String::from_utf8_lossy(&plain).replace('\n', "\r\n"), true),
        (String::from_utf8_lossy(&plain).replace('\n', "\r"), true),
        (format!("\u{feff}{}", String::from_utf8_lossy(&plain)), false),
        (String::from_utf8_lossy(&plain).replacen("{\"type\"", "{\ndata: \"type\"", 1), true),
    ] {
        let pieces: Vec<_> = text.as_bytes().chunks(7).map(Bytes::copy_from_slice).collect();
        let response = send("zai", Answer::sse(pieces), json!({})).await;
        assert_eq!(response.end, End::Complete, "{text}");
        // Well-formed events keep their bytes. A byte order mark makes the first name unreadable for clients.
        assert_eq!(response.body(), if expected { text.as_bytes() } else { &plain });
    }
}

/// Events that no client can use, each with a description.
fn damaged_events() -> Vec<(&'static str, Bytes)> {
    [
        ("data that is cut", "event: content_block_delta\ndata: {\"type\":\"content_block_del\n\n"),
        ("data that is not JSON", "event: content_block_delta\ndata: hello\n\n"),
        ("data that is no object", "data: null\n\n"),
        ("an object without a type and without a name", "data: {\"choices\":[]}\n\n"),
        ("an object without a type", "event: content_block_stop\ndata: {\"index\":0}\n\n"),
        (
            "a name that contradicts the type",
            "event: content_block_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
        ("a name without data", "event: message_stop\n\n"),
        ("data that is not JSON at the end", "event: message_stop\ndata: {\"type\":\"message_stop\"}}\n\n"),
    ]
    .map(|(name, event)| (name, Bytes::from(event)))
    .to_vec()
}

#[tokio::test]
async fn a_damaged_event_breaks_the_stream_after_the_events_before_it() {
    let (opening, rest) = (events()[..4].to_vec(), events()[4..].to_vec());
    for (what, damaged) in damaged_events() {
        let stream = || Answer::sse(opening.iter().cloned().chain([damaged.clone()]).chain(rest.clone()));
        for kind in ["anthropic", "zai"] {
            let response = send(kind, stream(), json!({})).await;
            assert!(response.end.is_broken(), "{kind}, {what}: {:?}", response.end);
            assert_eq!(response.body(), opening.concat(), "{kind}, {what}");
        }
        let response = send("ollama", stream(), json!({"on_stream_break": "error_event"})).await;
        assert_eq!(response.end, End::Complete, "{what}");
        assert_eq!(response.events().last().unwrap().name, "error", "{what}");
    }
}

#[tokio::test]
async fn a_damaged_event_before_the_first_content_is_answered_by_the_next_provider() {
    let expected = Reply::new("claude-opus-5-5").text("from the second").events();
    for (what, damaged) in damaged_events() {
        let first = Answer::sse([events()[0].clone(), damaged]);
        let first = Upstream::answering(in_turn([first])).await;
        let second = Upstream::answering(in_turn([Answer::sse(expected.clone())])).await;
        let providers = [
            minimal_provider("first", "anthropic_compatible", &first.url()),
            provider("second", "anthropic", &second.url()),
        ];
        let relay = Relay::start(&json!({"providers": providers})).await;
        let response = Call::messages(STREAMED).send(relay.address()).await;
        assert_eq!((response.status, response.end), (200, End::Complete), "{what}");
        assert_eq!(response.body(), expected.concat(), "{what}");
    }
}

#[tokio::test]
async fn an_error_in_another_form_reaches_the_client_as_an_error_event() {
    for (event, kind, message) in [
        (
            "data: {\"error\":{\"message\":\"CUDA out of memory\",\"code\":500}}\n\n",
            "api_error",
            "CUDA out of memory",
        ),
        (
            "event: error\ndata: {\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
            "overloaded_error",
            "busy",
        ),
        ("event: error\ndata: out of memory\n\n", "api_error", "out of memory"),
    ] {
        let opening = events().into_iter().take(4);
        let stream = opening.chain([Bytes::from(event), Bytes::from("data: [DONE]\n\n")]);
        let response = send("anthropic_compatible", Answer::sse(stream), json!({})).await;
        assert_eq!(response.end, End::Complete, "{event}");
        let last = response.events().pop().unwrap();
        assert_eq!((last.name.as_str(), &last.json()["error"]["type"]), ("error", &json!(kind)));
        assert_eq!(last.json()["error"]["message"], message);
    }
}

#[tokio::test]
async fn unknown_events_pass_from_anthropic_and_are_dropped_from_others() {
    let unknown = sse::event("content_block_review", &json!({"type": "content_block_review"}));
    let (start, rest) = (events()[..1].to_vec(), events()[1..].to_vec());
    let stream = || Answer::sse([start.clone(), vec![unknown.clone()], rest.clone()].concat());
    for (kind, passes) in
        [("anthropic", true), ("azure", true), ("vertex", true), ("zai", false), ("ollama", false)]
    {
        let response = send(kind, stream(), json!({})).await;
        let found = response.events().iter().any(|event| event.name == "content_block_review");
        assert_eq!((response.end, found), (End::Complete, passes), "{kind}");
    }
}

#[tokio::test]
async fn an_event_of_a_megabyte_passes_unchanged_with_and_without_a_name() {
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x".repeat(1 << 20)}});
    let mut with_large = events();
    with_large.insert(4, sse::event("content_block_delta", &delta));
    for stream in [with_large.clone(), without_names(&with_large)] {
        let response = send("zai", Answer::sse(stream), json!({})).await;
        assert_eq!(response.end, End::Complete);
        assert!(response.body() == with_large.concat());
    }
}

#[tokio::test]
async fn a_stream_that_is_not_ended_after_message_stop_ends_cleanly_a_second_later() {
    for kind in ["anthropic", "zai"] {
        let upstream = Upstream::manual().await;
        let relay = Relay::start(&json!({"providers": [provider("a", kind, &upstream.url())]})).await;
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(STREAMED)).await;
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream()).await;
        connection.send_chunk(&events().concat()).await;
        let sent = Instant::now();
        let response = client.response().await;
        assert_eq!((response.end, response.body()), (End::Complete, events().concat().into()), "{kind}");
        let waited = sent.elapsed();
        assert!(
            waited > Duration::from_millis(700) && waited < Duration::from_millis(1800),
            "{kind}: {waited:?}"
        );
        connection.peer_closed().await;
    }
}

#[tokio::test]
async fn keep_alives_in_any_spelling_do_not_keep_a_stream_open() {
    for keep_alive in
        [": keep-alive\n\n", "\n\n", "data: {\"type\": \"ping\"}\n\n", "event:ping\r\ndata:{}\r\n\r\n"]
    {
        let upstream = Upstream::manual().await;
        let mut provider = provider("a", "zai", &upstream.url());
        provider["idle_timeout_ms"] = json!(200);
        let relay = Relay::start(&json!({"providers": [provider]})).await;
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(STREAMED)).await;
        let (mut connection, _) = upstream.exchange().await;
        connection.send_head(&Answer::event_stream()).await;
        connection.send_chunk(&events()[..4].concat()).await;
        let dripping = async {
            loop {
                connection.send_chunk(keep_alive.as_bytes()).await;
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        };
        let response = tokio::select! {
            () = dripping => unreachable!("it sends for ever"),
            response = client.response() => response,
        };
        assert!(response.end.is_broken(), "{keep_alive:?}: {:?}", response.end);
    }
}
