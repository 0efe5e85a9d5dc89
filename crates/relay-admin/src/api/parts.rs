//! The parts that the admin API shows and controls.

use std::fmt;
use std::sync::Arc;

use relay_config::{Config, Secret, ServerConfig};
use relay_server::Reloadable;

use super::hook::Reload;
use crate::backlog::Backlog;
use crate::budget::Budgets;
use crate::events::Events;
#[cfg(feature = "ledger")]
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::prompt_cache::PromptCache;
use crate::recent::Recent;
use crate::series::Series;

/// Returns a shell command that starts Claude Code with a relay that has this configuration. It contains no secret. `None` if no
/// client can be served.
pub type ClientCommand = Arc<dyn Fn(&Config) -> Option<String> + Send + Sync>;

/// The parts that the admin API shows and controls. `recent`, `series` and `events` are subscribers of the relay's records.
#[non_exhaustive]
pub struct AdminParts {
    /// The relay.
    pub relay: Reloadable,
    /// The last requests.
    pub recent: Recent,
    /// The figures of the last hour.
    pub series: Series,
    /// The events.
    pub events: Events,
    /// The records that the parts have not taken in yet, which is flushed before each answer. `None` if the parts subscribe
    /// themselves.
    pub backlog: Option<Backlog>,
    /// The metrics; `None` if this listener does not serve them.
    pub metrics: Option<Metrics>,
    /// The path of the metrics. Default `/metrics`.
    pub metrics_path: String,
    /// The usage ledger; `None` if there is none.
    #[cfg(feature = "ledger")]
    pub ledger: Option<Ledger>,
    /// The reason for which there is no ledger, for the answers of the API.
    #[cfg(feature = "ledger")]
    pub no_ledger: Option<String>,
    /// The money that clients have spent.
    pub budgets: Option<Budgets>,
    /// The sessions, and the diagnosis of their prompt caches.
    pub prompt_cache: Option<PromptCache>,
    /// The settings of listeners: accepted hosts, the time limit of writes, and HTTP/2.
    pub server: ServerConfig,
    /// The token that clients have to send. Without one, every client of this machine is admitted.
    pub token: Option<Secret>,
    /// Reads the configuration again.
    pub reload: Option<Arc<dyn Reload>>,
    /// The warnings of the configuration.
    pub warnings: Vec<String>,
    /// Returns the command that starts Claude Code, by the configuration that is in use.
    pub client_command: Option<ClientCommand>,
}

impl AdminParts {
    /// Creates the parts of an API without a token.
    #[must_use]
    pub fn new(relay: Reloadable, recent: Recent, series: Series, events: Events) -> Self {
        Self {
            relay,
            recent,
            series,
            events,
            backlog: None,
            metrics: None,
            metrics_path: "/metrics".to_owned(),
            #[cfg(feature = "ledger")]
            ledger: None,
            #[cfg(feature = "ledger")]
            no_ledger: None,
            budgets: None,
            prompt_cache: None,
            server: ServerConfig::default(),
            token: None,
            reload: None,
            warnings: Vec::new(),
            client_command: None,
        }
    }
}

impl fmt::Debug for AdminParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminParts").field("recent", &self.recent).finish_non_exhaustive()
    }
}
