//! The parts that observe the relay, and the admin API that shows them.

use std::sync::Arc;

use relay_admin::api::{Admin, AdminParts, Reload};
use relay_admin::events::Events;
use relay_admin::recent::Recent;
use relay_admin::series::Series;
use relay_config::{AdminConfig, ServerConfig};
use relay_server::{Builder, Reloadable};

/// The number of requests that have ended and are shown.
const REQUESTS: usize = 1000;
/// The number of events that a client which connects again can catch up with.
const EVENTS: usize = 1024;

/// The subscribers of the relay's records.
pub(crate) struct Observers {
    recent: Recent,
    series: Series,
    events: Events,
}

impl Observers {
    pub(crate) fn new() -> Self {
        Self { recent: Recent::new(REQUESTS), series: Series::new(), events: Events::new(EVENTS) }
    }

    /// Hands the records of the relay that `builder` builds to the observers.
    pub(crate) fn subscribe(&self, builder: Builder) -> Builder {
        builder
            .on_finished(self.recent.clone())
            .on_finished(self.series.clone())
            .on_finished(self.events.clone())
    }

    /// The admin API of `relay`, whose configuration `reload` reads again.
    pub(crate) fn admin(
        self,
        relay: Reloadable,
        config: &AdminConfig,
        server: &ServerConfig,
        reload: Option<Arc<dyn Reload>>,
        warnings: Vec<String>,
    ) -> Admin {
        let mut parts = AdminParts::new(relay, self.recent, self.series, self.events);
        parts.server = server.clone();
        parts.token = config.token.clone();
        parts.reload = reload;
        parts.warnings = warnings;
        Admin::new(parts)
    }
}
