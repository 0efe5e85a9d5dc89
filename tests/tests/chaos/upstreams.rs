//! Upstreams that fail at random, in every way possible over HTTP/1.1.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Connection, Ending, Upstream, UpstreamBuilder, sse};
use serde_json::json;
use tokio::sync::{Barrier, watch};

use crate::request::Mark;

/// The longest time that a failing upstream takes for a step.
const MILLISECONDS: u64 = 20;
/// The time for which an upstream is down, and the time for which it is up in between.
const GONE: std::ops::Range<u64> = 50..400;
const THERE: std::ops::Range<u64> = 200..1500;

/// The behaviour of all upstreams.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// Each request has a fault or none.
    Chaos,
    /// Every request is answered without a fault.
    Healthy,
    /// Requests are answered together once the barrier has all of them.
    Together(Arc<Barrier>),
}

/// The treatment of one request.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    SlowDrip,
    LongAnswer,
    ResetAtOnce,
    CloseAtOnce,
    SilentHead,
    SilentBehindContent,
    Status(u16, Option<&'static str>),
    Page(u16),
    OverloadEvent,
    CutBeforeContent(Ending),
    CutBehindContent(Ending),
    CleanEndInTheMiddle,
    Garbage,
    GarbageForChunks,
    HugeHeaders(usize),
}

/// Faults that many upstreams have are more likely than faults of few. If one has a fault, the others have to answer.
const FAULTS: [Fault; 27] = [
    Fault::ResetAtOnce,
    Fault::CloseAtOnce,
    Fault::SilentHead,
    Fault::SilentBehindContent,
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
    Fault::CutBehindContent(Ending::Fin),
    Fault::CutBehindContent(Ending::Reset),
    Fault::CleanEndInTheMiddle,
    Fault::Garbage,
    Fault::GarbageForChunks,
    Fault::HugeHeaders(100_000),
    Fault::HugeHeaders(1_000_000),
];

/// A source of random numbers. Equal seeds give equal numbers, apart from the order of concurrent draws.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Arc<Mutex<Rng>>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Rng::with_seed(seed))))
    }

    pub(crate) fn number(&self, range: std::ops::Range<u64>) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).u64(range)
    }

    /// Returns `true` with the given odds: one time in so many.
    pub(crate) fn one_in(&self, many: u64) -> bool {
        self.number(0..many) == 0
    }

    pub(crate) async fn pause(&self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(self.number(0..milliseconds))).await;
    }

    fn fault(&self) -> Fault {
        match self.number(0..10) {
            0..4 => Fault::None,
            4 => Fault::SlowDrip,
            5 => Fault::LongAnswer,
            _ => FAULTS[usize::try_from(self.number(0..FAULTS.len() as u64)).expect("an index")],
        }
    }
}

/// One upstream that is killed and restarted.
pub(crate) struct Restless {
    upstream: Upstream,
    chance: Chance,
    mood: watch::Receiver<Mood>,
}

impl Restless {
    pub(crate) async fn new(chance: &Chance, mood: &watch::Receiver<Mood>) -> Self {
        let (chance, mood) = (chance.clone(), mood.clone());
        let upstream = start(Upstream::builder(), &chance, &mood).await;
        Self { upstream, chance, mood }
    }

    pub(crate) fn url(&self) -> String {
        self.upstream.url()
    }

    /// Ends all connections, and stays down for this time.
    pub(crate) async fn restart(self, gone: Duration) -> Self {
        let Self { upstream, chance, mood } = self;
        let socket = upstream.kill().await;
        tokio::time::sleep(gone).await;
        let upstream = start(Upstream::builder().listen_on(socket), &chance, &mood).await;
        Self { upstream, chance, mood }
    }

    /// Stops and restarts the upstream as long as the mood is chaos.
    pub(crate) async fn live(mut self) -> Self {
        loop {
            let there = Duration::from_millis(self.chance.number(THERE));
            let calm = self.mood.wait_for(|mood| !matches!(mood, Mood::Chaos));
            if tokio::time::timeout(there, calm).await.is_ok() {
                return self;
            }
            let gone = Duration::from_millis(self.chance.number(GONE));
            self = self.restart(gone).await;
        }
    }

    /// Waits until no more connections are open than this.
    pub(crate) async fn wait_for_open_connections(&self, most: usize) {
        self.upstream.wait_for_open_connections(most).await;
    }
}

async fn start(builder: UpstreamBuilder, chance: &Chance, mood: &watch::Receiver<Mood>) -> Upstream {
    let (chance, mood) = (chance.clone(), mood.clone());
    builder
        .allow_incomplete_requests()
        .scripted(move |connection| script(connection, chance.clone(), mood.clone()))
        .await
}

async fn script(mut connection: Connection, chance: Chance, mood: watch::Receiver<Mood>) {
    loop {
        match exchange(&mut connection, &chance, &mood).await {
            Ok(Then::GoOn) => {}
            Ok(Then::Reset) => return connection.reset(),
            // An error means that the relay has closed the connection.
            Ok(Then::Close) | Err(_) => return,
        }
    }
}

/// The treatment of a connection after an answer.
enum Then {
    GoOn,
    Close,
    Reset,
}

/// Takes and answers one request.
async fn exchange(
    connection: &mut Connection,
    chance: &Chance,
    mood: &watch::Receiver<Mood>,
) -> io::Result<Then> {
    let Some(request) = connection.receive_head().await else { return Ok(Then::Close) };
    let is_chaos = matches!(*mood.borrow(), Mood::Chaos);
    if request.method == "HEAD" {
        // The relay probes the upstream.
        connection.answer(&Answer::new(if is_chaos && chance.one_in(2) { 503 } else { 200 })).await?;
        return Ok(Then::GoOn);
    }
    if is_chaos && chance.one_in(30) {
        let early = anthropic::error(413).with_header("connection", "close");
        connection.answer(&early).await?;
        return Ok(Then::Close);
    }
    let Some(body) = connection.receive_body().await else { return Ok(Then::Close) };
    let mark = Mark::of(&body);
    let fault = if is_chaos { chance.fault() } else { Fault::None };
    let together = match &*mood.borrow() {
        Mood::Together(barrier) => Some(Arc::clone(barrier)),
        _ => None,
    };
    if let Some(barrier) = together {
        barrier.wait().await;
    }
    let length = if matches!(fault, Fault::LongAnswer) { 300_000 } else { 200 };
    let reply = Reply::new("m").text(mark.answer(length));
    let events = reply.events();
    let whole = |count: usize, ending| {
        if mark.is_stream {
            return Answer::sse(events[..count].iter().cloned()).with_ending(ending);
        }
        let text = reply.json().to_string();
        // As much of it as there is of the stream.
        let part = text[..text.len() * count / events.len()].to_owned();
        Answer::json(200, &json!({})).with_content_length(text.len()).with_body(part).with_ending(ending)
    };
    let answer = match fault {
        Fault::None | Fault::LongAnswer => whole(events.len(), Ending::Clean),
        Fault::SlowDrip => {
            connection.try_send(&whole(0, Ending::Clean).head()).await?;
            let bytes = if mark.is_stream { events.concat() } else { reply.json().to_string().into() };
            for piece in bytes.chunks(bytes.len() / 8 + 1) {
                chance.pause(MILLISECONDS).await;
                let piece = if mark.is_stream { Answer::chunk(piece) } else { piece.to_vec() };
                connection.try_send(&piece).await?;
            }
            if mark.is_stream {
                connection.try_send(b"0\r\n\r\n").await?;
            }
            return Ok(Then::GoOn);
        }
        Fault::ResetAtOnce => return Ok(Then::Reset),
        Fault::CloseAtOnce => return Ok(Then::Close),
        Fault::SilentHead => {
            connection.peer_closed().await;
            return Ok(Then::Close);
        }
        Fault::SilentBehindContent => {
            connection.try_send(&Answer::event_stream().head()).await?;
            connection.try_send(&Answer::chunk(&events[..4].concat())).await?;
            connection.peer_closed().await;
            return Ok(Then::Close);
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
        Fault::CutBeforeContent(ending) => whole(1, ending),
        Fault::CutBehindContent(ending) => whole(5, ending),
        Fault::CleanEndInTheMiddle => Answer::sse(events[..5].iter().cloned()),
        Fault::Garbage => {
            connection.try_send(b"\x16\x03\x01\x00 this is not HTTP\r\n\r\n").await?;
            return Ok(Then::Close);
        }
        Fault::GarbageForChunks => {
            connection.try_send(&Answer::event_stream().head()).await?;
            connection.try_send(b"zz\r\nthis is no chunk\r\n").await?;
            return Ok(Then::Close);
        }
        Fault::HugeHeaders(length) => {
            whole(events.len(), Ending::Clean).with_header("x-huge", "x".repeat(length))
        }
    };
    connection.answer(&answer).await?;
    Ok(match fault {
        Fault::CutBeforeContent(_) | Fault::CutBehindContent(_) => Then::Close,
        _ => Then::GoOn,
    })
}
