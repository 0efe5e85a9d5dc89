//! The reports of both processes to a service manager that accepts those of the main process alone, and sockets that it has opened.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use super::{MOCK, Successor, streams};
use crate::activation::activated;
use crate::notify::Manager;
use crate::process::{Connection, Process, User, within_limit};

#[test]
fn the_new_process_becomes_the_main_one_and_reports_from_then_on() {
    let user = User::new();
    user.write("config.yaml", MOCK);
    let (manager, path) = Manager::new(&user);
    // As systemd sets them for the first process.
    let program = env!("CARGO_BIN_EXE_cc-relay");
    let arguments = "serve --config config.yaml --listen 127.0.0.1:0";
    let line =
        format!("NOTIFY_SOCKET={path} WATCHDOG_USEC=200000 WATCHDOG_PID=$$ exec {program} {arguments}");
    let (mut relay, address) = Process::spawn(user.shell(&line)).listening();
    let old = relay.id();
    let ready = (old, format!("READY=1\nSTATUS=listening on http://{address}"));
    assert_eq!(manager.next_from(), ready);
    manager.wait_for_life(old);

    // The old process drains for a while.
    let mut stream = Connection::request_stream(address);
    stream.read_to("event: message_start");
    let new = Successor::take_over(&mut relay);
    assert_eq!(manager.next_from(), (old, format!("MAINPID={}", new.0)));
    assert_eq!(manager.next_from(), (new.0, ready.1));
    manager.wait_for_life(new.0);
    assert!(stream.read_to_end().contains("event: message_stop\n"));
    relay.wait_for_end();

    new.signal("HUP");
    let (sender, reload) = manager.next_from();
    assert!(sender == new.0 && reload.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{sender}: {reload}");
    assert_eq!(manager.next_from(), (new.0, "READY=1".to_owned()));
    new.signal("TERM");
    let (sender, stop) = manager.next_from();
    assert!(sender == new.0 && stop.starts_with("STOPPING=1\n"), "{sender}: {stop}");
}

#[test]
fn a_hand_over_that_fails_changes_nothing_for_the_service_manager() {
    let user = User::new();
    user.write("config.yaml", MOCK);
    let (manager, path) = Manager::new(&user);
    let arguments = ["serve", "--config", "config.yaml", "--listen", "127.0.0.1:0"];
    let (mut relay, _) = user.spawn_with(&arguments, &[("NOTIFY_SOCKET", path)]).listening();
    assert!(manager.next_from().1.starts_with("READY=1\n"));
    std::fs::remove_file(user.path("config.yaml")).unwrap();
    relay.signal("USR2");
    relay.wait_for(super::FAILED);
    relay.signal("TERM");
    // The missing file is also a reload, which may be reported first.
    loop {
        let (sender, report) = manager.next_from();
        assert_eq!(sender, relay.id(), "{report}");
        if report.starts_with("STOPPING=1\n") {
            break;
        }
        assert!(report.starts_with("RELOADING=1\n") || report == "READY=1", "{report}");
    }
}

#[test]
fn the_sockets_of_a_service_manager_are_handed_over_and_their_files_are_left_to_it() {
    let user = User::new();
    let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = tcp.local_addr().unwrap();
    let unix = UnixListener::bind(user.path("given.sock")).unwrap();
    // The addresses of the configuration are not used.
    let arguments = ["--demo", "--listen", "127.0.0.1:1,unix:other.sock"];
    // The service manager keeps the sockets open.
    let (kept_tcp, kept_unix) = (tcp.try_clone().unwrap(), unix.try_clone().unwrap());
    let mut relay = Process::spawn(activated(&user, [tcp.into(), unix.into()], "relay:relay", &arguments));
    relay.wait_for("listening on unix:");
    let given = user.path("given.sock");
    let serves = || {
        streams(address);
        let url = format!("unix:{}", given.display());
        assert_eq!(user.run(&["status", "--url", &url]).code, Some(0));
    };
    serves();
    let new = Successor::take_over(&mut relay);
    relay.wait_for_end();
    serves();
    new.signal("TERM");
    new.wait_for_end();
    assert!(given.exists() && !user.path("other.sock").exists());

    // The next start uses them again. A client that has connected in between was not refused.
    let mut early = Connection::request_stream(address);
    let sockets = [kept_tcp.into(), kept_unix.into()];
    let mut relay = Process::spawn(activated(&user, sockets, "relay:relay", &arguments));
    relay.wait_for("listening on unix:");
    assert!(early.read_to_end().contains("event: message_stop\n"));
    relay.signal("TERM");
    within_limit("the end of the relay", || !relay.is_running());
    assert!(given.exists());
}
