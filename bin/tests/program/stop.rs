//! The end of `cc-relay serve`.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::process::{Connection, Process, User};

/// Sends the head of a request and reads `100 Continue`, so that the relay is known to wait for the body.
fn unfinished_request(address: SocketAddr) -> Connection {
    let mut connection = Connection::send(
        address,
        "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n",
    );
    assert_eq!(connection.read_to("100 Continue"), "HTTP/1.1 100 Continue\r\n");
    connection
}

/// Starts a relay and a request that waits for its upstream, which never answers as long as the last value lives.
fn open_request(user: &User) -> (Process, Connection, TcpStream) {
    let upstream = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let provider = format!("{{ name: a, type: anthropic, base_url: '{url}', keys: [{{ key: k }}] }}");
    user.write("config.yaml", &format!("providers: [{provider}]"));
    let (relay, address) = user.serve(&["--config", "config.yaml"]);
    let client = Connection::request_stream(address);
    (relay, client, upstream.accept().unwrap().0)
}

#[test]
fn open_streams_end_normally_after_an_interrupt() {
    let (mut relay, address) = User::new().serve(&["--demo"]);
    let mut clients: Vec<_> = (0..200).map(|_| Connection::request_stream(address)).collect();
    for client in &mut clients {
        client.read_to("HTTP/1.1 200 OK");
    }
    relay.signal("INT");
    relay.wait_for("draining");
    for mut client in clients {
        let rest = client.read_to_end();
        assert!(rest.contains("event: message_stop\n") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    }
    assert_eq!(relay.exit_code(), Some(0));
    assert!(relay.seen().contains("stopped"), "{}", relay.seen());
}

#[test]
fn a_request_whose_body_has_not_arrived_does_not_delay_the_end() {
    let (mut relay, address) = User::new().serve(&["--demo"]);
    let mut client = unfinished_request(address);
    relay.signal("INT");
    assert_eq!(relay.exit_code(), Some(0));
    assert_eq!(client.read_to_end(), "\r\n", "nothing after the interim response");
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let (mut relay, mut client, _upstream) = open_request(&User::new());
    relay.signal("INT");
    relay.wait_for("draining");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(1));
    assert!(relay.seen().contains("stopped at once"), "{}", relay.seen());
    assert_eq!(client.read_to_end(), "");
}

#[test]
fn a_second_signal_ends_the_process_also_within_the_drain_delay() {
    let user = User::new().with_variable("CC_RELAY_SERVER__DRAIN_DELAY_MS", "60000");
    let (mut relay, address) = user.serve(&["--demo"]);
    relay.signal("TERM");
    relay.wait_for("draining after a delay");
    let mut client = Connection::request_stream(address);
    assert!(client.read_to_end().contains("message_stop"), "requests are served within the delay");
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(1));
}

#[test]
fn connections_open_after_the_drain_timeout_are_cut_and_counted() {
    let user = User::new().with_variable("CC_RELAY_SERVER__DRAIN_TIMEOUT_MS", "50");
    let (mut relay, _client, _upstream) = open_request(&user);
    relay.signal("TERM");
    assert!(relay.wait_for("have been cut").contains("cut=1"), "{}", relay.seen());
    assert_eq!(relay.exit_code(), Some(0));
}
