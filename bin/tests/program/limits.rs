//! Clients that use up what a process has, and clients that do not speak HTTP.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::process::{Connection, Process, User};

/// Starts `serve --demo` in a process that may open `files` files.
fn serve_with_files(user: &User, files: usize) -> (Process, SocketAddr) {
    let program = user.command(&[]).get_program().to_owned();
    let mut command =
        user.shell(&format!("ulimit -n {files} && exec \"$0\" serve --demo --listen 127.0.0.1:0"));
    command.arg(program);
    Process::spawn(command).listening()
}

#[test]
fn connections_beyond_the_open_files_wait_and_are_reported_once() {
    let user = User::new();
    let (mut relay, address) = serve_with_files(&user, 64);
    let idle: Vec<_> = (0..70).map(|_| TcpStream::connect(address).unwrap()).collect();
    let line = relay.wait_for("as many clients are connected as may be");
    assert!(line.contains("limit=48"), "{line}");
    drop(idle);
    for _ in 0..3 {
        assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
    }
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert_eq!(relay.seen().matches("as many clients").count(), 1);
}

#[test]
fn idle_connections_at_the_limit_make_room_for_a_client() {
    let user = User::new();
    let (mut relay, address) = serve_with_files(&user, 64);
    // Some have sent nothing, some a part of a head.
    let mut idle: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in idle.iter_mut().step_by(3) {
        let _ = client.write_all(b"POST /v1/messages HTTP/1.1\r\nhost: ");
    }
    relay.wait_for("as many clients are connected as may be");
    for _ in 0..3 {
        assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
    }
    drop(idle);
}

#[test]
fn malformed_bytes_of_a_client_are_in_the_log() {
    let (mut relay, address) = User::new().serve(&["--demo"]);
    let cases = [
        ("GET  / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("no request at all\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(300_000)), "431"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)), "431"),
        ("GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame of HTTP/2 at all".to_owned(), ""),
    ];
    for (bytes, status) in cases {
        let mut client = Connection::try_send(address, &bytes);
        let received = client.read_available();
        // The relay waits for further bytes of the client.
        drop(client);
        let line = relay.wait_for("refused malformed bytes of a client");
        assert!(line.contains("peer=127.0.0.1:"), "{line}");
        if !status.is_empty() {
            assert!(received.lines().next().unwrap_or_default().contains(status), "{received:?}");
            assert!(
                received.contains("invalid_request_error") && line.contains("request_id=\"req_"),
                "{line}"
            );
        }
    }
}
