//! Listening sockets that a service manager has opened, and listeners for both families.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;

use crate::process::{Connection, Process, User};

/// Prepares `serve` with `sockets` as descriptors from 3 on, as a service manager passes them.
pub(crate) fn activated<const N: usize>(
    user: &User,
    sockets: [OwnedFd; N],
    names: &str,
    arguments: &[&str],
) -> Command {
    let program = env!("CARGO_BIN_EXE_cc-relay");
    // The second one comes in the place of the standard error.
    let moved = ["3<&0 </dev/null", "4<&2 2>/dev/null"][..N].join(" ");
    let line = format!(
        "LISTEN_PID=$$ LISTEN_FDS={N} LISTEN_FDNAMES={names} exec {program} serve {} {moved}",
        arguments.join(" ")
    );
    let mut command = user.shell(&line);
    let mut sockets = sockets.into_iter();
    sockets.next().map(|socket| command.stdin(socket));
    sockets.next().map(|socket| command.stderr(socket));
    command
}

const READY: &str = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[test]
fn the_socket_of_a_service_manager_is_used_in_the_place_of_the_configured_address() {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = socket.local_addr().unwrap();
    // A connection that was made before the relay has started is served.
    let mut early = Connection::send(address, READY);
    let user = User::new();
    let command = activated(&user, [socket.into()], "", &["--demo", "--listen", "127.0.0.1:1"]);
    let (mut relay, listening) = Process::spawn(command).listening();
    assert_eq!(listening, address);
    assert!(relay.seen().contains(&format!("relay uses the socket {address} of the service manager")));
    assert!(early.read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_name_of_a_socket_chooses_its_service() {
    let user = User::new().with_variable("CC_RELAY_ADMIN__ENABLED", "true");
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let mut relay =
        Process::spawn(activated(&user, [socket.into()], "admin", &["--demo", "--listen", "127.0.0.1:0"]));
    relay.wait_for(&format!("admin uses the socket {address} of the service manager"));
    relay.wait_for("listening on http://127.0.0.1:");
    relay.wait_for(&format!("admin on http://{address}"));
}

#[test]
fn several_sockets_go_to_their_services_in_the_order_of_their_names() {
    let user = User::new().with_variable("CC_RELAY_ADMIN__ENABLED", "true");
    let sockets = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let [admin, clients] = [0, 1].map(|index| sockets[index].local_addr().unwrap());
    // `unknown` is the name that systemd gives to a socket without one.
    let sockets = sockets.map(OwnedFd::from);
    let mut relay = Process::spawn(activated(&user, sockets, "admin:unknown", &["--demo"]));
    relay.wait_for(&format!("relay uses the socket {clients} of the service manager"));
    relay.wait_for(&format!("admin on http://{admin}"));
    assert!(Connection::send(clients, READY).read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
    let state = "GET /admin/v1/state HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(Connection::send(admin, state).read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn the_rules_for_an_address_apply_to_the_socket_of_a_service_manager() {
    let user = User::new().with_variable("CC_RELAY_ADMIN__ENABLED", "true");
    let socket = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let command = activated(&user, [socket.into()], "admin", &["--demo", "--listen", "127.0.0.1:0"]);
    let mut relay = Process::spawn(command);
    assert_ne!(relay.exit_code(), Some(0), "an admin listener for other machines needs a token");
}

#[test]
fn other_descriptors_are_refused_with_the_reason() {
    #[track_caller]
    fn check(socket: impl Into<OwnedFd>, expected: &str) {
        let output = activated(&User::new(), [socket.into()], "relay", &["--demo"]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let datagrams = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    check(datagrams, "the service manager passes a socket for datagrams for \"relay\"");
    check(tempfile::tempfile().unwrap(), "the service manager passes a descriptor for \"relay\"");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    check(connection, "the socket does not listen");
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    let user = User::new().with_variable("LISTEN_FDS", "1").with_variable("LISTEN_PID", "1");
    let (relay, _) = user.serve(&["--demo"]);
    assert!(!relay.seen().contains("service manager"), "{}", relay.seen());
}

#[test]
fn both_families_listen_on_the_same_port() {
    let port = {
        let Ok(free) = TcpListener::bind(("::", 0)) else { return };
        free.local_addr().unwrap().port()
    };
    for addresses in [
        [format!("0.0.0.0:{port}"), format!("[::]:{port}")],
        [format!("[::]:{port}"), format!("127.0.0.1:{port}")],
    ] {
        let [first, second] = &addresses;
        let mut relay = User::new().spawn(&["--demo", "--listen", first, "--listen", second]);
        relay.wait_for(&format!("listening on http://{first}"));
        relay.wait_for(&format!("listening on http://{second}"));
        for client in ["127.0.0.1", "::1"] {
            let address = (client.parse::<std::net::IpAddr>().unwrap(), port).into();
            assert!(Connection::send(address, READY).read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
        }
        relay.signal("TERM");
        assert_eq!(relay.exit_code(), Some(0));
    }
}
