//! The log file of `cc-relay serve`: rotated, removed, full.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::measure::limit_file_size;
use crate::process::{Connection, Process, User};

/// The time limit of any step. No step needs a tenth of it.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits until the file contains `phrase`, while `stir` causes further lines.
#[track_caller]
fn wait_for(path: &Path, phrase: &str, mut stir: impl FnMut()) -> String {
    let started = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.contains(phrase) {
            return text;
        }
        assert!(started.elapsed() < STEP_TIMEOUT, "no {phrase:?} in:\n{text}");
        stir();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts `serve --demo` with `logs/log` as its log file.
fn serve_with_log(user: &User) -> Process {
    let file = user.path("logs/log").display().to_string();
    user.spawn_with(&["serve", "--demo", "--listen", "127.0.0.1:0"], &[("CC_RELAY_LOGGING__OUTPUT", file)])
}

fn address_in(log: &str) -> std::net::SocketAddr {
    let address = log.split("listening on http://").nth(1).unwrap();
    address.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_hangup_is_logged_and_reopens_the_log_file() {
    let user = User::new();
    std::fs::create_dir(user.path("logs")).unwrap();
    let (log, rotated) = (user.path("logs/log"), user.path("logs/log.1"));
    let mut relay = serve_with_log(&user);
    wait_for(&log, "to use it", || {});
    for _ in 0..2 {
        std::fs::rename(&log, &rotated).unwrap();
        relay.signal("HUP");
        wait_for(&log, "SIGHUP: a log file is reopened", || {});
    }
    assert!(relay.is_running());
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    assert!(std::fs::read_to_string(&log).unwrap().contains("stopped"));
}

#[test]
fn a_hangup_does_not_end_a_relay_that_logs_to_standard_output() {
    let (mut relay, address) = User::new().serve(&["--demo"]);
    relay.signal("HUP");
    relay.wait_for("SIGHUP");
    let mut client = Connection::request_stream(address);
    assert!(client.read_to_end().contains("message_stop"));
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
}

#[test]
fn a_removed_log_file_is_created_again() {
    let user = User::new();
    std::fs::create_dir(user.path("logs")).unwrap();
    let log = user.path("logs/log");
    let _relay = serve_with_log(&user);
    let address = address_in(&wait_for(&log, "to use it", || {}));
    std::fs::remove_file(&log).unwrap();
    wait_for(&log, "end=\"complete\"", || {
        Connection::request_stream(address).read_to_end();
    });
}

#[test]
fn a_full_disk_is_reported_on_standard_error_and_the_log_recovers() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let user = User::new();
    std::fs::create_dir(user.path("logs")).unwrap();
    let log = user.path("logs/log");
    symlink("/dev/full", &log).unwrap();
    let mut relay = serve_with_log(&user);
    let mut report = [0; 38];
    relay.stderr_reader().read_exact(&mut report).unwrap();
    assert_eq!(&report, b"cc-relay: cannot write the log: No spa");

    std::fs::remove_file(&log).unwrap();
    wait_for(&log, "the log can be written again", || relay.signal("HUP"));
    assert!(relay.is_running());
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_that_has_reached_the_limit_of_file_sizes_is_reported_and_recovers() {
    let user = User::new();
    std::fs::create_dir(user.path("logs")).unwrap();
    let log = user.path("logs/log");
    let mut relay = serve_with_log(&user);
    let address = address_in(&wait_for(&log, "to use it", || {}));
    limit_file_size(&relay, Some(0));
    assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
    let mut report = [0; 45];
    relay.stderr_reader().read_exact(&mut report).unwrap();
    assert_eq!(&report, b"cc-relay: cannot write the log: File too larg");
    assert!(relay.is_running());
    limit_file_size(&relay, None);
    wait_for(&log, "the log can be written again", || {
        Connection::request_stream(address).read_to_end();
    });
}

#[test]
fn a_log_file_that_is_copied_and_truncated_continues_at_its_start() {
    let user = User::new();
    std::fs::create_dir(user.path("logs")).unwrap();
    let log = user.path("logs/log");
    let _relay = serve_with_log(&user);
    let address = address_in(&wait_for(&log, "to use it", || {}));
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
    let text = wait_for(&log, "end=\"complete\"", || {
        Connection::request_stream(address).read_to_end();
    });
    assert!(!text.contains('\0'), "no gap before the first line: {text:?}");
}

#[test]
fn no_line_is_lost_or_written_twice_while_the_log_is_rotated_under_load() {
    const ROTATIONS: usize = 5;
    let user = User::new();
    std::fs::create_dir(user.path("logs")).unwrap();
    let log = user.path("logs/log");
    let mut relay = serve_with_log(&user);
    let address = address_in(&wait_for(&log, "to use it", || {}));
    let ends = AtomicBool::new(false);
    let served = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut served = 0;
                    while !ends.load(Ordering::Relaxed) {
                        assert!(Connection::request_stream(address).read_to_end().contains("message_stop"));
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for number in 0..ROTATIONS {
            std::fs::rename(&log, user.path(&format!("logs/log.{number}"))).unwrap();
            relay.signal("HUP");
            wait_for(&log, "end=\"complete\"", || {});
        }
        ends.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum::<usize>()
    });
    relay.signal("TERM");
    assert_eq!(relay.exit_code(), Some(0));
    let files = (0..ROTATIONS).map(|number| user.path(&format!("logs/log.{number}"))).chain([log]);
    let lines: usize =
        files.map(|file| std::fs::read_to_string(file).unwrap().matches("end=\"complete\"").count()).sum();
    assert_eq!(lines, served);
}

#[test]
fn a_removed_directory_is_reported_and_the_log_recovers() {
    let user = User::new();
    std::fs::create_dir(user.path("logs")).unwrap();
    let log = user.path("logs/log");
    let mut relay = serve_with_log(&user);
    wait_for(&log, "to use it", || {});
    std::fs::remove_dir_all(user.path("logs")).unwrap();
    relay.signal("HUP");
    let mut report = [0; 32];
    relay.stderr_reader().read_exact(&mut report).unwrap();
    assert_eq!(&report, b"cc-relay: cannot write the log: ");
    std::fs::create_dir(user.path("logs")).unwrap();
    wait_for(&log, "the log can be written again", || relay.signal("HUP"));
}
