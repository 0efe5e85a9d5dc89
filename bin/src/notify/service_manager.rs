//! Reports to a service manager: `sd_notify`, as systemd defines it.
//!
//! Without `NOTIFY_SOCKET` in the environment, nothing is reported.
//!
//! # Source
//! `sd_notify(3)`, `sd_watchdog_enabled(3)`. `MONOTONIC_USEC` is needed in the message with `RELOADING=1` by `Type=notify-reload`.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;

use super::socket::NotifySocket;
use crate::settings::variable;

/// The time until the next report of a stop that goes on.
const EXTEND_INTERVAL: Duration = Duration::from_secs(10);
/// The time for which each report extends the time limit of a stop.
const EXTENSION: Duration = Duration::from_secs(30);

/// Reports the state of the process to its service manager. Clones share the state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifier(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    socket: NotifySocket,
    /// True once the process stops, or another one has taken its place.
    is_ending: AtomicBool,
    /// True once another process has taken its place.
    is_replaced: AtomicBool,
}

impl Notifier {
    /// Reads the address of the service manager from `NOTIFY_SOCKET`.
    pub(crate) fn from_environment() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        match NotifySocket::open(&address) {
            Ok(socket) => Self(Some(Arc::new(Shared::new(socket)))),
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET cannot be used; the service manager gets no reports");
                Self::default()
            }
        }
    }

    /// Reports that requests are served. `status` is one line for an operator.
    pub(crate) fn ready(&self, status: &str) {
        self.send_unless_ending(&format!("READY=1\nSTATUS={status}"));
    }

    /// Reports the start of a reload.
    pub(crate) fn reload_starts(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send_unless_ending(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// Reports the end of a reload.
    pub(crate) fn reload_ends(&self) {
        self.send_unless_ending("READY=1");
    }

    /// Reports that the process stops. Reports of its readiness are dropped from now on.
    pub(crate) fn stopping(&self, status: &str) {
        if let Some(shared) = &self.0 {
            shared.is_ending.store(true, Ordering::Relaxed);
            let extension = EXTENSION.as_micros();
            shared.send(&format!("STOPPING=1\nSTATUS={status}\nEXTEND_TIMEOUT_USEC={extension}"));
        }
    }

    /// Extends the time limit of a stop again and again, until it is dropped.
    pub(crate) async fn extend_stop(&self) {
        loop {
            sleep(EXTEND_INTERVAL).await;
            if let Some(shared) = self.0.as_ref().filter(|shared| !shared.is_replaced()) {
                shared.send(&format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros()));
            }
        }
    }

    /// Reports that the process `pid` has taken the place of this one. Nothing else is reported from now on.
    pub(crate) fn replaced_by(&self, pid: u32) {
        if let Some(shared) = &self.0 {
            shared.is_ending.store(true, Ordering::Relaxed);
            shared.is_replaced.store(true, Ordering::Relaxed);
            shared.send(&format!("MAINPID={pid}"));
        }
    }

    /// Reports at half of `WATCHDOG_USEC` that the runtime makes progress, until it is dropped or the place is taken.
    pub(crate) async fn keep_alive(self) {
        let (Some(shared), Some(limit)) = (&self.0, watchdog_limit()) else { return };
        while !shared.is_replaced() {
            // A new task shows that the runtime runs tasks. An error means that it ends.
            if tokio::spawn(async {}).await.is_err() {
                return;
            }
            shared.send("WATCHDOG=1");
            sleep(limit / 2).await;
        }
    }

    fn send_unless_ending(&self, message: &str) {
        if let Some(shared) = self.0.as_ref().filter(|shared| !shared.is_ending.load(Ordering::Relaxed)) {
            shared.send(message);
        }
    }
}

impl Shared {
    fn new(socket: NotifySocket) -> Self {
        Self { socket, is_ending: AtomicBool::new(false), is_replaced: AtomicBool::new(false) }
    }

    fn is_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::Relaxed)
    }

    fn send(&self, message: &str) {
        match self.socket.send(message) {
            Ok(()) => {}
            // The service manager is restarted, or has no room.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::WouldBlock) => {
                tracing::debug!(%error, "a report to the service manager is lost");
            }
            Err(error) => tracing::warn!(%error, "a report to the service manager is lost"),
        }
    }
}

/// Returns the time within which the service manager expects a report. `None` if it expects none of this process.
fn watchdog_limit() -> Option<Duration> {
    let is_other = |pid: String| pid.parse() != Ok(std::process::id());
    if variable("WATCHDOG_PID").is_some_and(is_other) {
        return None;
    }
    let limit = variable("WATCHDOG_USEC")?.parse().ok().filter(|limit| *limit > 0)?;
    Some(Duration::from_micros(limit))
}
