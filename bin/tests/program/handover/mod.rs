//! A new process that takes the place of the running one.

mod failures;
mod listeners;
mod load;
mod manager;
mod program;

use std::net::SocketAddr;

use crate::process::{Connection, Process, User, signal, within_limit};

/// A configuration with one provider that answers by itself.
const MOCK: &str = "providers: [{ name: a, type: mock }]\n";

/// The line of the log about a new process that serves.
const HANDED_OVER: &str = "handed over to a new process";
/// The line of the log about a new process that cannot serve.
const FAILED: &str = "the hand-over has failed";

/// A new process, which is no child of the test. It is killed when the test ends.
struct Successor(u32);

impl Successor {
    /// Finds the process that the log names.
    fn of(line: &str) -> Self {
        let pid = line.split("pid=").nth(1).unwrap();
        let pid: String = pid.chars().take_while(char::is_ascii_digit).collect();
        Self(pid.parse().unwrap())
    }

    /// Starts a new process by a signal to `old`, and waits until it serves.
    fn take_over(old: &mut Process) -> Self {
        old.signal("USR2");
        Self::of(&old.wait_for(HANDED_OVER))
    }

    fn signal(&self, name: &str) {
        assert!(signal(self.0, name), "the process {} has ended", self.0);
    }

    /// Returns `true` if the process has ended, and its parent has taken notice.
    fn has_ended(&self) -> bool {
        self.status().is_none()
    }

    fn wait_for_end(&self) {
        within_limit("the end of the process", || self.has_ended());
    }

    /// Returns `true` if the process handles SIGUSR2, the last of its signals.
    fn handles_signals(&self) -> bool {
        let status = self.status().unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (12 - 1)) != 0
    }

    /// Returns the state of the process that Linux shows, until it is gone.
    fn status(&self) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/status", self.0)).ok()
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        signal(self.0, "KILL");
    }
}

/// Starts a relay with [`MOCK`] as its configuration.
fn serve(user: &User) -> (Process, SocketAddr) {
    user.write("config.yaml", MOCK);
    user.serve(&["--config", "config.yaml"])
}

/// Streams a message from the relay at `address`.
#[track_caller]
fn streams(address: SocketAddr) {
    assert!(Connection::request_stream(address).read_to_end().contains("event: message_stop\n"));
}
