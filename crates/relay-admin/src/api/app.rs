//! The shared state of the handlers.

use std::sync::Mutex;
use std::time::SystemTime;

use super::parts::AdminParts;
use super::token::Token;
use crate::model::unix_ms;

/// The shared state of the handlers.
pub(super) struct App {
    pub(super) parts: AdminParts,
    /// The token in use, at first that of `parts`.
    pub(super) token: Token,
    pub(super) started_unix_ms: u64,
    /// Held while the configuration is read and put into use.
    pub(super) reloading: Mutex<()>,
    /// The places of queries that read the ledger, each of which occupies a thread.
    #[cfg(feature = "ledger")]
    pub(super) queries: tokio::sync::Semaphore,
}

/// The most queries of the ledger at one time. Further ones wait.
#[cfg(feature = "ledger")]
const QUERIES: usize = 2;

impl App {
    pub(super) fn new(parts: AdminParts) -> Self {
        Self {
            token: Token::new(parts.token.as_ref()),
            parts,
            started_unix_ms: unix_ms(SystemTime::now()),
            reloading: Mutex::default(),
            #[cfg(feature = "ledger")]
            queries: tokio::sync::Semaphore::new(QUERIES),
        }
    }

    /// Hands the records of requests that have ended to the parts.
    pub(super) async fn flush(&self) {
        if let Some(backlog) = self.parts.backlog.clone() {
            // An error would be a panic, which the backlog does not have.
            let _ = tokio::task::spawn_blocking(move || backlog.flush()).await;
        }
    }
}
