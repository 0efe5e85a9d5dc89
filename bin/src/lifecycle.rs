//! The events that end the process: signals, and a new process that takes its place.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::logging::Log;
use crate::signals::{Signal, Signals};
#[cfg(unix)]
use crate::{
    handover::{HandOver, Successor},
    sockets::Sockets,
};

/// The reason for which the process stops.
pub(crate) enum End {
    /// A signal with this name.
    Signal(&'static str),
    /// A new process that serves.
    #[cfg(unix)]
    Replaced(Successor),
}

/// Waits for the events that end the process.
pub(crate) struct Lifecycle<'a> {
    signals: Signals,
    log: &'a Log,
    hang_up: Arc<Notify>,
    #[cfg(unix)]
    hand_over: HandOver,
}

impl<'a> Lifecycle<'a> {
    /// Each SIGHUP is passed on to `hang_up`.
    #[cfg(unix)]
    pub(crate) fn new(signals: Signals, log: &'a Log, hang_up: Arc<Notify>, sockets: Sockets) -> Self {
        Self { signals, log, hang_up, hand_over: HandOver::new(sockets.into_used()) }
    }

    #[cfg(not(unix))]
    pub(crate) fn new(
        signals: Signals,
        log: &'a Log,
        hang_up: Arc<Notify>,
        _: crate::sockets::Sockets,
    ) -> Self {
        Self { signals, log, hang_up }
    }

    /// Waits for a signal that stops the process, or for a new process that takes its place. SIGHUP reopens the log file. SIGUSR2
    /// starts a new process.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            #[cfg(unix)]
            let signal = tokio::select! {
                signal = self.signals.next() => signal,
                successor = self.hand_over.served() => return End::Replaced(successor),
            };
            #[cfg(not(unix))]
            let signal = self.signals.next().await;
            match signal {
                Signal::Stop(name) => {
                    // Otherwise the system would accept connections after the listeners are closed.
                    #[cfg(unix)]
                    self.hand_over.close();
                    return End::Signal(name);
                }
                Signal::HangUp => self.hang_up(),
                #[cfg(unix)]
                Signal::HandOver => self.hand_over.begin(),
                #[cfg(not(unix))]
                Signal::HandOver => {}
            }
        }
    }

    /// Waits for the signal that ends the process at once, while it stops. If a new process has taken its place, no signal has
    /// stopped it yet: the first one is ignored, as a service manager sends it to both processes.
    pub(crate) async fn second_signal(&mut self, mut is_replaced: bool) -> &'static str {
        loop {
            match self.signals.next().await {
                Signal::Stop(signal) if is_replaced => {
                    tracing::info!(signal, "draining since the hand-over; a second signal ends at once");
                    is_replaced = false;
                }
                Signal::Stop(name) => return name,
                Signal::HangUp => self.hang_up(),
                Signal::HandOver => tracing::warn!("SIGUSR2 is ignored: this process stops"),
            }
        }
    }

    fn hang_up(&self) {
        self.log.reopen();
        tracing::info!("SIGHUP: a log file is reopened");
        self.hang_up.notify_one();
    }

    /// Leaves the sockets to the new process, which has them as well.
    #[cfg(unix)]
    pub(crate) fn leave_sockets(&mut self) {
        self.hand_over.keep_files();
        self.hand_over.close();
    }
}
