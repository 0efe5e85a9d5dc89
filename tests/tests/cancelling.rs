//! Clients that disconnect at any stage of a request: the relay cancels the upstream request and releases all it held.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Client, Connection, Http2Client, Relay, Upstream, provider, within_limit};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The time within which the upstream has to see the disconnection.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The stage of a request when its client disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The upstream has the request, and has not begun to answer.
    BeforeTheHead,
    /// The upstream streams, and nothing of it has gone to the client: another provider could still answer.
    HeldBack,
    /// The client has the first half of a stream.
    InMidStream,
    /// The upstream answers in one piece, and nothing of it has gone to the client: it may be an error in disguise.
    HeldInOnePiece,
    /// The client has the first half of an answer in one piece, a long one.
    WithinOnePiece,
    /// The upstream returns an error, and has not sent all of it.
    WithinAnError,
}

const PLACES: [Place; 6] = [
    Place::BeforeTheHead,
    Place::HeldBack,
    Place::InMidStream,
    Place::HeldInOnePiece,
    Place::WithinOnePiece,
    Place::WithinAnError,
];

impl Place {
    /// Returns `true` if the client has received part of the answer.
    fn has_begun(self) -> bool {
        matches!(self, Self::InMidStream | Self::WithinOnePiece)
    }

    fn is_stream(self) -> bool {
        !matches!(self, Self::HeldInOnePiece | Self::WithinOnePiece)
    }

    /// Brings the request to this stage.
    async fn reach(self, connection: &mut Connection) {
        let length = if self == Self::WithinOnePiece { 400_000 } else { 400 };
        let reply = Reply::new("claude-opus-5-5").text("x".repeat(length));
        let events = reply.events();
        match self {
            Self::BeforeTheHead => {}
            Self::HeldBack => {
                connection.send_head(&Answer::event_stream()).await;
                connection.send_chunk(&events[0]).await;
            }
            Self::InMidStream => {
                connection.send_head(&Answer::event_stream()).await;
                connection.send_chunk(&events[..4].concat()).await;
            }
            Self::HeldInOnePiece | Self::WithinOnePiece => {
                let text = reply.json().to_string();
                connection.send_head(&Answer::json(200, &json!({})).with_content_length(text.len())).await;
                connection.send(&text.as_bytes()[..text.len() / 2]).await;
            }
            Self::WithinAnError => {
                connection.send_head(&anthropic::error(500).with_content_length(1000)).await;
                connection.send(br#"{"type":"error","#).await;
            }
        }
    }
}

/// A client that will disconnect.
enum Leaving {
    Fin(Client),
    Reset(Client),
    /// It resets its stream, and keeps its connection.
    Http2(Arc<Http2Client>, JoinHandle<()>, mpsc::UnboundedReceiver<()>),
}

impl Leaving {
    const WAYS: usize = 3;

    async fn send(way: usize, relay: &Relay, body: String) -> Self {
        if way == 2 {
            let client = Arc::new(Http2Client::connect(relay.address()).await);
            let (got, data) = mpsc::unbounded_channel();
            let asking = Arc::clone(&client);
            let asking = tokio::spawn(async move {
                let mut answer = asking.post("/v1/messages", body).await.expect("an answer");
                while let Ok(Some(_)) = answer.data().await {
                    // An error means that the test has seen enough.
                    let _ = got.send(());
                }
            });
            return Self::Http2(client, asking, data);
        }
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(body)).await;
        if way == 0 { Self::Fin(client) } else { Self::Reset(client) }
    }

    /// Waits until some of the answer's body is there.
    async fn receive(&mut self) {
        match self {
            Self::Fin(client) | Self::Reset(client) => {
                client.head().await;
                client.chunk().await.expect("the first half");
            }
            Self::Http2(_, _, data) => within_limit("first half", data.recv()).await.expect("the first half"),
        }
    }

    fn leave(self) -> (Instant, Option<Arc<Http2Client>>) {
        match self {
            Self::Fin(client) => (client.disconnect(), None),
            Self::Reset(client) => (client.reset(), None),
            Self::Http2(client, asking, _) => {
                asking.abort();
                (Instant::now(), Some(client))
            }
        }
    }
}

/// The number of tokens that the relay estimates for a request.
const TOKENS: usize = 2000;

fn body(is_stream: bool) -> String {
    let content = "x".repeat(TOKENS * 17 / 5);
    let messages = json!([{"role": "user", "content": content}]);
    json!({"model": "claude-opus-5-5", "max_tokens": 64, "messages": messages, "stream": is_stream})
        .to_string()
}

async fn state(relay: &Relay) -> Value {
    Call::get("/v1/providers").send(relay.address()).await.json()["data"][0].clone()
}

#[tokio::test]
async fn a_disconnecting_client_releases_its_resources_at_once() {
    for place in PLACES {
        for way in 0..Leaving::WAYS {
            check(place, way).await;
        }
    }
}

/// The one client that leaves has the half-open circuit's trial, and most of what the key may use in a minute.
async fn check(place: Place, way: usize) {
    let label = format!("{place:?}, way {way}");
    let first = Upstream::manual().await;
    let reply = Reply::new("claude-opus-5-5").text("second");
    let second = Upstream::answering(move |request| anthropic::message(request, &reply)).await;
    let mut limited = provider("first", "anthropic", &first.url());
    // The usage of an answer in one piece comes with its end; until then it counts as it was estimated, for good.
    let requests = if place == Place::WithinOnePiece { 2 } else { 1 };
    limited["keys"][0]["itpm_limit"] = json!(requests * TOKENS * 3 / 2);
    let relay = Relay::start(&json!({
        "server": {"max_concurrent": 1},
        "providers": [limited, provider("second", "anthropic", &second.url())],
        "health": {
            "circuit_breaker": {"failure_threshold": 1, "open_duration_ms": 100, "half_open_probes": 1},
            "health_check": {"enabled": false},
        },
    }))
    .await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(body(true))).await;
    first.exchange().await.0.reset();
    assert_eq!(client.response().await.status, 200);
    while state(&relay).await["circuit"] != "half-open" {}

    let mut leaving = Leaving::send(way, &relay, body(place.is_stream())).await;
    let (mut connection, _) = first.exchange().await;
    place.reach(&mut connection).await;
    if place.has_begun() {
        leaving.receive().await;
    }
    assert_eq!(state(&relay).await["in_flight"], 1, "{label}");
    let (left, _still_connected) = leaving.leave();
    let seen = connection.peer_closed().await;
    assert!(seen - left < AT_ONCE, "{label}: {:?}", seen - left);
    let after = state(&relay).await;
    assert_eq!(after["in_flight"], 0, "{label}");
    assert_eq!(after["circuit"], if place.has_begun() { "closed" } else { "half-open" }, "{label}");

    // The trial, the tokens and the place are free for the next request.
    let mut next = Client::connect(relay.address()).await;
    next.call(&Call::messages(body(true))).await;
    let (mut connection, request) = first.exchange().await;
    let answer = anthropic::message(&request, &Reply::new("claude-opus-5-5").text("first"));
    connection.answer(&answer).await.expect("the relay listens");
    assert_eq!(
        next.response().await.events().last().map(|event| event.name.clone()),
        Some("message_stop".into())
    );
    assert_eq!(state(&relay).await["in_flight"], 0, "{label}");
    assert_eq!(second.requests().len(), 1, "{label}");
}
