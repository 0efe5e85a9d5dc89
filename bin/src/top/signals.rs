//! The signals that end or suspend `top`.

use std::io;

/// The meaning of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGINT, SIGTERM or SIGHUP: the terminal is restored, and the process ends.
    Stop,
    /// SIGTSTP: the terminal is restored until the process continues. Windows has no such signal.
    #[cfg_attr(windows, allow(dead_code))]
    Suspend,
    /// SIGCONT: the process was stopped, maybe by a signal that cannot be received.
    #[cfg_attr(windows, allow(dead_code))]
    Continue,
}

/// Receives the signals. Once it exists, they no longer end or suspend the process by themselves.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    stop: [tokio::signal::unix::Signal; 3],
    suspend: tokio::signal::unix::Signal,
    resume: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let stop = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        let numbers = [signal_hook::consts::SIGTSTP, signal_hook::consts::SIGCONT];
        let [suspend, resume] = numbers.map(|number| signal(SignalKind::from_raw(number)));
        Ok(Self { stop, suspend: suspend?, resume: resume? })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Signal {
        let [interrupt, terminate, hang_up] = &mut self.stop;
        tokio::select! {
            _ = interrupt.recv() => Signal::Stop,
            _ = terminate.recv() => Signal::Stop,
            _ = hang_up.recv() => Signal::Stop,
            _ = self.suspend.recv() => Signal::Suspend,
            _ = self.resume.recv() => Signal::Continue,
        }
    }
}

/// Receives Ctrl-C and Ctrl-Break.
#[cfg(windows)]
#[derive(Debug)]
pub(super) struct Signals(tokio::signal::windows::CtrlBreak);

#[cfg(windows)]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_break().map(Self)
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Signal {
        self.0.recv().await;
        Signal::Stop
    }
}
