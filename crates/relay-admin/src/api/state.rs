//! `GET /admin/v1/state`.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;

use super::app::App;
use crate::model::{ErrorBody, LedgerBody, ProcessFacts, StateBody, unix_ms};
use crate::prompt_cache::PromptCache;

/// Returns the state of the relay: its providers with circuits, keys, limits and cooldowns.
#[utoipa::path(
    get,
    path = "/admin/v1/state",
    tag = "state",
    responses((status = 200, body = StateBody), (status = 401, body = ErrorBody))
)]
pub(super) async fn state(State(app): State<Arc<App>>) -> Json<StateBody> {
    Json(app.state())
}

impl App {
    /// Returns the state now.
    pub(super) fn state(&self) -> StateBody {
        let facts = ProcessFacts {
            started_unix_ms: self.started_unix_ms,
            now_unix_ms: unix_ms(SystemTime::now()),
            in_flight: self.parts.recent.in_flight() as u64,
            sessions: self.parts.prompt_cache.as_ref().map_or(0, PromptCache::session_count) as u64,
            warnings: self.warnings(),
            ledger: self.ledger(),
            client_command: self.client_command(),
        };
        StateBody::new(self.parts.relay.relay().state(), facts)
    }

    fn client_command(&self) -> Option<String> {
        self.parts.client_command.as_ref()?(self.parts.relay.relay().config())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.parts.warnings.clone();
        warnings.extend(self.parts.reload.iter().flat_map(|reload| reload.warnings()));
        warnings
    }

    #[cfg(feature = "ledger")]
    fn ledger(&self) -> LedgerBody {
        match &self.parts.ledger {
            Some(ledger) => LedgerBody { enabled: true, dropped: ledger.dropped(), error: ledger.error() },
            None => LedgerBody::default(),
        }
    }

    #[cfg(not(feature = "ledger"))]
    fn ledger(&self) -> LedgerBody {
        LedgerBody::default()
    }
}
