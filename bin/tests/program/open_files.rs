//! A relay at the limit of open files of its process. Every connection of a client and of an upstream is an open file.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use relay_tests::{Answer, Call, Client, Connection, Upstream, provider, sse, within_limit};
use serde_json::json;
use tokio::sync::watch;

use crate::measure::{cpu_time, open_files};
use crate::process::{Process, User};

/// The limit of open files. Three quarters of it are for clients.
const FILES: usize = 64;
/// The streams that are open before the files are used up.
const STREAMS: usize = 16;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
/// The time in which the relay has no free file.
const EXHAUSTED: Duration = Duration::from_secs(1);

/// Starts a relay with one provider that may open [`FILES`] files. The first failure of the provider opens its circuit.
fn relay_for(user: &User, upstream: &Upstream) -> (Process, SocketAddr) {
    let config = json!({
        "providers": [provider("a", "anthropic", &upstream.url())],
        "health": {
            "circuit_breaker": {"failure_threshold": 1, "open_duration_ms": 60_000},
            "health_check": {"enabled": false},
        },
    });
    user.write("config.yaml", &config.to_string());
    let program = user.command(&[]).get_program().to_owned();
    let line = format!("ulimit -n {FILES} && exec \"$0\" serve --config config.yaml --listen 127.0.0.1:0");
    let mut command = user.shell(&line);
    command.arg(program);
    Process::spawn(command).listening()
}

/// The two halves of a stream.
fn halves() -> (Bytes, Bytes) {
    let events = sse::recorded("anthropic/hello.sse");
    (events[..4].concat().into(), events[4..].concat().into())
}

/// Starts an upstream that sends the second half of each stream once `goes_on` is true.
async fn upstream(goes_on: watch::Receiver<bool>) -> Upstream {
    Upstream::scripted(move |connection| stream(connection, goes_on.clone())).await
}

/// Sends streams until the relay closes the connection.
async fn stream(mut connection: Connection, mut goes_on: watch::Receiver<bool>) {
    let (begin, end) = halves();
    while connection.receive().await.is_some() {
        let head = Answer::event_stream().head();
        let is_open = connection.try_send(&[head, Answer::chunk(&begin)].concat()).await.is_ok();
        // An error means that the test has ended.
        let _ = goes_on.wait_for(|goes_on| *goes_on).await;
        let last = [Answer::chunk(&end), Answer::chunk(b"")].concat();
        if !is_open || connection.try_send(&last).await.is_err() {
            return;
        }
    }
}

/// Starts a stream, and receives its first half.
async fn half_stream(address: SocketAddr) -> Client {
    let mut client = Client::connect(address).await;
    client.call(&Call::messages(STREAMED)).await;
    assert_eq!(client.head().await.status, 200);
    client.expect(&halves().0).await;
    client
}

#[tokio::test]
async fn a_lack_of_open_files_ends_no_stream_and_uses_no_cpu_time() {
    let (go_on, goes_on) = watch::channel(false);
    let upstream = upstream(goes_on).await;
    let user = User::new();
    let (mut relay, address) = relay_for(&user, &upstream);
    let mut streams = Vec::new();
    while open_files(&relay) < FILES - 1 {
        streams.push(half_stream(address).await);
    }
    assert!(streams.len() >= STREAMS, "{}", streams.len());
    // At most one of these gets a file. No connection is idle.
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(address).await;
        client.call(&Call::messages(STREAMED)).await;
        waiting.push(client);
    }
    relay.wait_for("cannot accept connections");
    let before = cpu_time(&relay);
    tokio::time::sleep(EXHAUSTED).await;
    let used = cpu_time(&relay) - before;
    assert!(used < EXHAUSTED / 2, "{used:?} of CPU time in {EXHAUSTED:?}");

    go_on.send_replace(true);
    for mut client in streams {
        client.expect(&halves().1).await;
        assert_eq!(client.chunk().await, None);
    }
    drop(waiting);
    // An open circuit would last for longer than the limit of this step: the provider is not at fault.
    let client = Client::connect(address).await;
    within_limit("a stream after the connections that were left", patient_stream(client)).await;
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert_eq!(relay.seen().matches("cannot accept connections").count(), 1, "{}", relay.seen());
}

/// Starts a stream on an open connection. Repeats the request while no file is free for the upstream, as clients do after a 503.
async fn patient_stream(mut client: Client) -> Client {
    loop {
        client.call(&Call::messages(STREAMED)).await;
        match client.head().await.status {
            503 => while client.chunk().await.is_some() {},
            status => {
                assert_eq!(status, 200);
                client.expect(&halves().0).await;
                return client;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A relay with [`STREAMS`] streams of which the first halves have arrived.
struct Scene {
    relay: Process,
    address: SocketAddr,
    streams: Vec<Client>,
    go_on: watch::Sender<bool>,
    _upstream: Upstream,
    _user: User,
}

impl Scene {
    async fn start() -> Self {
        let (go_on, goes_on) = watch::channel(false);
        let (upstream, user) = (upstream(goes_on).await, User::new());
        let (relay, address) = relay_for(&user, &upstream);
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(half_stream(address).await);
        }
        Self { relay, address, streams, go_on, _upstream: upstream, _user: user }
    }

    /// Starts a further stream on an open connection.
    async fn stream_on(&mut self, client: Client) {
        self.streams.push(within_limit("a further stream", patient_stream(client)).await);
    }

    /// Lets the streams go on, and receives their second halves.
    async fn end(self) {
        self.go_on.send_replace(true);
        for mut client in self.streams {
            client.expect(&halves().1).await;
        }
    }
}

/// Opens idle connections until the relay has `free` files.
async fn fill_with_idle(relay: &Process, address: SocketAddr, free: usize) -> Vec<Client> {
    let mut idle = Vec::new();
    let filling = async {
        while open_files(relay) < FILES - free {
            let open = open_files(relay);
            idle.push(Client::connect(address).await);
            while open_files(relay) == open {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    within_limit("use of the files", filling).await;
    assert!(STREAMS + idle.len() < FILES / 4 * 3, "the limit of clients is not reached");
    idle
}

#[tokio::test]
async fn idle_connections_make_room_for_other_clients_if_no_file_is_free() {
    let mut scene = Scene::start().await;
    let idle = fill_with_idle(&scene.relay, scene.address, 0).await;
    for _ in 0..3 {
        let client = Client::connect(scene.address).await;
        scene.stream_on(client).await;
    }
    drop(idle);
    scene.end().await;
}

#[tokio::test]
async fn idle_connections_make_room_for_upstreams_if_no_file_is_free() {
    let mut scene = Scene::start().await;
    let mut idle = fill_with_idle(&scene.relay, scene.address, 1).await;
    for _ in 0..3 {
        let client = idle.pop().expect("an idle connection");
        scene.stream_on(client).await;
    }
    scene.end().await;
}
