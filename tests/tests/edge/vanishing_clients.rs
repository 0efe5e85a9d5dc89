//! Clients that disconnect before an upstream has their request: the relay holds nothing for them any longer.
//! `upstreams/cancelling.rs` has the stages after that.

use std::sync::Arc;
use std::time::Duration;

use relay_server::{RecordHandle, RecordSubscriber, RequestRecord};
use relay_tests::fakes::anthropic;
use relay_tests::{Call, Client, Connection, Http2Client, PROVIDER_KEY, Relay, Upstream, provider, within};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;
/// The time for which a client would wait. It is longer than the test.
const WAIT_MS: u64 = 60_000;
/// The time in which everything that a request held is free.
const FREED: Duration = Duration::from_secs(5);

/// The stage of a request at which its client disconnects.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// Part of the body has arrived.
    Body,
    /// Part of a body has arrived that passes through the relay to the upstream.
    PassingBody,
    /// The request waits for a key to be within its limits.
    Key,
    /// The request waits for a connection to the upstream.
    Connecting,
    /// The first provider has failed, and the second one has not answered.
    SecondProvider,
}

const STAGES: [Stage; 5] =
    [Stage::Body, Stage::PassingBody, Stage::Key, Stage::Connecting, Stage::SecondProvider];

impl Stage {
    /// The bytes of the request.
    fn call(self) -> Vec<u8> {
        match self {
            Self::Body => {
                let head = Call::messages("").header("content-length", "1000").head("localhost");
                [&head, &BODY.as_bytes()[..10]].concat()
            }
            Self::PassingBody => {
                let head = Call::post("/v1/files").header("content-length", "1000").head("localhost");
                [&head, &b"part"[..]].concat()
            }
            _ => Call::messages(BODY).bytes("localhost"),
        }
    }

    /// Sends the request over HTTP/2, and waits for its answer.
    async fn send_http2(self, client: &Http2Client) {
        match self {
            Self::Body => drop(client.post_part("/v1/messages", &BODY[..10]).await.await),
            Self::PassingBody => drop(client.post_part("/v1/files", "part").await.await),
            _ => drop(client.post("/v1/messages", BODY).await),
        }
    }
}

/// The upstreams of a stage.
struct Upstreams {
    first: Upstream,
    second: Upstream,
    /// A listener whose queue is full, with the connections in it.
    full: (tokio::net::TcpListener, Vec<TcpStream>),
}

impl Upstreams {
    async fn start(stage: Stage) -> Self {
        let first = Upstream::builder().allow_incomplete_requests();
        let first = first.scripted(move |mut connection: Connection| async move {
            while connection.receive().await.is_some() {
                let status = if stage == Stage::SecondProvider { 500 } else { 404 };
                if connection.answer(&anthropic::error(status)).await.is_err() {
                    return;
                }
            }
        });
        Self { first: first.await, second: Upstream::manual().await, full: full_listener().await }
    }

    fn config(&self, stage: Stage) -> Value {
        let mut first = provider("first", "anthropic", &self.first.url());
        match stage {
            Stage::Key => {
                first["keys"] = json!([{"key": PROVIDER_KEY, "rpm_limit": 1}]);
                first["pooling"] = json!({"max_wait_ms": WAIT_MS});
            }
            Stage::Connecting => {
                first["base_url"] = json!(format!("http://{}", self.full.0.local_addr().unwrap()));
                first["connect_timeout_ms"] = json!(WAIT_MS);
            }
            _ => {}
        }
        let second = provider("second", "anthropic", &self.second.url());
        let providers = if stage == Stage::SecondProvider { vec![first, second] } else { vec![first] };
        json!({
            "server": {"max_concurrent": 1, "timeout_ms": WAIT_MS},
            "providers": providers,
            "routing": {"failover_timeout": WAIT_MS},
            "health": {"health_check": {"enabled": false}, "circuit_breaker": {"failure_threshold": 100}},
        })
    }
}

/// Returns a listener that never accepts, and has no room in its queue.
async fn full_listener() -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    let connect = || {
        tokio::time::timeout(
            Duration::from_millis(50),
            TcpStream::connect(listener.local_addr().expect("a bound socket has an address")),
        )
    };
    while let Ok(connected) = connect().await {
        queued.push(connected.unwrap());
    }
    (listener, queued)
}

/// A client that is going to disconnect.
enum Leaving {
    Fin(Client),
    Reset(Client),
    /// A stream of HTTP/2, which is reset, and its connection, which stays.
    Http2(Arc<Http2Client>, AbortHandle),
}

impl Leaving {
    const WAYS: usize = 3;

    async fn send(way: usize, relay: &Relay, stage: Stage) -> Self {
        if way == 2 {
            let client = Arc::new(Http2Client::connect(relay.address()).await);
            let sender = Arc::clone(&client);
            let waiting = tokio::spawn(async move { stage.send_http2(&sender).await });
            return Self::Http2(client, waiting.abort_handle());
        }
        let mut client = Client::connect(relay.address()).await;
        client.send(stage.call()).await;
        if way == 0 { Self::Fin(client) } else { Self::Reset(client) }
    }

    /// Leaves, and returns a connection that stays open.
    fn leave(self) -> Option<Arc<Http2Client>> {
        match self {
            Self::Fin(client) => drop(client.disconnect()),
            Self::Reset(client) => drop(client.reset()),
            Self::Http2(client, waiting) => {
                waiting.abort();
                return Some(client);
            }
        }
        None
    }
}

/// The number of open requests.
#[derive(Clone)]
struct OpenRequests(watch::Sender<usize>);

impl OpenRequests {
    fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Waits until this number of requests is open.
    async fn until(&self, count: usize) {
        let mut open = self.0.subscribe();
        let reached = open.wait_for(|open| *open == count);
        within(FREED, "other number of open requests", reached).await.expect("the sender lives");
    }
}

impl RecordSubscriber for OpenRequests {
    fn started(&self, _: &RecordHandle) {
        self.0.send_modify(|open| *open += 1);
    }

    fn finished(&self, _: &Arc<RequestRecord>) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Returns `true` if the only place among `server.max_concurrent` is taken.
async fn is_taken(relay: &Relay) -> bool {
    Call::post("/v1/messages/count_tokens").send(relay.address()).await.status == 503
}

#[tokio::test]
async fn a_client_that_leaves_before_an_upstream_has_its_request_leaves_nothing_behind() {
    for stage in STAGES {
        let upstreams = Upstreams::start(stage).await;
        let open = OpenRequests::new();
        let relay =
            Relay::start_with(&upstreams.config(stage), |relay| relay.on_finished(open.clone())).await;
        if stage == Stage::Key {
            assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 404);
        }
        for way in 0..Leaving::WAYS {
            let client = Leaving::send(way, &relay, stage).await;
            open.until(1).await;
            assert!(is_taken(&relay).await, "{stage:?}, way {way}");
            let second = match stage {
                Stage::SecondProvider => Some(upstreams.second.exchange().await),
                _ => None,
            };
            let _connection = client.leave();
            open.until(0).await;
            assert!(!is_taken(&relay).await, "{stage:?}, way {way}");
            if let Some((mut connection, _)) = second {
                connection.peer_closed().await;
            }
            let providers = Call::get("/v1/providers").send(relay.address()).await.json();
            for provider in providers["data"].as_array().unwrap() {
                assert_eq!(provider["in_flight"], 0, "{stage:?}, way {way}: {providers:#}");
            }
            open.until(0).await;
        }
    }
}

#[tokio::test]
async fn clients_that_leave_at_every_byte_of_a_request_leave_nothing_behind() {
    let upstream = Upstream::builder().allow_incomplete_requests().answering(anthropic::answer).await;
    let open = OpenRequests::new();
    let config = json!({
        "server": {"max_concurrent": 1},
        "providers": [provider("a", "anthropic", &upstream.url())],
    });
    let relay = Relay::start_with(&config, |relay| relay.on_finished(open.clone())).await;
    let bytes = Call::messages(BODY).bytes("localhost");
    for end in 0..bytes.len() {
        let mut client = Client::connect(relay.address()).await;
        client.send(&bytes[..end]).await;
        if end % 2 == 0 {
            client.disconnect()
        } else {
            client.reset()
        };
    }
    // A whole request, so that the relay has read those before it.
    assert_eq!(Call::get("/health").send(relay.address()).await.status, 200);
    open.until(0).await;
    assert_eq!(upstream.connections(), 0);
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
}
