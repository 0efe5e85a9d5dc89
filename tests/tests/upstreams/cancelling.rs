//! Clients that disconnect at any stage of a request: the relay closes the connection to the upstream at once, and
//! releases everything that the request held.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Client, Connection, Http2Client, Relay, Upstream, provider, within_limit};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The time limit for the upstream to see the disconnect.
const DISCONNECT_LIMIT: Duration = Duration::from_millis(100);

/// The stage of a request at which its client disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The upstream has received the request, and has not begun to answer.
    BeforeTheHead,
    /// The upstream streams, but the relay still holds the stream back, since it may fail over.
    StreamHeldBack,
    /// The client has received the first half of a stream.
    WithinStream,
    /// The upstream sends JSON, but the relay still holds it back, since it may contain an error.
    JsonHeldBack,
    /// The relay holds the first half of long JSON.
    LongJsonHeldBack,
    /// The upstream has sent part of an error.
    WithinError,
}

const STAGES: [Stage; 6] = [
    Stage::BeforeTheHead,
    Stage::StreamHeldBack,
    Stage::WithinStream,
    Stage::JsonHeldBack,
    Stage::LongJsonHeldBack,
    Stage::WithinError,
];

impl Stage {
    /// True if the client has received part of the answer.
    fn has_content(self) -> bool {
        self == Self::WithinStream
    }

    fn is_stream(self) -> bool {
        !matches!(self, Self::JsonHeldBack | Self::LongJsonHeldBack)
    }

    /// Sends the part of the answer that brings the request to this stage.
    async fn reach(self, connection: &mut Connection) {
        let length = if self == Self::LongJsonHeldBack { 400_000 } else { 400 };
        let reply = Reply::new("claude-opus-5-5").text("x".repeat(length));
        let events = reply.events();
        match self {
            Self::BeforeTheHead => {}
            Self::StreamHeldBack => {
                connection.send_head(&Answer::event_stream()).await;
                connection.send_chunk(&events[0]).await;
            }
            Self::WithinStream => {
                connection.send_head(&Answer::event_stream()).await;
                connection.send_chunk(&events[..4].concat()).await;
            }
            Self::JsonHeldBack | Self::LongJsonHeldBack => {
                let text = reply.json().to_string();
                connection.send_head(&Answer::json(200, &json!({})).with_content_length(text.len())).await;
                connection.send(&text.as_bytes()[..text.len() / 2]).await;
            }
            Self::WithinError => {
                connection.send_head(&anthropic::error(500).with_content_length(1000)).await;
                connection.send(br#"{"type":"error","#).await;
            }
        }
    }
}

/// A client that is going to disconnect.
enum Disconnecting {
    /// A client that closes its connection with FIN.
    Fin(Client),
    /// A client that resets its connection with RST.
    Reset(Client),
    /// A client that resets its HTTP/2 stream and keeps its connection.
    Http2(Arc<Http2Client>, JoinHandle<()>, mpsc::UnboundedReceiver<()>),
}

impl Disconnecting {
    const WAYS: usize = 3;

    async fn send(way: usize, relay: &Relay, body: String) -> Self {
        if way == 2 {
            let client = Arc::new(Http2Client::connect(relay.address()).await);
            let (received, data) = mpsc::unbounded_channel();
            let sender = Arc::clone(&client);
            let exchange = tokio::spawn(async move {
                let mut answer = sender.post("/v1/messages", body).await.expect("an answer");
                while let Ok(Some(_)) = answer.data().await {
                    // An error means that the test no longer reads.
                    let _ = received.send(());
                }
            });
            return Self::Http2(client, exchange, data);
        }
        let mut client = Client::connect(relay.address()).await;
        client.call(&Call::messages(body)).await;
        if way == 0 { Self::Fin(client) } else { Self::Reset(client) }
    }

    /// Waits until part of the answer's body has arrived.
    async fn receive(&mut self) {
        match self {
            Self::Fin(client) | Self::Reset(client) => {
                client.head().await;
                client.chunk().await.expect("the first half");
            }
            Self::Http2(_, _, data) => within_limit("first half", data.recv()).await.expect("the first half"),
        }
    }

    fn disconnect(self) -> (Instant, Option<Arc<Http2Client>>) {
        match self {
            Self::Fin(client) => (client.disconnect(), None),
            Self::Reset(client) => (client.reset(), None),
            Self::Http2(client, exchange, _) => {
                exchange.abort();
                (Instant::now(), Some(client))
            }
        }
    }
}

/// The relay's estimate of the input tokens of a request.
const ESTIMATED_TOKENS: usize = 2000;

fn body(is_stream: bool) -> String {
    let content = "x".repeat(ESTIMATED_TOKENS * 17 / 5);
    let messages = json!([{"role": "user", "content": content}]);
    json!({"model": "claude-opus-5-5", "max_tokens": 64, "messages": messages, "stream": is_stream})
        .to_string()
}

async fn provider_state(relay: &Relay) -> Value {
    Call::get("/v1/providers").send(relay.address()).await.json()["data"][0].clone()
}

#[tokio::test]
async fn a_disconnect_closes_the_upstream_connection_and_releases_all_resources() {
    for stage in STAGES {
        for way in 0..Disconnecting::WAYS {
            check(stage, way).await;
        }
    }
}

/// Checks a client that disconnects while it holds the probe of a half-open circuit and most of the key's tokens per
/// minute.
async fn check(stage: Stage, way: usize) {
    let label = format!("{stage:?}, way {way}");
    let first = Upstream::manual().await;
    let reply = Reply::new("claude-opus-5-5").text("second");
    let second = Upstream::answering(move |request| anthropic::message(request, &reply)).await;
    let mut limited = provider("first", "anthropic", &first.url());
    limited["keys"][0]["itpm_limit"] = json!(ESTIMATED_TOKENS * 3 / 2);
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
    while provider_state(&relay).await["circuit"] != "half-open" {}

    let mut client = Disconnecting::send(way, &relay, body(stage.is_stream())).await;
    let (mut connection, _) = first.exchange().await;
    stage.reach(&mut connection).await;
    if stage.has_content() {
        client.receive().await;
    }
    assert_eq!(provider_state(&relay).await["in_flight"], 1, "{label}");
    let (disconnected, _connection) = client.disconnect();
    let closed = connection.peer_closed().await;
    assert!(closed - disconnected < DISCONNECT_LIMIT, "{label}: {:?}", closed - disconnected);
    let after = provider_state(&relay).await;
    assert_eq!(after["in_flight"], 0, "{label}");
    assert_eq!(after["circuit"], if stage.has_content() { "closed" } else { "half-open" }, "{label}");

    // The probe, the tokens and the concurrency slot are free for the next request.
    let mut next = Client::connect(relay.address()).await;
    next.call(&Call::messages(body(true))).await;
    let (mut connection, request) = first.exchange().await;
    let answer = anthropic::message(&request, &Reply::new("claude-opus-5-5").text("first"));
    connection.answer(&answer).await.expect("the relay listens");
    assert_eq!(
        next.response().await.events().last().map(|event| event.name.clone()),
        Some("message_stop".into())
    );
    assert_eq!(provider_state(&relay).await["in_flight"], 0, "{label}");
    assert_eq!(second.requests().len(), 1, "{label}");
}
