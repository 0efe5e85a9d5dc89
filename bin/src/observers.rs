//! The parts that observe the relay, and the services that show them.
//!
//! ```text
//! ObserverParts ─┬─▶ diagnosis of prompt caches ▶ log, ledger, admin listener
//!                ├─▶ metrics ───────────────────▶ metrics listener, or admin listener
//!                ├─▶ live parts ────────────────▶ admin listener: API, dashboard
//!                └─▶ ledger, budgets ───────────▶ admin listener, `cc-relay usage`
//! ```
//! Metrics and the live parts exist only if some listener shows them. The diagnosis of prompt caches always has a reader: its
//! warnings are lines of the log.

use std::sync::Arc;

use relay_admin::api::{Admin, AdminParts, ClientCommand, MetricsSite, Reload};
use relay_admin::metrics::{Metrics, MetricsSettings, Reloads};
use relay_admin::observers::{LiveParts, ObserverParts};
use relay_config::Config;
use relay_server::{Builder, Reloadable};

use crate::accounting::Accounting;

/// The subscribers of the relay's records.
pub(crate) struct Observers {
    accounting: Accounting,
    parts: ObserverParts,
}

impl Observers {
    /// Creates the observers that `config` enables. `has_admin` is true if the admin listener is open. `dropped_lines` counts the log
    /// lines that were dropped, and `reloads` the reloads of a process that can reload.
    pub(crate) fn new(
        config: &Config,
        has_admin: bool,
        accounting: Accounting,
        dropped_lines: impl Fn() -> u64 + Send + Sync + 'static,
        reloads: Option<&Reloads>,
    ) -> Self {
        let has_metrics = config.metrics.enabled && (has_admin || config.metrics.listen.is_some());
        let models = config.providers.iter().flat_map(|provider| provider.models.iter().cloned());
        let settings = MetricsSettings::default().with_models(models).with_dropped_log_lines(dropped_lines);
        let settings = match reloads {
            Some(reloads) => settings.with_reloads(reloads.clone()),
            None => settings,
        };
        let mut parts = accounting.parts();
        parts.metrics = has_metrics.then(|| Metrics::new(accounting.describe(settings)));
        parts.live = has_admin.then(LiveParts::default);
        Self { accounting, parts }
    }

    /// Hands the records of the relay that `builder` builds to the observers.
    pub(crate) fn attach(&self, builder: Builder) -> Builder {
        self.parts.attach(builder)
    }

    /// The service of the metrics listener; `None` if the metrics are disabled.
    pub(crate) fn metrics_site(&self, relay: &Reloadable, config: &Config) -> Option<MetricsSite> {
        let metrics = self.parts.metrics.clone()?;
        Some(MetricsSite::new(metrics, &*config.metrics.path, relay.clone(), &config.server))
    }

    /// The service of the admin listener; `None` if it is not open. `reload` reads the configuration again.
    pub(crate) fn admin(self, relay: Reloadable, config: &Config, process: ProcessParts) -> Option<Admin> {
        let live = self.parts.live?;
        let mut parts = AdminParts::new(relay, live.recent, live.series, live.events);
        parts.backlog = Some(self.parts.backlog);
        parts.prompt_cache = Some(self.parts.prompt_cache);
        parts.metrics = self.parts.metrics.filter(|_| config.metrics.listen.is_none());
        parts.metrics_path.clone_from(&config.metrics.path);
        #[cfg(feature = "ledger")]
        {
            parts.ledger = self.parts.ledger;
            parts.no_ledger = self.accounting.no_ledger;
        }
        parts.budgets = Some(self.parts.budgets);
        parts.server = config.server.clone();
        parts.token = config.admin.token.clone();
        parts.reload = Some(process.reload);
        parts.client_command = process.client_command;
        Some(Admin::new(parts))
    }
}

/// The parts of the admin API that only the process knows.
pub(crate) struct ProcessParts {
    /// Reads the configuration again.
    pub(crate) reload: Arc<dyn Reload>,
    /// Returns the command that points Claude Code at the relay.
    pub(crate) client_command: Option<ClientCommand>,
}
