//! Signals of the operating system.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

/// A signal to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A signal with this name, which stops the process.
    Stop(&'static str),
    /// SIGHUP: the log file is to be reopened, as after its rotation. Windows has no such signal.
    #[cfg_attr(windows, allow(dead_code))]
    HangUp,
    /// SIGUSR2: a new process is to take the place of this one. Windows has no such signal.
    #[cfg_attr(windows, allow(dead_code))]
    HandOver,
}

/// Makes a write beyond the limit of file sizes an error, like one to a full disk. By default SIGXFSZ ends a process whose log or
/// ledger reaches `ulimit -f`, or `LimitFSIZE=` of systemd. Needs a runtime.
#[cfg(unix)]
pub(crate) fn survive_file_size_limit() -> io::Result<()> {
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler outlives its receiver.
    signal(kind).map(drop)
}

/// Receives SIGINT, SIGTERM, SIGHUP and SIGUSR2. Once it exists, these signals no longer end the process by themselves.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    hand_over: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        survive_file_size_limit()?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            hand_over: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.hang_up.recv() => Signal::HangUp,
            _ = self.hand_over.recv() => Signal::HandOver,
        }
    }

    /// Waits for a signal that stops the process, and returns its name. The others are kept for [`next`](Self::next).
    pub(crate) async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Receives Ctrl-C.
#[cfg(windows)]
#[derive(Debug)]
pub(crate) struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        self.0.recv().await;
        Signal::Stop("Ctrl-C")
    }
}
