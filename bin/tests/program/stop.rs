//! The end of `cc-relay serve`.

use std::net::SocketAddr;

use crate::process::{Connection, User};

/// Sends the head of a request and reads `100 Continue`, so that the relay is known to wait for the body.
fn unfinished_request(address: SocketAddr) -> Connection {
    let mut connection = Connection::send(
        address,
        "POST /v1/messages HTTP/1.1\r\nhost: relay\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n",
    );
    assert_eq!(connection.read_to("100 Continue"), "HTTP/1.1 100 Continue\r\n");
    connection
}

#[test]
fn an_open_stream_ends_normally_after_an_interrupt() {
    let (mut relay, address) = User::new().serve(&["--demo"]);
    let mut client = Connection::request_stream(address);
    client.read_to("event: content_block_delta");
    relay.signal("INT");
    relay.wait_for("draining");
    let rest = client.read_to_end();
    assert!(rest.contains("event: message_stop\n") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    assert_eq!(relay.exit_code(), Some(0));
    assert!(relay.seen().contains("stopped"), "{}", relay.seen());
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let (mut relay, address) = User::new().serve(&["--demo"]);
    let mut client = unfinished_request(address);
    relay.signal("INT");
    relay.wait_for("draining");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(1));
    assert!(relay.seen().contains("stopped at once"), "{}", relay.seen());
    assert_eq!(client.read_to_end(), "\r\n", "nothing after the interim response");
}

#[test]
fn connections_open_after_the_drain_timeout_are_cut_and_counted() {
    let user = User::new().with_variable("CC_RELAY_SERVER__DRAIN_TIMEOUT_MS", "50");
    let (mut relay, address) = user.serve(&["--demo"]);
    let _client = unfinished_request(address);
    relay.signal("TERM");
    assert!(relay.wait_for("have been cut").contains("cut=1"), "{}", relay.seen());
    assert_eq!(relay.exit_code(), Some(0));
}
