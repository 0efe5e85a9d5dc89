//! Reports to a service manager.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::process::{Connection, User};

const SIGN_OF_LIFE: &str = "WATCHDOG=1";

/// A service manager that receives reports.
pub(crate) struct Manager(UnixDatagram);

impl Manager {
    /// Starts to receive, at a path in the home directory of `user`.
    pub(crate) fn new(user: &User) -> (Self, String) {
        let path = user.path("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        set_socket_passcred(&socket, true).unwrap();
        (Self(socket), path.to_str().unwrap().to_owned())
    }

    /// Returns the next report that is no sign of life.
    fn next(&self) -> String {
        self.next_from().1
    }

    /// Returns the sender of the next report that is no sign of life, and the report. systemd accepts those of the main process
    /// alone (`NotifyAccess=main`).
    pub(crate) fn next_from(&self) -> (u32, String) {
        loop {
            let (sender, message) = self.any();
            if message != SIGN_OF_LIFE {
                return (sender, message);
            }
        }
    }

    /// Waits for a sign of life of the process `id`.
    pub(crate) fn wait_for_life(&self, id: u32) {
        while self.any() != (id, SIGN_OF_LIFE.to_owned()) {}
    }

    fn any(&self) -> (u32, String) {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message =
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::empty()).unwrap();
        let sender = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid.as_raw_nonzero().get()),
            _ => None,
        });
        let text = String::from_utf8(bytes[..message.bytes].to_vec()).unwrap();
        (sender.unwrap().try_into().unwrap(), text)
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
    assert!(manager.any().1.starts_with("READY=1"));
    for _ in 0..3 {
        assert_eq!(manager.any().1, SIGN_OF_LIFE);
    }
}
