//! The shared state of the handlers.

use std::sync::Mutex;
use std::time::SystemTime;

use super::parts::AdminParts;
use crate::model::unix_ms;

/// The shared state of the handlers.
pub(super) struct App {
    pub(super) parts: AdminParts,
    pub(super) started_unix_ms: u64,
    /// Held while the configuration is read and put into use.
    pub(super) reloading: Mutex<()>,
}

impl App {
    pub(super) fn new(parts: AdminParts) -> Self {
        Self { parts, started_unix_ms: unix_ms(SystemTime::now()), reloading: Mutex::default() }
    }
}
