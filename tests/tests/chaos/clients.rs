//! Clients that send small and large requests, read slowly, and disconnect at random.

use std::net::SocketAddr;
use std::ops::AddAssign;

use relay_tests::{Call, Client, Http2Client, Response, ResponseHead, sse};
use serde_json::Value;
use tokio::time::Instant;

use crate::request::Mark;
use crate::upstreams::Chance;

/// The maximum length of a request body, in bytes.
const LONGEST: u64 = 1_000_000;
/// The longest that a client takes over a step that it is slow with.
const MILLISECONDS: u64 = 30;

/// The number of requests by their result, from the view of the clients.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Whole answers.
    pub(crate) whole: usize,
    /// Answers that broke off, visibly.
    pub(crate) broken: usize,
    /// Answers that broke off so early that nothing of them was seen.
    pub(crate) unseen: usize,
    /// Errors of upstreams within a stream.
    pub(crate) error_events: usize,
    /// Answers that are errors: the relay's, or an upstream's.
    pub(crate) errors: usize,
    /// Requests whose client left.
    pub(crate) left: usize,
}

impl Tally {
    pub(crate) fn requests(&self) -> usize {
        self.whole + self.broken + self.unseen + self.error_events + self.errors + self.left
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.whole += other.whole;
        self.broken += other.broken;
        self.unseen += other.unseen;
        self.error_events += other.error_events;
        self.errors += other.errors;
        self.left += other.left;
    }
}

/// Sends one request after another until `end`. `numbers` belong to this client alone.
pub(crate) async fn asking(
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
        // From 1 KB to 1 MB, large ones less often.
        let length = 1000 << chance.number(0..11).min(chance.number(0..11));
        let length = usize::try_from(length.min(LONGEST)).expect("a length");
        let (mark, body) = Mark::new(number, length, !chance.one_in(4));
        match chance.number(0..10) {
            0 => leave_while_sending(relay, &chance, body).await,
            1 => leave_at_any_time(relay, &chance, body).await,
            2 => leave_over_http2(relay, &chance, body).await,
            _ => {
                let call = Call::messages(body).header("x-claude-code-session-id", &session);
                match send(relay, &chance, &call).await {
                    Some(response) => seen(&response, mark, &mut tally),
                    None => tally.unseen += 1,
                }
                continue;
            }
        }
        tally.left += 1;
    }
    tally
}

/// Sends a request and reads the response, slowly one time in five. Returns `None` if the connection ends first.
async fn send(relay: SocketAddr, chance: &Chance, call: &Call) -> Option<Response> {
    let mut client = Client::connect(relay).await;
    // An answer may come before all of the request is sent.
    let _ = client.try_send(call.bytes(&relay.to_string())).await;
    let is_slow = chance.one_in(5);
    let ResponseHead { status, headers } = client.try_head().await?;
    let mut chunks = Vec::new();
    while let Some(chunk) = client.chunk().await {
        chunks.push((std::time::Instant::now(), chunk));
        if is_slow {
            chance.pause(MILLISECONDS).await;
        }
    }
    let end = client.end().expect("a body without further chunks has ended");
    Some(Response { status, headers, chunks, end })
}

async fn leave_while_sending(relay: SocketAddr, chance: &Chance, body: bytes::Bytes) {
    let mut client = Client::connect(relay).await;
    let bytes = Call::messages(body).bytes(&relay.to_string());
    let end = usize::try_from(chance.number(1..bytes.len() as u64)).expect("a length");
    let _ = client.try_send(&bytes[..end]).await;
    chance.pause(MILLISECONDS).await;
    leave(client, chance);
}

async fn leave_at_any_time(relay: SocketAddr, chance: &Chance, body: bytes::Bytes) {
    let mut client = Client::connect(relay).await;
    let _ = client.try_send(Call::messages(body).bytes(&relay.to_string())).await;
    chance.pause(MILLISECONDS).await;
    if chance.one_in(2) && client.try_head().await.is_some_and(|head| head.status == 200) {
        client.chunk().await;
    }
    leave(client, chance);
}

fn leave(client: Client, chance: &Chance) {
    if chance.one_in(2) {
        client.disconnect();
    } else {
        client.reset();
    }
}

/// Cancels the stream and closes its connection.
async fn leave_over_http2(relay: SocketAddr, chance: &Chance, body: bytes::Bytes) {
    let client = Http2Client::connect(relay).await;
    tokio::select! {
        answer = client.post("/v1/messages", body) => {
            let Ok(mut answer) = answer else { return };
            if answer.data().await.is_ok() && chance.one_in(2) {
                answer.cancel();
            }
        }
        () = chance.pause(MILLISECONDS) => {}
    }
}

/// Counts a response, and asserts that it is one of the permitted ones.
#[track_caller]
fn seen(response: &Response, mark: Mark, tally: &mut Tally) {
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
                _ => panic!("{mark:?}: a clean end of half an answer: {events:?}"),
            }
            tally.whole += 1;
        }
        (200, false) => {
            let text = response.json()["content"][0]["text"].as_str().map(str::to_owned);
            assert_text(&text.unwrap_or_default(), mark);
            tally.whole += 1;
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
    assert_eq!(starts, 1, "expected exactly one answer: {events:?}");
    let deltas = events.iter().map(sse::Event::json);
    deltas.filter_map(|event: Value| Some(event["delta"]["text"].as_str()?.to_owned())).collect()
}

#[track_caller]
fn assert_text(text: &str, mark: Mark) {
    assert!(mark.is_answered_by(text), "{mark:?} got {:?}…", &text[..text.len().min(80)]);
}
