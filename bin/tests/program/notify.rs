//! Reports to a service manager.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::process::{Connection, User};

/// A service manager that receives reports.
struct Manager(UnixDatagram);

impl Manager {
    /// Starts to receive, at a path in the home directory of `user`.
    fn new(user: &User) -> (Self, String) {
        let path = user.path("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        (Self(socket), path.to_str().unwrap().to_owned())
    }

    /// Returns the next report that is no sign of life.
    fn next(&self) -> String {
        loop {
            let message = self.any();
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }

    fn any(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

#[test]
fn readiness_reload_and_stop_are_reported_in_their_order() {
    let user = User::new();
    user.write("config.yaml", "providers: [{ name: a, type: mock }]\n");
    let (manager, path) = Manager::new(&user);
    let arguments = ["serve", "--config", "config.yaml", "--listen", "127.0.0.1:0"];
    let (mut relay, address) = user.spawn_with(&arguments, &[("NOTIFY_SOCKET", path)]).listening();
    assert_eq!(manager.next(), format!("READY=1\nSTATUS=listening on http://{address}"));

    relay.signal("HUP");
    let reload = manager.next();
    let time = reload.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(time.parse::<u64>().is_ok(), "{reload}");
    assert_eq!(manager.next(), "READY=1");

    let mut client = Connection::request_stream(address);
    client.read_to("event: content_block_delta");
    relay.signal("TERM");
    let stop = manager.next();
    assert!(stop.starts_with("STOPPING=1\nSTATUS=draining"), "{stop}");
    assert!(stop.contains("\nEXTEND_TIMEOUT_USEC="), "{stop}");
    assert_eq!(relay.exit_code(), Some(0));
}

#[test]
fn signs_of_life_are_sent_at_half_of_the_watchdogs_time() {
    let user = User::new();
    let (manager, path) = Manager::new(&user);
    let variables = [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000".to_owned())];
    let (_relay, _) =
        user.spawn_with(&["serve", "--demo", "--listen", "127.0.0.1:0"], &variables).listening();
    assert!(manager.any().starts_with("READY=1"));
    for _ in 0..3 {
        assert_eq!(manager.any(), "WATCHDOG=1");
    }
}
