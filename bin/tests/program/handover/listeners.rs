//! The listeners of each kind, which a new process takes over.

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use relay_tests::{Answer, CertificateAuthority, Http2Answer, Http2Client, Tunnel, Upstream, sse};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{FAILED, MOCK, Successor, streams};
use crate::admin::{admin_address, get, operator};
use crate::process::{Connection, Process, User, mode};

const MESSAGE: &str = r#"{"model":"claude-sonnet-5-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// An upstream whose streams stop after their first event until they are released, in the order of their requests.
struct Gated {
    upstream: Upstream,
    released: watch::Sender<usize>,
}

impl Gated {
    async fn start() -> Self {
        let released = watch::Sender::new(0);
        let (gate, count) = (released.subscribe(), Arc::new(AtomicUsize::new(0)));
        let upstream = Upstream::scripted(move |mut connection| {
            let (mut gate, count) = (gate.clone(), Arc::clone(&count));
            async move {
                while connection.receive().await.is_some() {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    connection.send_head(&Answer::event_stream()).await;
                    let events = sse::recorded("anthropic/hello.sse");
                    connection.send_chunk(&events[0]).await;
                    let _ = gate.wait_for(|released| *released > number).await;
                    for event in &events[1..] {
                        connection.send_chunk(event).await;
                    }
                    connection.send_last_chunk().await;
                }
            }
        })
        .await;
        Self { upstream, released }
    }

    fn provider(&self) -> Value {
        json!({"name": "a", "type": "anthropic", "base_url": self.upstream.url(), "keys": [{"key": "k"}]})
    }
}

/// A stream whose first event has arrived.
enum Streaming {
    Http1(Connection),
    Http2(Http2Client, Http2Answer),
}

impl Streaming {
    async fn http1(address: SocketAddr) -> Self {
        let mut connection = Connection::request_stream(address);
        connection.read_to("event: message_start");
        Self::Http1(connection)
    }

    async fn http2(address: SocketAddr) -> Self {
        let client = Http2Client::connect(address).await;
        let mut answer = client.post("/v1/messages", MESSAGE).await.unwrap();
        let start = answer.data().await.unwrap().unwrap();
        assert!(start.starts_with(b"event: message_start"), "{start:?}");
        Self::Http2(client, answer)
    }

    async fn end(self) {
        let rest = match self {
            Self::Http1(mut connection) => connection.read_to_end(),
            Self::Http2(_client, mut answer) => {
                String::from_utf8(answer.rest().await.unwrap().to_vec()).unwrap()
            }
        };
        assert!(rest.contains("event: message_stop\n"), "{rest}");
    }
}

/// The ways of clients to the listeners of a relay: with TLS, and over a Unix socket. A plain client reaches both.
struct Ways {
    http1: Tunnel,
    http2: Tunnel,
    unix: Tunnel,
}

impl Ways {
    async fn streams(&self) -> Vec<Streaming> {
        vec![
            Streaming::http1(self.http1.address()).await,
            Streaming::http2(self.http2.address()).await,
            Streaming::http1(self.unix.address()).await,
            Streaming::http2(self.unix.address()).await,
        ]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_tls_and_unix_listeners_go_on_in_the_old_process_while_the_new_one_serves_others() {
    let authority = CertificateAuthority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let gated = Gated::start().await;
    let user = User::new();
    let config = json!({
        "server": {
            "listen": ["127.0.0.1:0", "unix:a.sock", "unix:b.sock"],
            "tls": {"cert": identity.cert_file(), "key": identity.key_file()},
        },
        "providers": [gated.provider()],
    });
    user.write("config.yaml", &config.to_string());
    let mut relay = Process::spawn(user.command(&["serve", "--config", "config.yaml"]));
    let address = relay.wait_for("listening on https://").rsplit("https://").next().unwrap().parse().unwrap();
    relay.wait_for("listening on unix:b.sock");
    let ways = Ways {
        http1: Tunnel::over_tls(address, authority.client(&["http/1.1"], None)).await,
        http2: Tunnel::over_tls(address, authority.client(&["h2"], None)).await,
        unix: Tunnel::to_unix(&user.path("a.sock")).await,
    };

    let old_streams = ways.streams().await;
    let new = Successor::take_over(&mut relay);
    let new_streams = ways.streams().await;
    gated.released.send_replace(old_streams.len());
    for stream in old_streams {
        stream.end().await;
    }
    relay.wait_for("stopped");
    // The old process has ended, and these streams have not.
    relay.wait_for_end();
    gated.released.send_replace(usize::MAX);
    for stream in new_streams {
        stream.end().await;
    }
    for name in ["a.sock", "b.sock"] {
        let tunnel = Tunnel::to_unix(&user.path(name)).await;
        Streaming::http1(tunnel.address()).await.end().await;
    }
    new.signal("TERM");
    new.wait_for_end();
    assert!(!user.path("a.sock").exists() && !user.path("b.sock").exists());
}

/// Requests `path` on a new connection, and returns the body.
#[track_caller]
fn body(address: SocketAddr, path: &str) -> String {
    let (status, body) = get(address, path);
    assert_eq!(status, "HTTP/1.1 200 OK");
    body
}

#[test]
fn the_admin_and_metrics_listeners_answer_throughout_a_hand_over() {
    let user = operator().with_variable("CC_RELAY_METRICS__LISTEN", "127.0.0.1:0");
    user.write("config.yaml", MOCK);
    let (mut relay, address) = user.serve(&["--config", "config.yaml"]);
    let line = relay.wait_for("metrics on http://");
    let metrics = line.rsplit("http://").next().unwrap().trim_end_matches("/metrics").parse().unwrap();
    let admin = admin_address(&mut relay);
    let started = || {
        let state: Value = serde_json::from_str(&body(admin, "/admin/v1/state")).unwrap();
        state["started_unix_ms"].as_u64().unwrap()
    };
    streams(address);
    let old = started();
    assert!(body(metrics, "/metrics").contains("cc_relay_requests_total{"));

    let (stop, stopped) = mpsc::channel::<()>();
    let storm = std::thread::spawn(move || {
        let mut count = 0;
        while stopped.try_recv().is_err() {
            body(admin, "/admin/v1/state");
            body(metrics, "/metrics");
            count += 1;
        }
        count
    });
    let _new = Successor::take_over(&mut relay);
    relay.wait_for("stopped");
    stop.send(()).unwrap();
    assert!(storm.join().expect("no request is refused, reset or cut") > 0);
    assert!(started() > old, "the new process answers");
    assert!(!body(metrics, "/metrics").contains("cc_relay_requests_total{"), "its metrics begin at zero");
}

#[test]
fn addresses_that_the_configuration_adds_and_removes_are_opened_and_closed() {
    let user = User::new();
    let write = |listen: &str| {
        user.write("config.yaml", &format!("server: {{ listen: [{listen}] }}\n{MOCK}"));
    };
    write("127.0.0.1:0, 'unix:a.sock', 'unix:b.sock'");
    let (mut relay, address) =
        Process::spawn(user.command(&["serve", "--config", "config.yaml"])).listening();
    relay.wait_for("listening on unix:b.sock");
    write("'127.0.0.1:0', 'unix:b.sock?mode=0660', 'unix:c.sock'");
    let _new = Successor::take_over(&mut relay);
    relay.wait_for_end();
    streams(address);
    for name in ["b.sock", "c.sock"] {
        assert_eq!(user.run(&["status", "--url", &format!("unix:{name}")]).code, Some(0), "{name}");
    }
    assert_eq!(mode(&user.path("b.sock")), 0o660);
    assert!(!user.path("a.sock").exists(), "the file of a socket that is closed is left behind");
}

#[test]
fn a_unix_socket_whose_file_is_gone_is_opened_anew() {
    let user = User::new();
    user.write("config.yaml", MOCK);
    let arguments = ["serve", "--config", "config.yaml", "--listen", "unix:a.sock"];
    let mut relay = Process::spawn(user.command(&arguments));
    relay.wait_for("listening on unix:a.sock");
    std::fs::remove_file(user.path("a.sock")).unwrap();
    let _new = Successor::take_over(&mut relay);
    relay.wait_for_end();
    assert!(std::fs::metadata(user.path("a.sock")).unwrap().file_type().is_socket());
    assert_eq!(user.run(&["status", "--url", "unix:a.sock"]).code, Some(0));
}

#[test]
fn a_unix_socket_whose_path_another_relay_has_taken_is_left_to_it() {
    let user = User::new();
    user.write("config.yaml", MOCK);
    let arguments = ["serve", "--config", "config.yaml", "--listen", "unix:a.sock"];
    let start = || {
        let mut relay = Process::spawn(user.command(&arguments));
        relay.wait_for("listening on unix:a.sock");
        relay
    };
    let mut relay = start();
    std::fs::remove_file(user.path("a.sock")).unwrap();
    let _other = start();
    relay.signal("USR2");
    let line = relay.wait_for(FAILED);
    assert!(line.contains("cannot listen on unix:a.sock: a process listens there"), "{line}");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert_eq!(user.run(&["status", "--url", "unix:a.sock"]).code, Some(0));
}
