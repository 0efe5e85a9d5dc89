//! Many clients at once: those that connect at the same time, and those that send their requests byte by byte.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use relay_tests::{Call, Client, HTTP2_PREFACE, Http2Client, http2_frame, short_or_long, within_limit};
use tokio::task::JoinSet;

use crate::measure::{cpu_time, open_files, resident_kib};
use crate::process::User;

/// The clients that connect while the relay does not accept. The usual backlog of a socket, 128, is far smaller.
const CLIENTS: (usize, usize) = (400, 4000);
/// The slow clients of each kind.
const SLOW: (usize, usize) = (100, 1000);
/// The time for which clients send byte by byte. In the long form the relay closes those whose head does not end.
const SLOW_TIME: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(35));
/// The pause of a slow client after each byte.
const PAUSE: Duration = Duration::from_millis(200);
/// The memory in KiB that a slow client may cost.
const MEMORY_KIB: u64 = 128;
const STREAMED: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_connect_at_the_same_time_are_all_served() {
    let (relay, address) = User::new().serve(&["--demo"]);
    // The system alone accepts the connections. If its queue were too short, the next `connect` would wait.
    relay.signal("STOP");
    let connecting: JoinSet<_> = (0..short_or_long(CLIENTS.0, CLIENTS.1))
        .map(|number| async move {
            let mut client = Client::connect(address).await;
            client.call(&if number % 4 == 0 { Call::messages(STREAMED) } else { Call::get("/health") }).await;
            client
        })
        .collect();
    let clients = within_limit("room in the queue of the socket", connecting.join_all()).await;
    relay.signal("CONT");
    for mut client in clients {
        assert_eq!(client.response().await.status, 200);
    }
}

/// A client that sends a byte, makes a pause, and so on. Its body over HTTP/2 has one byte, and no end.
#[derive(Debug, Clone, Copy)]
enum Slow {
    Head,
    Body,
    Http2Head,
    Http2Body,
}

impl Slow {
    /// Sends until the relay closes the connection.
    async fn run(self, address: SocketAddr) {
        let (start, repeated) = match self {
            Self::Head => (b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec(), b"y".to_vec()),
            Self::Body => {
                (Call::messages("").header("content-length", "9999").head("localhost"), b" ".to_vec())
            }
            Self::Http2Head => {
                let frame = http2_frame(HEADERS, 0, 1, &[0; 4000]);
                let start = [HTTP2_PREFACE, &http2_frame(SETTINGS, 0, 0, &[]), &frame[..9]].concat();
                (start, vec![0])
            }
            Self::Http2Body => return stall_over_http2(address).await,
        };
        let mut client = Client::connect(address).await;
        let mut is_open = client.try_send(start).await.is_ok();
        while is_open {
            tokio::time::sleep(PAUSE).await;
            is_open = client.try_send(&repeated).await.is_ok();
        }
    }
}

/// Sends the first byte of a body, and waits for the relay to give up.
async fn stall_over_http2(address: SocketAddr) {
    let client = Http2Client::connect(address).await;
    // An answer is the refusal of the body.
    let _ = client.post_part("/v1/messages", "{").await.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_send_byte_by_byte_delay_no_other_client() {
    let (relay, address) = User::new().serve(&["--demo"]);
    // Before the first connection, which may not be closed by then.
    let files = open_files(&relay);
    assert_eq!(Call::messages(STREAMED).send(address).await.status, 200);
    let memory = resident_kib(&relay);
    let mut slow = JoinSet::new();
    let count = short_or_long(SLOW.0, SLOW.1);
    for kind in [Slow::Head, Slow::Body, Slow::Http2Head, Slow::Http2Body] {
        (0..count).for_each(|_| drop(slow.spawn(kind.run(address))));
    }
    let all_connected = async {
        while open_files(&relay) < files + 4 * count {
            tokio::time::sleep(PAUSE).await;
        }
    };
    within_limit("connections of all slow clients", all_connected).await;
    let (started, used_before) = (Instant::now(), cpu_time(&relay));
    while started.elapsed() < short_or_long(SLOW_TIME.0, SLOW_TIME.1) {
        assert_eq!(Call::get("/health").send(address).await.status, 200);
        assert_eq!(Call::messages(STREAMED).send(address).await.status, 200);
        tokio::time::sleep(PAUSE).await;
    }
    let used = cpu_time(&relay) - used_before;
    assert!(used < started.elapsed() / 2, "{used:?} of CPU time in {:?}", started.elapsed());
    let grown = resident_kib(&relay).saturating_sub(memory);
    assert!(grown < MEMORY_KIB * 4 * count as u64, "{grown} KiB for {} clients", 4 * count);
    if short_or_long(false, true) {
        let open = open_files(&relay) - files;
        assert!(open <= 2 * count, "heads have 30 s: {open} connections are open");
    }
    slow.abort_all();
    let closed = async {
        while open_files(&relay) > files {
            tokio::time::sleep(PAUSE).await;
        }
    };
    within_limit("end of all connections", closed).await;
}
