//! New processes that cannot serve: the old one goes on, and a later hand-over succeeds.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{FAILED, HANDED_OVER, MOCK, Successor, serve, streams};
use crate::process::{Connection, Process, User, within_limit};

/// A relay whose next process blocks while it opens its log file, until [`unblock`](Blocking::unblock).
struct Blocking {
    user: User,
    relay: Process,
    address: SocketAddr,
}

impl Blocking {
    fn start() -> Self {
        let user = User::new();
        user.write("config.yaml", MOCK);
        let (relay, address) = user.serve(&["--config", "config.yaml"]);
        let made = Command::new("mkfifo").arg(user.path("log")).status().unwrap();
        assert!(made.success());
        user.write("config.yaml", &format!("{MOCK}logging: {{ output: log }}\n"));
        Self { user, relay, address }
    }

    /// Starts a new process, which has received the sockets and blocks.
    fn begin(&mut self) -> Successor {
        self.relay.signal("USR2");
        let new = Successor::of(&self.relay.wait_for("a new process is started"));
        // It handles signals only then.
        within_limit("a handler of signals", || new.handles_signals());
        new
    }

    /// Lets the new process go on. Returns its log.
    fn unblock(&self) -> fs::File {
        fs::File::open(self.user.path("log")).unwrap()
    }
}

#[test]
fn a_mistake_in_the_configuration_is_in_the_log_of_the_old_process() {
    let user = User::new();
    let (mut relay, address) = serve(&user);
    user.write("config.yaml", "providers: [{ name: a, type: moc }]\n");
    relay.signal("USR2");
    let line = relay.wait_for(FAILED);
    assert!(line.contains("config.yaml:1:30: providers[0].type: found"), "{line}");
    streams(address);

    user.write("config.yaml", MOCK);
    let new = Successor::take_over(&mut relay);
    relay.wait_for("stopped");
    // The new process hands over at once.
    new.signal("USR2");
    let newest = Successor::of(&relay.wait_for(HANDED_OVER));
    streams(address);
    newest.signal("TERM");
}

#[test]
fn file_descriptors_do_not_leak_with_each_attempt() {
    let user = User::new();
    let (mut relay, address) = serve(&user);
    let count = |relay: &Process| fs::read_dir(format!("/proc/{}/fd", relay.id())).unwrap().count();
    let fails = |relay: &mut Process| {
        relay.signal("USR2");
        relay.wait_for(FAILED);
    };
    fs::remove_file(user.path("config.yaml")).unwrap();
    fails(&mut relay);
    let before = count(&relay);
    for _ in 0..10 {
        fails(&mut relay);
    }
    assert_eq!(count(&relay), before);
    user.write("config.yaml", MOCK);
    let _new = Successor::take_over(&mut relay);
    streams(address);
}

#[test]
fn a_program_that_is_no_relay_leaves_the_old_process_in_place() {
    let user = User::new();
    let program = user.path("program");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cc-relay"), &program).unwrap();
    user.write("config.yaml", MOCK);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--config", "config.yaml"];
    let mut command = user.program(&program);
    command.args(arguments);
    let (mut relay, address) = Process::spawn(command).listening();
    for (text, mode, expected) in [
        ("#!/bin/sh\nkill -SEGV $$\n", 0o755, "the new process has ended (signal: 11 (SIGSEGV)"),
        ("#!/bin/sh\nexit 3\n", 0o755, "the new process has ended (exit status: 3)"),
        ("#!/bin/sh\necho junk >&0\n", 0o755, "the new process is not ready: junk"),
        ("#!/bin/sh\nexit 0\n", 0o644, "Permission denied"),
        ("no program", 0o755, "cannot start "),
    ] {
        fs::remove_file(&program).unwrap();
        user.write("program", text);
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        relay.signal("USR2");
        let line = relay.wait_for(FAILED);
        assert!(line.contains(expected), "no {expected:?} in {line}");
        streams(address);
    }
    fs::remove_file(&program).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cc-relay"), &program).unwrap();
    let _new = Successor::take_over(&mut relay);
    streams(address);
}

#[test]
fn a_signal_that_stops_the_new_process_before_it_serves_leaves_the_old_one_in_place() {
    let mut blocking = Blocking::start();
    for signal in ["TERM", "INT", "KILL"] {
        let new = blocking.begin();
        new.signal(signal);
        let _log = (signal != "KILL").then(|| blocking.unblock());
        let line = blocking.relay.wait_for(FAILED);
        let expected = match signal {
            "KILL" => "the new process has ended (signal: 9 (SIGKILL))".to_owned(),
            name => format!("stopped by SIG{name} before it served"),
        };
        assert!(line.contains(&expected), "no {expected:?} in {line}");
        streams(blocking.address);
    }
}

#[test]
fn a_second_signal_during_a_hand_over_starts_no_second_process() {
    let mut blocking = Blocking::start();
    let new = blocking.begin();
    blocking.relay.signal("USR2");
    blocking.relay.wait_for("SIGUSR2 is ignored: a hand-over is in progress");
    let _log = blocking.unblock();
    let line = blocking.relay.wait_for(HANDED_OVER);
    assert!(line.contains(&format!("pid={}", new.0)), "{line}");
    blocking.relay.wait_for("stopped");
    streams(blocking.address);
}

#[test]
fn a_stop_of_the_old_process_ends_the_new_one_that_does_not_serve_yet() {
    let mut blocking = Blocking::start();
    let new = blocking.begin();
    blocking.relay.signal("TERM");
    blocking.relay.wait_for("the hand-over is given up, and the new process is killed");
    assert_eq!(blocking.relay.exit_code(), Some(0));
    assert!(new.has_ended(), "the new process is left behind");
    assert!(TcpStream::connect(blocking.address).is_err());
}

#[test]
fn the_new_process_serves_if_the_old_one_is_killed_meanwhile() {
    let mut blocking = Blocking::start();
    let new = blocking.begin();
    blocking.relay.signal("KILL");
    blocking.relay.wait_for_end();
    // The queue of the socket, which the new process has, keeps the connection.
    let mut waiting = Connection::request_stream(blocking.address);
    let _log = blocking.unblock();
    assert!(waiting.read_to_end().contains("event: message_stop\n"));
    new.signal("TERM");
}

#[test]
fn an_address_in_use_that_the_configuration_adds_leaves_the_old_process_and_its_files_in_place() {
    let user = User::new();
    user.write("config.yaml", MOCK);
    let arguments = ["serve", "--config", "config.yaml"];
    user.write("config.yaml", &format!("server: {{ listen: [127.0.0.1:0, 'unix:a.sock'] }}\n{MOCK}"));
    let (mut relay, address) = Process::spawn(user.command(&arguments)).listening();
    relay.wait_for("listening on unix:a.sock");
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = other.local_addr().unwrap();
    let listen = |addresses: &str| {
        user.write("config.yaml", &format!("server: {{ listen: [{addresses}] }}\n{MOCK}"));
    };
    for (addresses, expected) in [
        (
            format!("127.0.0.1:0, 'unix:a.sock', {taken}"),
            format!("cannot listen on {taken}: the address is in use"),
        ),
        (
            "127.0.0.1:0, 'unix:a.sock', 'unix:missing/b.sock'".to_owned(),
            "its directory does not exist".to_owned(),
        ),
    ] {
        listen(&addresses);
        relay.signal("USR2");
        let line = relay.wait_for(FAILED);
        assert!(line.contains(&expected), "no {expected:?} in {line}");
        streams(address);
        assert_eq!(user.run(&["status", "--url", "unix:a.sock"]).code, Some(0));
    }
    listen("127.0.0.1:0, 'unix:a.sock'");
    let new = Successor::take_over(&mut relay);
    relay.wait_for("stopped");
    assert_eq!(user.run(&["status", "--url", "unix:a.sock"]).code, Some(0));
    new.signal("TERM");
    new.wait_for_end();
    assert!(!user.path("a.sock").exists(), "the file of the socket is left behind");
}
