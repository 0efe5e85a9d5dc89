//! Clients that stall in the handshake of TLS, or leave it.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use relay_tests::{Answer, CertificateAuthority, Tunnel, Upstream, sse};
use rustls::ClientConnection;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::process::{Connection, Process, User, within_limit};

/// The clients that stall or leave, if the system allows this number of open files.
const CLIENTS: usize = 2000;
/// The time between two events of the stream.
const PACE: Duration = Duration::from_millis(20);
/// The delay of an event that a client would notice. Nine of ten events are earlier, also on a machine with other work.
const LATE: Duration = Duration::from_millis(500);
const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
/// The memory of a client that stalls: most of it is the state of rustls after its first answer.
const CLIENT_MEMORY: usize = 48 * 1024;
/// The growth of the allocator, of queues and of the tables of the runtime.
const FURTHER_MEMORY: usize = 16 * 1024 * 1024;

/// An upstream with one stream of pings, which ends when the last value is `true`.
struct Pinging {
    upstream: Upstream,
    /// The times at which the pings were sent.
    sent: Arc<Mutex<Vec<Instant>>>,
    is_over: watch::Sender<bool>,
}

impl Pinging {
    async fn start() -> Self {
        let (sent, is_over) = (Arc::<Mutex<Vec<Instant>>>::default(), watch::Sender::new(false));
        let (times, ending) = (Arc::clone(&sent), is_over.subscribe());
        let upstream = Upstream::scripted(move |mut connection| {
            let (times, ending) = (Arc::clone(&times), ending.clone());
            async move {
                while connection.receive().await.is_some() {
                    let events = sse::recorded("anthropic/hello.sse");
                    connection.send_head(&Answer::event_stream()).await;
                    connection.send_chunk(&events[0]).await;
                    while !*ending.borrow() {
                        times.lock().unwrap().push(Instant::now());
                        connection.send_chunk(PING.as_bytes()).await;
                        tokio::time::sleep(PACE).await;
                    }
                    for event in events[1..].iter().filter(|event| !event.starts_with(b"event: ping")) {
                        connection.send_chunk(event).await;
                    }
                    connection.send_last_chunk().await;
                }
            }
        })
        .await;
        Self { upstream, sent, is_over }
    }

    /// Reads the stream to its end on another thread, which returns the times at which the pings arrived.
    fn read(mut stream: Connection) -> JoinHandle<Vec<Instant>> {
        std::thread::spawn(move || {
            let mut times = Vec::new();
            loop {
                match stream.read_to("event: ") {
                    text if text.ends_with("event: ping\n") => times.push(Instant::now()),
                    text if text.ends_with("event: message_stop\n") => return times,
                    _ => {}
                }
            }
        })
    }
}

/// The open files and the resident memory of a process, in bytes.
fn footprint(id: u32) -> (usize, usize) {
    let files = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (files, memory.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024)
}

/// Returns the number of files that this process may open.
fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

/// Connects clients that stall before the first byte, in the first record and after the relay's answer, and those that leave in the
/// middle of the handshake. Returns the former.
async fn flood(relay: SocketAddr, hello: &[u8], count: usize) -> Vec<TcpStream> {
    let mut stalled = Vec::new();
    for index in 0..count {
        let mut client = TcpStream::connect(relay).await.unwrap();
        let bytes = [&[], &hello[..1], hello, hello][index % 4];
        client.write_all(bytes).await.unwrap();
        match index % 8 {
            3 => client.set_zero_linger().unwrap(),
            7 => {}
            _ => stalled.push(client),
        }
    }
    stalled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_stall_or_are_abandoned_delay_no_stream_and_leave_nothing_behind() {
    let (authority, pinging) = (CertificateAuthority::new(), Pinging::start().await);
    let identity = authority.issue(&["127.0.0.1"]);
    let user = User::new();
    let config = json!({
        "server": {"tls": {"cert": identity.cert_file(), "key": identity.key_file()}},
        "providers": [
            {"name": "a", "type": "anthropic", "base_url": pinging.upstream.url(), "keys": [{"key": "k"}]}
        ],
    });
    user.write("config.yaml", &config.to_string());
    let arguments = ["serve", "--config", "config.yaml", "--listen", "127.0.0.1:0"];
    let mut relay = Process::spawn(user.command(&arguments));
    let line = relay.wait_for("listening on https://");
    let address = line.rsplit("https://").next().unwrap().parse().unwrap();
    let client = authority.client(&["http/1.1"], None);
    let mut hello = Vec::new();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    ClientConnection::new(Arc::new(client.clone()), name).unwrap().write_tls(&mut hello).unwrap();
    let tunnel = Tunnel::over_tls(address, client).await;
    let mut stream = Connection::request_stream(tunnel.address());
    stream.read_to("event: message_start");
    let received = Pinging::read(stream);

    let count = CLIENTS.min(open_files() / 2);
    let (files, memory) = footprint(relay.id());
    let stalled = flood(address, &hello, count).await;
    // The relay has accepted the last one, and those that have left are gone.
    within_limit("an end of the clients that have left", || {
        footprint(relay.id()).0.abs_diff(files + stalled.len()) <= 2
    });
    let grown = footprint(relay.id()).1.saturating_sub(memory);
    assert!(grown < count * CLIENT_MEMORY + FURTHER_MEMORY, "{count} clients: {grown} bytes");
    drop(stalled);
    within_limit("an end of all clients", || footprint(relay.id()).0 <= files + 2);

    pinging.is_over.send_replace(true);
    let received = tokio::task::spawn_blocking(|| received.join()).await.unwrap().unwrap();
    let sent = pinging.sent.lock().unwrap().clone();
    assert_eq!(received.len(), sent.len(), "each event arrives");
    let mut delays: Vec<_> = sent.iter().zip(received).map(|(sent, at)| at - *sent).collect();
    delays.sort();
    assert!(delays[delays.len() * 9 / 10] < LATE, "{delays:?}");
}
