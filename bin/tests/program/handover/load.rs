//! A hand-over under load.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use relay_tests::{Answer, Upstream, sse};

use super::Successor;
use crate::process::{Connection, User};

/// The streams that are open during the hand-over.
const STREAMS: usize = 200;
/// The time between two events of a stream.
const PACE: Duration = Duration::from_millis(300);
/// The threads that connect again and again.
const CLIENTS: usize = 4;

/// Requests `/health` on a new connection, and on the same one as long as it is kept. Returns the number of whole answers.
fn requests(address: SocketAddr, keeps: bool) -> usize {
    use std::io::{BufRead, BufReader, Read, Write};
    let stream = TcpStream::connect(address).expect("not refused");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream);
    let connection = if keeps { "keep-alive" } else { "close" };
    let request = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\r\n");
    for count in 1.. {
        reader.get_mut().write_all(request.as_bytes()).expect("not reset");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(
                reader.read_line(&mut head).expect("not reset"),
                0,
                "cut after {count} requests: {head}"
            );
        }
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).expect("a whole answer");
        if count == 20 || head.contains("connection: close\r\n") {
            return count;
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_new_connections_survive_a_hand_over() {
    let upstream = Upstream::scripted(|mut connection| async move {
        while connection.receive().await.is_some() {
            connection.send_head(&Answer::event_stream()).await;
            for event in sse::recorded("anthropic/hello.sse") {
                connection.send_chunk(&event).await;
                tokio::time::sleep(PACE).await;
            }
            connection.send_last_chunk().await;
        }
    })
    .await;
    let user = User::new();
    let provider =
        format!("{{ name: a, type: anthropic, base_url: '{}', keys: [{{ key: k }}] }}", upstream.url());
    user.write("config.yaml", &format!("providers: [{provider}]\nlogging: {{ level: info }}\n"));
    let (mut relay, address) = user.serve(&["--config", "config.yaml"]);
    let mut streams: Vec<_> = (0..STREAMS).map(|_| Connection::request_stream(address)).collect();
    for stream in &mut streams {
        stream.read_to("event: message_start");
    }

    let is_over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let storm: Vec<_> = (0..CLIENTS)
        .map(|index| {
            let (is_over, served) = (Arc::clone(&is_over), Arc::clone(&served));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    served.fetch_add(requests(address, index % 2 == 0), Ordering::Relaxed);
                }
            })
        })
        .collect();
    let new = Successor::take_over(&mut relay);
    let before = served.load(Ordering::Relaxed);
    for stream in &mut streams {
        let rest = stream.read_to_end();
        assert!(rest.contains("event: message_stop\n") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    }
    // The old process ends while the storm goes on.
    relay.wait_for("stopped");
    is_over.store(true, Ordering::Relaxed);
    for client in storm {
        client.join().expect("no request is refused, reset or cut");
    }
    assert!(served.load(Ordering::Relaxed) > before, "the new process has served requests");
    assert!(Connection::request_stream(address).read_to_end().contains("event: message_stop\n"));
    new.signal("TERM");
}
