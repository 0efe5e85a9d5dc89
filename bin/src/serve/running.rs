//! The process while it serves, and its end.

use std::process::ExitCode;

use relay_server::Reloadable;
use tokio::task::JoinError;

use super::announce::log_stop;
use super::error::ServeError;
#[cfg(unix)]
use crate::handover::Successor;
use crate::lifecycle::{End, Lifecycle};
use crate::listener_group::ListenerGroup;
use crate::notify::Notifier;
use crate::traces::Export;

/// The process while it serves.
pub(super) struct Running<'a> {
    pub(super) relay: Reloadable,
    pub(super) lifecycle: Lifecycle<'a>,
    pub(super) notifier: Notifier,
    pub(super) traces: Export,
    /// The listeners of clients.
    pub(super) clients: ListenerGroup,
    /// The listeners that show the observers.
    pub(super) observers: ListenerGroup,
}

impl Running<'_> {
    /// Serves until a signal or a new process ends this one, and until open requests have ended or been cut.
    pub(super) async fn until_end(mut self) -> Result<ExitCode, ServeError> {
        let end = tokio::select! {
            end = self.lifecycle.end() => end,
            error = self.clients.failed() => return Err(error.into()),
        };
        let is_replaced = match end {
            End::Signal(signal) => {
                self.stop(signal);
                false
            }
            #[cfg(unix)]
            End::Replaced(successor) => {
                self.hand_over(&successor).await;
                true
            }
        };
        self.wind_down(is_replaced).await
    }

    /// Stops the listeners of clients. An operator can watch until these have drained.
    fn stop(&self, signal: &str) {
        log_stop(signal, &self.relay.relay().config().server);
        self.notifier.stopping("draining: open requests may finish");
        self.clients.close();
    }

    /// Leaves the sockets to `successor`, which serves.
    #[cfg(unix)]
    async fn hand_over(&mut self, successor: &Successor) {
        let (pid, limit) = (successor.pid(), self.relay.relay().config().server.drain_timeout);
        // Before the listeners, which would remove the files of their sockets.
        self.lifecycle.leave_sockets();
        // The new process has state of its own.
        tokio::join!(self.clients.hand_over(), self.observers.hand_over());
        tracing::info!(pid, ?limit, "handed over to a new process; open requests may finish");
        self.notifier.replaced_by(pid);
    }

    /// Waits until the listeners have drained, or until a signal ends the process at once.
    async fn wind_down(self, is_replaced: bool) -> Result<ExitCode, ServeError> {
        let Self { mut lifecycle, notifier, traces, mut clients, mut observers, .. } = self;
        let ended = async {
            let cut = clients.drained().await?;
            observers.close();
            observers.drained().await?;
            traces.shutdown().await;
            Ok::<_, JoinError>(cut)
        };
        tokio::select! {
            cut = ended => match cut? {
                0 => tracing::info!("stopped"),
                cut => tracing::warn!(cut, "stopped; connections that were still busy have been cut"),
            },
            signal = lifecycle.second_signal(is_replaced) => {
                tracing::warn!(signal, "stopped at once; open requests have been cut");
                return Ok(ExitCode::FAILURE);
            }
            () = notifier.extend_stop() => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}
