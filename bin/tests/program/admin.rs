//! The admin listener of `cc-relay serve`.

use std::net::{SocketAddr, TcpListener};

use serde_json::Value;

use crate::process::{Connection, Process, User};

/// A user whose relays open the admin listener, on a free port.
pub(crate) fn operator() -> User {
    User::new()
        .with_variable("CC_RELAY_ADMIN__ENABLED", "true")
        .with_variable("CC_RELAY_ADMIN__LISTEN", "127.0.0.1:0")
}

/// Waits for the address of the admin listener.
pub(crate) fn admin_address(relay: &mut Process) -> SocketAddr {
    let line = relay.wait_for("admin on http://");
    line.split("http://").nth(1).unwrap().trim().parse().unwrap()
}

/// Sends a request and returns the status line and the JSON of the answer.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str) -> (String, Value) {
    let (status, body) = exchange(address, method, path);
    (status, serde_json::from_str(&body).unwrap())
}

/// Gets a resource and returns the status line and the text of the answer.
#[cfg(unix)]
pub(crate) fn get(address: SocketAddr, path: &str) -> (String, String) {
    exchange(address, "GET", path)
}

fn exchange(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    let answer = Connection::send(address, &text).read_to_end();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_admin_api_shows_the_requests_of_the_relay() {
    let user = operator();
    let (mut relay, address) = user.serve(&["--demo"]);
    let admin = admin_address(&mut relay);
    Connection::request_stream(address).read_to_end();
    let (status, page) = request(admin, "GET", "/admin/v1/requests");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(page["data"][0]["provider"], "demo-primary", "{page}");
    assert_eq!(page["data"][0]["end"], "complete", "{page}");
    let (status, answer) = request(admin, "POST", "/admin/v1/reload");
    assert_eq!(status, "HTTP/1.1 409 Conflict", "{answer}");
    let (_, done) = request(admin, "POST", "/admin/v1/providers/demo-primary/pause");
    assert_eq!(done["changed"], true);
    let line = relay.wait_for("action=\"pause\"");
    for expected in ["admin action", "demo-primary", "127.0.0.1:"] {
        assert!(line.contains(expected), "no {expected:?} in {line}");
    }
}

#[test]
fn an_address_that_was_not_chosen_may_be_in_use() {
    // An error means that another process listens there.
    let _taken = TcpListener::bind("127.0.0.1:8788");
    let user = User::new().with_variable("CC_RELAY_ADMIN__ENABLED", "true");
    let (relay, address) = user.serve(&["--demo"]);
    let warning =
        "127.0.0.1:8788 is in use, perhaps by another cc-relay: this one runs without metrics, admin API";
    assert!(relay.seen().contains(warning), "{}", relay.seen());
    assert!(Connection::request_stream(address).read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_chosen_address_in_use_prevents_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let user = operator().with_variable("CC_RELAY_ADMIN__LISTEN", &address);
    let outcome = user.run(&["--demo", "--listen", "127.0.0.1:0"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.starts_with(&format!("error: cannot listen on {address}: the address is in use")));
    assert!(outcome.stderr.contains("choose another port with admin.listen"), "{outcome:?}");
}

#[cfg(unix)]
#[test]
fn a_stop_does_not_wait_for_event_streams() {
    let user = operator();
    let (mut relay, _) = user.serve(&["--demo"]);
    let admin = admin_address(&mut relay);
    let mut events = Connection::send(admin, "GET /admin/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
    events.read_to("event: state");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert!(relay.seen().contains("stopped") && !relay.seen().contains("have been cut"), "{}", relay.seen());
}
