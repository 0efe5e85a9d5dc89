//! A provider fails while fifty clients stream. Each kind of failure has a row in a table of what the clients received.
//!
//! Every request has a mark of its own that the upstreams put into their answers. It shows an answer that is lost,
//! doubled, swapped or joined from two. Clients behave as Claude Code does: after a connection that breaks off they
//! repeat the request and drop the part of the answer that they had received.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{
    Answer, Call, CertificateAuthority, Client, Connection, End, Ending, Relay, Request, Upstream, provider,
    sse, within_limit,
};
use serde_json::json;
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;

const CLIENTS: usize = 50;
/// The maximum number of requests until an answer is complete.
const TRIES: usize = 4;
/// The events up to and with the first half of the text.
const HALF: usize = 4;

/// The way in which the primary fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Its process is killed: streams break off, and connections are refused.
    Refuses,
    /// The upstream restarts with a certificate that is not trusted.
    FailsInTls,
    /// It accepts requests and does not answer.
    Stalls,
    /// It answers with this status.
    Answers(u16),
    /// It reports an overload in an error event after a 200.
    IsOverloaded,
    /// Its streams end before their content.
    CutsBeforeContent,
    /// Its streams end within their content, including those in progress.
    CutsAfterContent,
}

impl Death {
    const ALL: [Self; 9] = [
        Self::Refuses,
        Self::FailsInTls,
        Self::Stalls,
        Self::Answers(429),
        Self::Answers(500),
        Self::Answers(529),
        Self::IsOverloaded,
        Self::CutsBeforeContent,
        Self::CutsAfterContent,
    ];

    /// Returns `true` if streams in progress break off.
    fn breaks_streams(self) -> bool {
        matches!(self, Self::Refuses | Self::FailsInTls | Self::CutsAfterContent)
    }

    /// Returns `true` if the failure counts for the circuit breaker. Rate limits and overloads are tracked separately.
    fn opens_the_circuit(self) -> bool {
        !matches!(self, Self::Answers(429 | 529) | Self::IsOverloaded)
    }
}

/// The result of one request, as its client saw it.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Connections that broke off.
    breaks: usize,
    /// True if the complete answer came from the primary.
    is_primarys: bool,
}

/// The mark of a request: the whole text of its message.
fn mark(request: &Request) -> String {
    request.json()["messages"][0]["content"].as_str().expect("a mark").to_owned()
}

/// The text of an answer. It names its provider in both halves, so that halves of two answers are recognised.
fn text(name: &str, mark: &str) -> String {
    format!("{name} answers {mark} in full, and {mark} has the answer of {name}")
}

fn events(name: &str, mark: &str) -> Vec<bytes::Bytes> {
    Reply::new("claude-opus-5-5").text(text(name, mark)).events()
}

/// Serves a connection of the primary. Until its failure is chosen, it stops in the middle of each stream.
async fn primary(mut connection: Connection, mut death: watch::Receiver<Option<Death>>) {
    while let Some(request) = connection.receive().await {
        let events = events("primary", &mark(&request));
        let now = *death.borrow();
        let answer = match now {
            None => {
                connection.send_head(&Answer::event_stream()).await;
                connection.send_chunk(&events[..HALF].concat()).await;
                let now = *death.wait_for(Option::is_some).await.expect("the test continues");
                if now == Some(Death::CutsAfterContent) {
                    return;
                }
                connection.send_chunk(&events[HALF..].concat()).await;
                connection.send_last_chunk().await;
                continue;
            }
            Some(Death::Answers(status)) => anthropic::error(status),
            Some(Death::IsOverloaded) => {
                Answer::sse([events[0].clone(), sse::error("overloaded_error", "Overloaded")])
            }
            Some(Death::CutsBeforeContent) => {
                Answer::sse(events.into_iter().take(1)).with_ending(Ending::Fin)
            }
            Some(Death::CutsAfterContent) => {
                Answer::sse(events.into_iter().take(HALF)).with_ending(Ending::Fin)
            }
            Some(Death::Stalls | Death::Refuses | Death::FailsInTls) => {
                connection.peer_closed().await;
                return;
            }
        };
        if connection.answer(&answer).await.is_err() {
            return;
        }
    }
}

/// One of the fifty clients, with its own session.
struct Session {
    relay: SocketAddr,
    session: String,
}

impl Session {
    fn call(&self, mark: &str) -> Call {
        let body = json!({
            "model": "claude-opus-5-5", "max_tokens": 64, "stream": true,
            "messages": [{"role": "user", "content": mark}],
        });
        Call::messages(body.to_string()).header("x-claude-code-session-id", &self.session)
    }

    /// Repeats the request until an answer is complete. Waits at `halfway` after the first chunk of the first answer.
    async fn send(&self, mark: &str, mut halfway: Option<Arc<Barrier>>) -> Seen {
        let mut seen = Seen::default();
        for _ in 0..TRIES {
            let mut client = Client::connect(self.relay).await;
            client.call(&self.call(mark)).await;
            let head = client.head().await;
            assert_eq!(head.status, 200, "{mark}: {head:?}");
            let mut body = Vec::new();
            while let Some(chunk) = client.chunk().await {
                body.extend_from_slice(&chunk);
                if let Some(halfway) = halfway.take() {
                    halfway.wait().await;
                }
            }
            if client.end() == Some(End::Complete) {
                seen.is_primarys = assert_whole(&body, mark);
                return seen;
            }
            seen.breaks += 1;
        }
        panic!("{mark}: no whole answer in {TRIES} tries");
    }
}

/// Asserts that `body` is one complete answer to this request. Returns `true` if it is the primary's.
#[track_caller]
fn assert_whole(body: &[u8], mark: &str) -> bool {
    let events = sse::parse(body);
    let count = |name: &str| events.iter().filter(|event| event.name == name).count();
    assert_eq!(
        (count("message_start"), count("message_stop"), count("error")),
        (1, 1, 0),
        "{mark}: {events:?}"
    );
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("message_stop"), "{mark}");
    let deltas = events.iter().map(sse::Event::json);
    let found: String =
        deltas.filter_map(|event| Some(event["delta"]["text"].as_str()?.to_owned())).collect();
    let is_primarys = found == text("primary", mark);
    assert!(is_primarys || found == text("secondary", mark), "{mark} got {found:?}");
    is_primarys
}

/// A relay before a primary, which dies when all clients are in the middle of its answers, and a secondary.
async fn outage(death: Death) -> Row {
    let (choose, chosen) = watch::channel(None);
    let (trusted, stranger) = (CertificateAuthority::new(), CertificateAuthority::new());
    let script = move |connection| primary(connection, chosen.clone());
    let mut upstream = Upstream::builder();
    if death == Death::FailsInTls {
        upstream = upstream.tls(&trusted);
    }
    let upstream = upstream.scripted(script.clone()).await;
    let secondary = Upstream::answering(|request| Answer::sse(events("secondary", &mark(request)))).await;
    let mut first = provider("primary", "anthropic", &upstream.url());
    first["priority"] = json!(2);
    first["keys"][0]["priority"] = json!(2);
    // Only a silent primary takes this long. It is far longer than a busy machine needs for an answer.
    first["first_byte_timeout_ms"] = json!(3000);
    first["ca_file"] = json!(trusted.ca_file());
    let relay = Relay::start(&json!({
        "providers": [first, provider("secondary", "anthropic", &secondary.url())],
        "health": {"circuit_breaker": {"failure_threshold": 5}, "health_check": {"enabled": false}},
    }))
    .await;

    let halfway = Arc::new(Barrier::new(CLIENTS + 1));
    let dead = Arc::new(Barrier::new(CLIENTS + 1));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Session { relay: relay.address(), session: format!("session-{number}") };
        let (halfway, dead) = (Arc::clone(&halfway), Arc::clone(&dead));
        clients.spawn(async move {
            let under_way = client.send(&format!("under-way-{number}"), Some(halfway)).await;
            dead.wait().await;
            (under_way, client.send(&format!("after-{number}"), None).await)
        });
    }
    within_limit("answers to all clients", halfway.wait()).await;
    let before = upstream.requests().len();
    // A successor that listens at the primary's address lives until the clients are done.
    let (primary, before, _gone) = match death {
        Death::Refuses => (None, 0, Some(upstream.kill().await)),
        Death::FailsInTls => {
            let successor = Upstream::builder().listen_on(upstream.kill().await).tls(&stranger);
            (Some(successor.scripted(script).await), 0, None)
        }
        _ => (Some(upstream), before, None),
    };
    choose.send_replace(Some(death));
    within_limit("end of all streams", dead.wait()).await;
    let clients = within_limit("end of all clients", clients.join_all()).await;
    let (under_way, after) = clients.into_iter().unzip();

    let mut taken_over = BTreeMap::<String, usize>::new();
    for request in secondary.requests() {
        *taken_over.entry(mark(&request)).or_default() += 1;
    }
    assert!(taken_over.values().all(|&times| times == 1), "{death:?}: answered twice: {taken_over:?}");
    let providers = Call::get("/v1/providers").send(relay.address()).await.json();
    let circuit = providers["data"][0]["circuit"].as_str().expect("a state").to_owned();
    let received = primary.map_or(0, |primary| primary.requests().len() - before);
    Row { death, under_way, after, received, taken_over: taken_over.len(), circuit }
}

/// The results of one failure of the primary.
struct Row {
    death: Death,
    /// The results of the requests whose answers were in progress at the failure.
    under_way: Vec<Seen>,
    /// The results of the requests sent after the failure.
    after: Vec<Seen>,
    /// Requests that the primary received after its failure.
    received: usize,
    /// Requests that the secondary received.
    taken_over: usize,
    circuit: String,
}

impl Row {
    fn assert(&self) {
        let death = self.death;
        let broken = self.under_way.iter().filter(|seen| seen.breaks > 0).count();
        assert_eq!(broken, if death.breaks_streams() { CLIENTS } else { 0 }, "{death:?}");
        for seen in &self.under_way {
            assert_eq!(seen.is_primarys, !death.breaks_streams(), "{death:?}");
            assert!(seen.breaks <= 1, "{death:?}: the second try must be complete");
        }
        for seen in &self.after {
            assert!(
                seen.breaks == 0 && !seen.is_primarys,
                "{death:?}: the secondary must answer without a break"
            );
        }
        assert_eq!(self.circuit == "open", death.opens_the_circuit(), "{death:?}: {}", self.circuit);
    }

    fn write(&self, table: &mut String) {
        let at_once = |seen: &[Seen]| seen.iter().filter(|seen| seen.breaks == 0).count();
        let (under_way, after) = (at_once(&self.under_way), at_once(&self.after));
        let (death, cut) = (format!("{:?}", self.death), CLIENTS - under_way);
        let (received, taken_over, circuit) = (self.received, self.taken_over, &self.circuit);
        table.push_str(&format!(
            "{death:18} {under_way:3} whole {cut:3} cut, then whole {after:7} whole {received:9} {taken_over:10}  {circuit}\n"
        ));
    }
}

#[tokio::test]
async fn no_answer_is_lost_or_doubled_in_any_failure_of_the_primary() {
    let mut table = format!(
        "\n{:18} {CLIENTS} streams under way     {CLIENTS} after them    primary  secondary  circuit\n",
        "failure"
    );
    for death in Death::ALL {
        let row = outage(death).await;
        row.write(&mut table);
        row.assert();
    }
    // One write, which the test runner does not capture. A failed write loses only the table.
    let _ = std::io::stderr().write_all(table.as_bytes());
}
