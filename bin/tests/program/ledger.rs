//! The usage ledger of a process that is killed, and of one whose ledger cannot be used.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

#[cfg(target_os = "linux")]
use crate::measure::limit_file_size;
use crate::process::{Connection, User};

const CONFIG: &str = "providers: [{ name: local, type: mock }]\nprices: [{ input: 1, output: 2 }]\n";
/// The longest time until the first requests are in the ledger.
const WRITTEN_WITHIN: Duration = Duration::from_secs(20);

fn user() -> User {
    let user = User::new().with_variable("CC_RELAY_USAGE__ENABLED", "true");
    user.write("config.yaml", CONFIG);
    user
}

/// Returns the total of a report; `None` without a ledger.
fn total(user: &User, arguments: &[&str]) -> Option<Value> {
    let outcome = user.run(&[&["usage", "--json"], arguments].concat());
    let report = outcome.code.filter(|code| *code == 0).map(|_| outcome.stdout)?;
    Some(serde_json::from_str::<Value>(&report).unwrap()["total"].take())
}

/// Sends one request after the other until the relay is gone or `ends` is true.
fn send_until(address: SocketAddr, ends: &AtomicBool) {
    let body = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    while !ends.load(Ordering::Relaxed)
        && let Ok(mut stream) = TcpStream::connect(address)
    {
        // An error means that the relay was killed.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn a_ledger_is_whole_after_its_process_was_killed_while_it_was_written() {
    let user = user();
    let mut written = 0;
    for round in 0..3 {
        let (relay, address) = user.serve(&[]);
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| send_until(address, &ends));
            }
            let deadline = Instant::now() + WRITTEN_WITHIN;
            let requests = || total(&user, &[]).and_then(|total| total["requests"].as_u64()).unwrap_or(0);
            while requests() <= written && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            // The process gets SIGKILL while requests are under way.
            drop(relay);
            ends.store(true, Ordering::Relaxed);
        });
        // Whole hours are read from the sums, and a part of an hour from the rows.
        let (sums, rows) = (total(&user, &[]).unwrap(), total(&user, &["--since", "50m"]).unwrap());
        assert_eq!(sums, rows, "round {round}");
        let requests = sums["requests"].as_u64().unwrap();
        assert!(requests > written, "round {round}: {requests} after {written}");
        written = requests;
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_ledger_on_a_full_disk_is_a_warning_and_is_written_once_there_is_room() {
    let user = user();
    let (mut relay, address) = user.serve(&[]);
    let requests = || total(&user, &[]).unwrap()["requests"].as_u64().unwrap();
    let send = || assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
    send();
    while requests() < 1 {
        thread::sleep(Duration::from_millis(10));
    }
    limit_file_size(&relay, Some(0));
    for _ in 0..5 {
        send();
    }
    relay.wait_for("the usage ledger is not written; the relay goes on, and tries again");
    limit_file_size(&relay, None);
    send();
    relay.wait_for("the usage ledger is written again");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert_eq!(requests(), 7);
}

#[test]
fn a_damaged_ledger_is_a_warning_and_requests_are_served() {
    let user = user().with_variable("CC_RELAY_USAGE__PATH", "damaged.db");
    let path = user.write("damaged.db", &"This is no database. ".repeat(1000));
    let (mut relay, address) = user.serve(&[]);
    assert!(Connection::request_stream(address).read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
    if !relay.seen().contains("the usage ledger is not written") {
        relay.wait_for("the usage ledger is not written; the relay goes on, and tries again");
    }
    let outcome = user.run(&["usage"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("damaged.db cannot be read"), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "This is no database. ".repeat(1000));
}
