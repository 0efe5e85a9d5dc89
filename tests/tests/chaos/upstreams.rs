//! Upstreams with random faults of every kind that HTTP/1.1 allows.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Connection, Ending, PROVIDER_KEY, Upstream, UpstreamBuilder, sse};
use serde_json::json;
use tokio::sync::{Barrier, watch};

use crate::request::Mark;

/// The maximum pause of a slow upstream, in milliseconds.
const MAX_PAUSE_MS: u64 = 20;
/// The duration of an outage, in milliseconds.
const DOWN_MS: std::ops::Range<u64> = 50..400;
/// The time between two outages, in milliseconds.
const UP_MS: std::ops::Range<u64> = 200..1500;

/// The behaviour of all upstreams.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// Each request may have a fault.
    Chaos,
    /// Every request gets a complete answer.
    Healthy,
    /// Answers are sent when the barrier has enough requests.
    Barrier(Arc<Barrier>),
}

/// The fault of one answer.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    SlowDrip,
    LongAnswer,
    ResetAtOnce,
    CloseAtOnce,
    SilentHead,
    SilentAfterContent,
    Status(u16, Option<&'static str>),
    Page(u16),
    OverloadEvent,
    CutBeforeContent(Ending),
    CutAfterContent(Ending),
    CleanEndInTheMiddle,
    Garbage,
    GarbageForChunks,
    HugeHeaders(usize),
}

/// The faults, each with the same probability. Frequent faults occur twice.
const FAULTS: [Fault; 27] = [
    Fault::ResetAtOnce,
    Fault::CloseAtOnce,
    Fault::SilentHead,
    Fault::SilentAfterContent,
    Fault::Status(400, None),
    Fault::Status(401, None),
    Fault::Status(404, None),
    Fault::Status(413, None),
    Fault::Status(429, None),
    Fault::Status(429, Some("0")),
    Fault::Status(429, Some("1")),
    Fault::Status(500, None),
    Fault::Status(503, None),
    Fault::Status(529, None),
    Fault::Status(529, Some("1")),
    Fault::Page(502),
    Fault::OverloadEvent,
    Fault::OverloadEvent,
    Fault::CutBeforeContent(Ending::Fin),
    Fault::CutBeforeContent(Ending::Reset),
    Fault::CutAfterContent(Ending::Fin),
    Fault::CutAfterContent(Ending::Reset),
    Fault::CleanEndInTheMiddle,
    Fault::Garbage,
    Fault::GarbageForChunks,
    Fault::HugeHeaders(100_000),
    Fault::HugeHeaders(1_000_000),
];

/// A shared random generator with a seed. Its results are reproducible except for the order of concurrent calls.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Arc<Mutex<Rng>>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Rng::with_seed(seed))))
    }

    pub(crate) fn number(&self, range: std::ops::Range<u64>) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).u64(range)
    }

    /// Returns `true` with a probability of 1 in `many`.
    pub(crate) fn one_in(&self, many: u64) -> bool {
        self.number(0..many) == 0
    }

    /// Sleeps for a random time below `milliseconds`.
    pub(crate) async fn pause(&self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(self.number(0..milliseconds))).await;
    }

    fn fault_if(&self, is_chaos: bool) -> Fault {
        if !is_chaos {
            return Fault::None;
        }
        match self.number(0..10) {
            0..4 => Fault::None,
            4 => Fault::SlowDrip,
            5 => Fault::LongAnswer,
            _ => FAULTS[usize::try_from(self.number(0..FAULTS.len() as u64)).expect("an index")],
        }
    }
}

/// An upstream with random outages and faults.
pub(crate) struct FaultyUpstream {
    upstream: Upstream,
    chance: Chance,
    mode: watch::Receiver<Mode>,
}

impl FaultyUpstream {
    pub(crate) async fn new(chance: &Chance, mode: &watch::Receiver<Mode>) -> Self {
        let (chance, mode) = (chance.clone(), mode.clone());
        let upstream = start(Upstream::builder(), &chance, &mode).await;
        Self { upstream, chance, mode }
    }

    pub(crate) fn url(&self) -> String {
        self.upstream.url()
    }

    /// Closes all connections, and refuses new ones for `outage`.
    pub(crate) async fn restart(self, outage: Duration) -> Self {
        let Self { upstream, chance, mode } = self;
        let socket = upstream.kill().await;
        tokio::time::sleep(outage).await;
        let upstream = start(Upstream::builder().listen_on(socket), &chance, &mode).await;
        Self { upstream, chance, mode }
    }

    /// Has outages until the mode is no longer [`Mode::Chaos`].
    pub(crate) async fn run_chaos(mut self) -> Self {
        loop {
            let uptime = Duration::from_millis(self.chance.number(UP_MS));
            let mode_change = self.mode.wait_for(|mode| !matches!(mode, Mode::Chaos));
            if tokio::time::timeout(uptime, mode_change).await.is_ok() {
                return self;
            }
            let outage = Duration::from_millis(self.chance.number(DOWN_MS));
            self = self.restart(outage).await;
        }
    }

    /// Waits until at most `limit` connections are open.
    pub(crate) async fn wait_for_open_connections(&self, limit: usize) {
        self.upstream.wait_for_open_connections(limit).await;
    }
}

async fn start(builder: UpstreamBuilder, chance: &Chance, mode: &watch::Receiver<Mode>) -> Upstream {
    let (chance, mode) = (chance.clone(), mode.clone());
    builder
        .allow_incomplete_requests()
        .scripted(move |connection| script(connection, chance.clone(), mode.clone()))
        .await
}

async fn script(mut connection: Connection, chance: Chance, mode: watch::Receiver<Mode>) {
    loop {
        match exchange(&mut connection, &chance, &mode).await {
            Ok(Next::Continue) => {}
            Ok(Next::Reset) => return connection.reset(),
            // An error means that the relay has closed the connection.
            Ok(Next::Close) | Err(_) => return,
        }
    }
}

/// The next step of a connection after an answer.
enum Next {
    Continue,
    Close,
    Reset,
}

/// Receives and answers one request.
async fn exchange(
    connection: &mut Connection,
    chance: &Chance,
    mode: &watch::Receiver<Mode>,
) -> io::Result<Next> {
    let Some(request) = connection.receive_head().await else { return Ok(Next::Close) };
    let is_chaos = matches!(*mode.borrow(), Mode::Chaos);
    if request.method == "HEAD" {
        // A health check of the relay.
        connection.answer(&Answer::new(if is_chaos && chance.one_in(2) { 503 } else { 200 })).await?;
        return Ok(Next::Continue);
    }
    if is_chaos && chance.one_in(30) {
        let early = anthropic::error(413).with_header("connection", "close");
        connection.answer(&early).await?;
        return Ok(Next::Close);
    }
    let Some(body) = connection.receive_body().await else { return Ok(Next::Close) };
    let mark = Mark::of(&body);
    let fault = match chance.fault_if(is_chaos) {
        // The relay tries a rejected key only after all others, for ten minutes. If both keys of a provider were rejected
        // while its circuit is open, the requests after the chaos would go to the other providers, and it would stay open.
        Fault::Status(401, _) if request.header("x-api-key") == PROVIDER_KEY => Fault::None,
        fault => fault,
    };
    let barrier = match &*mode.borrow() {
        Mode::Barrier(barrier) => Some(Arc::clone(barrier)),
        _ => None,
    };
    if let Some(barrier) = barrier {
        barrier.wait().await;
    }
    let length = if matches!(fault, Fault::LongAnswer) { 300_000 } else { 200 };
    let reply = Reply::new("m").text(mark.answer(length));
    let events = reply.events();
    let first_events = |count: usize, ending| {
        if mark.is_stream {
            return Answer::sse(events[..count].iter().cloned()).with_ending(ending);
        }
        let text = reply.json().to_string();
        // The same part of the JSON as of the stream.
        let part = text[..text.len() * count / events.len()].to_owned();
        Answer::json(200, &json!({})).with_content_length(text.len()).with_body(part).with_ending(ending)
    };
    let answer = match fault {
        Fault::None | Fault::LongAnswer => first_events(events.len(), Ending::Clean),
        Fault::SlowDrip => {
            connection.try_send(&first_events(0, Ending::Clean).head()).await?;
            let bytes = if mark.is_stream { events.concat() } else { reply.json().to_string().into() };
            for piece in bytes.chunks(bytes.len() / 8 + 1) {
                chance.pause(MAX_PAUSE_MS).await;
                let piece = if mark.is_stream { Answer::chunk(piece) } else { piece.to_vec() };
                connection.try_send(&piece).await?;
            }
            if mark.is_stream {
                connection.try_send(b"0\r\n\r\n").await?;
            }
            return Ok(Next::Continue);
        }
        Fault::ResetAtOnce => return Ok(Next::Reset),
        Fault::CloseAtOnce => return Ok(Next::Close),
        Fault::SilentHead => {
            connection.peer_closed().await;
            return Ok(Next::Close);
        }
        Fault::SilentAfterContent => {
            connection.try_send(&Answer::event_stream().head()).await?;
            connection.try_send(&Answer::chunk(&events[..4].concat())).await?;
            connection.peer_closed().await;
            return Ok(Next::Close);
        }
        Fault::Status(status, retry_after) => {
            let (kind, message) = ("api_error", format!("scripted {status}"));
            let answer = anthropic::error_with(status, kind, &message);
            match retry_after {
                Some(after) => answer.with_header("retry-after", after),
                None => answer,
            }
        }
        Fault::Page(status) => Answer::text(status, "text/html", "<h1>Bad Gateway</h1>"),
        Fault::OverloadEvent => {
            Answer::sse([events[0].clone(), sse::error("overloaded_error", "Overloaded")])
        }
        Fault::CutBeforeContent(ending) => first_events(1, ending),
        Fault::CutAfterContent(ending) => first_events(5, ending),
        Fault::CleanEndInTheMiddle => Answer::sse(events[..5].iter().cloned()),
        Fault::Garbage => {
            connection.try_send(b"\x16\x03\x01\x00 this is not HTTP\r\n\r\n").await?;
            return Ok(Next::Close);
        }
        Fault::GarbageForChunks => {
            connection.try_send(&Answer::event_stream().head()).await?;
            connection.try_send(b"zz\r\nthis is no chunk\r\n").await?;
            return Ok(Next::Close);
        }
        Fault::HugeHeaders(length) => {
            first_events(events.len(), Ending::Clean).with_header("x-huge", "x".repeat(length))
        }
    };
    connection.answer(&answer).await?;
    Ok(match fault {
        Fault::CutBeforeContent(_) | Fault::CutAfterContent(_) => Next::Close,
        _ => Next::Continue,
    })
}
