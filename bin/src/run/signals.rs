//! The signals of this process while the command runs.

use std::io;
use std::process::{Child, ExitStatus};

#[cfg(not(unix))]
pub(super) use self::other::Signals;
#[cfg(unix)]
pub(super) use self::unix::Signals;

#[cfg(unix)]
mod unix {
    use rustix::io::Errno;
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpgrp, getpid, kill_process, waitid};
    use rustix::termios::tcgetpgrp;
    use tokio::signal::unix::{Signal as Receiver, SignalKind, signal};

    use super::{Child, ExitStatus, io};

    /// Receives the signals that would end this process. Once it exists, they no longer do.
    pub(in super::super) struct Signals {
        interrupt: Handler,
        quit: Handler,
        terminate: Handler,
        hang_up: Handler,
    }

    impl Signals {
        /// Receives the signals. A signal that is ignored, as SIGHUP by `nohup`, stays so for the command too.
        pub(in super::super) fn new() -> io::Result<Self> {
            let ignored = ignored_signals();
            let receive = |kind: SignalKind| Handler::new(kind, ignored);
            Ok(Self {
                interrupt: receive(SignalKind::interrupt())?,
                quit: receive(SignalKind::quit())?,
                terminate: receive(SignalKind::terminate())?,
                hang_up: receive(SignalKind::hangup())?,
            })
        }

        /// Waits for the end of the command, and hands signals on to it.
        pub(in super::super) async fn until_ended(mut self, mut child: Child) -> io::Result<ExitStatus> {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| io::Error::other("the process has no number"))?;
            let mut ended = tokio::task::spawn_blocking(move || {
                wait(pid)?;
                child.wait()
            });
            loop {
                tokio::select! {
                    ended = &mut ended => return ended.map_err(io::Error::other)?,
                    () = self.interrupt.next() => if !is_in_foreground() { hand_on(pid, Signal::INT) },
                    () = self.quit.next() => if !is_in_foreground() { hand_on(pid, Signal::QUIT) },
                    () = self.terminate.next() => hand_on(pid, Signal::TERM),
                    () = self.hang_up.next() => hand_on(pid, Signal::HUP),
                }
            }
        }
    }

    /// The receiver of one signal. `None` if it is ignored.
    struct Handler(Option<Receiver>);

    impl Handler {
        /// Receives the signal, unless its bit is among the ignored ones.
        fn new(kind: SignalKind, ignored: u64) -> io::Result<Self> {
            let bit = u32::try_from(kind.as_raw_value() - 1).ok().and_then(|bit| 1_u64.checked_shl(bit));
            match bit {
                Some(bit) if ignored & bit != 0 => Ok(Self(None)),
                _ => Ok(Self(Some(signal(kind)?))),
            }
        }

        async fn next(&mut self) {
            match &mut self.0 {
                Some(receiver) => drop(receiver.recv().await),
                None => std::future::pending().await,
            }
        }
    }

    /// Returns the signals that this process ignores, one bit each. Only Linux reports them.
    fn ignored_signals() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default()
    }

    /// Sends the command a signal that was sent to this process.
    fn hand_on(pid: Pid, signal: Signal) {
        // An error means that the command has just ended.
        let _ = kill_process(pid, signal);
    }

    /// Waits until the command has ended, without reaping it. If it stops itself, as Claude Code does for Ctrl-Z, this process
    /// stops too, so that the shell takes the terminal back.
    fn wait(pid: Pid) -> io::Result<()> {
        let wait = |options| match waitid(WaitId::Pid(pid), options) {
            Err(Errno::INTR) => Ok(None),
            result => result,
        };
        loop {
            let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
            let Some(status) = wait(options)? else { continue };
            if !status.stopped() {
                return Ok(());
            }
            // Ctrl-Z has stopped this process too. Once both continue, the command is not stopped any more.
            let is_stopped = wait(WaitIdOptions::STOPPED | WaitIdOptions::NOHANG)?.is_some();
            if is_stopped && is_in_foreground() {
                kill_process(getpid(), Signal::STOP)?;
                // The shell continues the whole process group. Another process may continue this one alone.
                hand_on(pid, Signal::CONT);
            }
        }
    }

    /// Returns `true` if the signals of a terminal's keys reach the command by themselves.
    fn is_in_foreground() -> bool {
        let terminal = std::fs::File::open("/dev/tty");
        terminal.is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
    }
}

#[cfg(not(unix))]
mod other {
    use super::{Child, ExitStatus, io};

    /// Receives Ctrl-C, which reaches the command by itself.
    pub(in super::super) struct Signals;

    impl Signals {
        pub(in super::super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the end of the command.
        pub(in super::super) async fn until_ended(self, mut child: Child) -> io::Result<ExitStatus> {
            let mut ended = tokio::task::spawn_blocking(move || child.wait());
            loop {
                tokio::select! {
                    ended = &mut ended => return ended.map_err(io::Error::other)?,
                    result = tokio::signal::ctrl_c() => result?,
                }
            }
        }
    }
}
