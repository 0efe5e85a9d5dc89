//! Clients that send small and large requests, read slowly, and disconnect at random.

use std::net::SocketAddr;
use std::ops::AddAssign;

use relay_tests::{Call, Client, Http2Client, Response, ResponseHead, sse};
use serde_json::Value;
use tokio::time::Instant;

use crate::request::Mark;
use crate::upstreams::Chance;

/// The maximum length of a request body, in bytes.
const MAX_BODY: u64 = 1_000_000;
/// The maximum pause of a slow client, in milliseconds.
const MAX_PAUSE_MS: u64 = 30;

/// The numbers of outcomes that clients saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Complete answers.
    pub(crate) complete: usize,
    /// Answers that broke within the body.
    pub(crate) broken: usize,
    /// Connections that ended before the head of an answer.
    pub(crate) no_head: usize,
    /// Streams that ended with an error event.
    pub(crate) error_events: usize,
    /// Errors of the relay or of an upstream.
    pub(crate) errors: usize,
    /// Requests whose client disconnected.
    pub(crate) disconnected: usize,
}

impl Tally {
    pub(crate) fn requests(&self) -> usize {
        self.complete + self.broken + self.no_head + self.error_events + self.errors + self.disconnected
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.complete += other.complete;
        self.broken += other.broken;
        self.no_head += other.no_head;
        self.error_events += other.error_events;
        self.errors += other.errors;
        self.disconnected += other.disconnected;
    }
}

/// Sends requests one after the other until `end`. `numbers` are unique to this client.
pub(crate) async fn run_client(
    relay: SocketAddr,
    chance: Chance,
    numbers: std::ops::Range<u64>,
    end: Instant,
) -> Tally {
    let mut tally = Tally::default();
    let session = format!("session-{}", numbers.start);
    for number in numbers {
        if Instant::now() >= end {
            break;
        }
        // From 1 KB to 1 MB; large bodies are less frequent.
        let length = 1000 << chance.number(0..11).min(chance.number(0..11));
        let length = usize::try_from(length.min(MAX_BODY)).expect("a length");
        let (mark, body) = Mark::new(number, length, !chance.one_in(4));
        match chance.number(0..10) {
            0 => disconnect_while_sending(relay, &chance, body).await,
            1 => disconnect_at_random(relay, &chance, body).await,
            2 => disconnect_over_http2(relay, &chance, body).await,
            _ => {
                let call = Call::messages(body).header("x-claude-code-session-id", &session);
                match send(relay, &chance, &call).await {
                    Some(response) => count(&response, mark, &mut tally),
                    None => tally.no_head += 1,
                }
                continue;
            }
        }
        tally.disconnected += 1;
    }
    tally
}

/// Sends a request and reads the answer, one time in five slowly. Returns `None` if the connection ends before the head.
async fn send(relay: SocketAddr, chance: &Chance, call: &Call) -> Option<Response> {
    let mut client = Client::connect(relay).await;
    // The answer may arrive before the whole request is sent.
    let _ = client.try_send(call.bytes(&relay.to_string())).await;
    let is_slow = chance.one_in(5);
    let ResponseHead { status, headers } = client.try_head().await?;
    let mut chunks = Vec::new();
    while let Some(chunk) = client.chunk().await {
        chunks.push((std::time::Instant::now(), chunk));
        if is_slow {
            chance.pause(MAX_PAUSE_MS).await;
        }
    }
    let end = client.end().expect("a body without further chunks has ended");
    Some(Response { status, headers, chunks, end })
}

async fn disconnect_while_sending(relay: SocketAddr, chance: &Chance, body: bytes::Bytes) {
    let mut client = Client::connect(relay).await;
    let bytes = Call::messages(body).bytes(&relay.to_string());
    let end = usize::try_from(chance.number(1..bytes.len() as u64)).expect("a length");
    let _ = client.try_send(&bytes[..end]).await;
    chance.pause(MAX_PAUSE_MS).await;
    disconnect(client, chance);
}

async fn disconnect_at_random(relay: SocketAddr, chance: &Chance, body: bytes::Bytes) {
    let mut client = Client::connect(relay).await;
    let _ = client.try_send(Call::messages(body).bytes(&relay.to_string())).await;
    chance.pause(MAX_PAUSE_MS).await;
    if chance.one_in(2) && client.try_head().await.is_some_and(|head| head.status == 200) {
        client.chunk().await;
    }
    disconnect(client, chance);
}

fn disconnect(client: Client, chance: &Chance) {
    if chance.one_in(2) {
        client.disconnect();
    } else {
        client.reset();
    }
}

/// Cancels the stream and closes its connection.
async fn disconnect_over_http2(relay: SocketAddr, chance: &Chance, body: bytes::Bytes) {
    let client = Http2Client::connect(relay).await;
    tokio::select! {
        answer = client.post("/v1/messages", body) => {
            let Ok(mut answer) = answer else { return };
            if answer.data().await.is_ok() && chance.one_in(2) {
                answer.cancel();
            }
        }
        () = chance.pause(MAX_PAUSE_MS) => {}
    }
}

/// Counts a response, and asserts that it is a valid one.
#[track_caller]
fn count(response: &Response, mark: Mark, tally: &mut Tally) {
    if response.end.is_broken() {
        assert_eq!(response.status, 200, "{mark:?}: an error must be complete: {response:?}");
        tally.broken += 1;
        return;
    }
    let content_type = response.headers.get("content-type").unwrap_or_default();
    match (response.status, content_type.starts_with("text/event-stream")) {
        (200, true) => {
            let events = response.events();
            match events.last().map(|event| event.name.as_str()) {
                Some("message_stop") => assert_text(&text_of(&events), mark),
                Some("error") => {
                    tally.error_events += 1;
                    return;
                }
                _ => panic!("{mark:?}: an incomplete stream ended properly: {events:?}"),
            }
            tally.complete += 1;
        }
        (200, false) => {
            let text = response.json()["content"][0]["text"].as_str().map(str::to_owned);
            assert_text(&text.unwrap_or_default(), mark);
            tally.complete += 1;
        }
        (400..600, _) => {
            let body = response.json();
            let error = &body["error"];
            assert!(error["type"].is_string() && error["message"].is_string(), "{mark:?}: {body}");
            tally.errors += 1;
        }
        _ => panic!("{mark:?}: {response:?}"),
    }
}

fn text_of(events: &[sse::Event]) -> String {
    let starts = events.iter().filter(|event| event.name == "message_start").count();
    assert_eq!(starts, 1, "exactly one answer: {events:?}");
    let deltas = events.iter().map(sse::Event::json);
    deltas.filter_map(|event: Value| Some(event["delta"]["text"].as_str()?.to_owned())).collect()
}

#[track_caller]
fn assert_text(text: &str, mark: Mark) {
    assert!(mark.is_answered_by(text), "{mark:?} got {:?}…", &text[..text.len().min(80)]);
}
