//! Resolves the `metrics`, `admin` and `usage` sections.

use std::num::NonZeroU32;

use crate::config::{AdminConfig, MetricsConfig, ServerConfig, UsageConfig};
use crate::error::{Concern, Fault};
use crate::raw;
use crate::resolve::listen;
use crate::resolve::reporter::Reporter;
use crate::rules::{self, observe::Listeners};
use crate::secret::Secret;
use crate::tree::KeyPath;

/// The port of the examples in messages about the address of metrics.
const METRICS_PORT: u16 = 9090;

/// Resolves the two listeners of operators, next to that of clients.
pub(super) fn listeners(
    metrics: raw::Metrics,
    admin: raw::Admin,
    server: &ServerConfig,
    root: &KeyPath,
    to: &mut Reporter<'_>,
) -> (MetricsConfig, AdminConfig) {
    let is_metrics_set = metrics.enabled == Some(true) || metrics.path.is_some();
    let admin = resolve_admin(admin, &root.key("admin"), to);
    let metrics = resolve_metrics(metrics, &root.key("metrics"), to);
    rules::observe::check(&Listeners { server, metrics: &metrics, admin: &admin }, root, to);
    if is_metrics_set && metrics.enabled && metrics.listen.is_none() && !admin.enabled {
        to.warning(&root.key("metrics"), Concern::MetricsNowhere);
    }
    (metrics, admin)
}

fn resolve_metrics(raw: raw::Metrics, path: &KeyPath, to: &mut Reporter<'_>) -> MetricsConfig {
    let default = MetricsConfig::default();
    let listen = raw.listen.and_then(|text| listen::address(&text, METRICS_PORT, &path.key("listen"), to));
    MetricsConfig {
        enabled: raw.enabled.unwrap_or(default.enabled),
        listen,
        path: raw.path.unwrap_or(default.path),
    }
}

fn resolve_admin(raw: raw::Admin, path: &KeyPath, to: &mut Reporter<'_>) -> AdminConfig {
    let default = AdminConfig::default();
    let is_explicit = raw.listen.is_some();
    let port = default.listen.port;
    let listen = raw.listen.and_then(|text| listen::address(&text, port, &path.key("listen"), to));
    AdminConfig {
        enabled: raw.enabled.unwrap_or(default.enabled),
        listen: listen.unwrap_or(default.listen),
        is_explicit,
        token: raw.token.map(Secret::new),
    }
}

/// Resolves the ledger, and warns about budgets that are forgotten without it.
pub(super) fn usage(
    raw: raw::Usage,
    server: &ServerConfig,
    root: &KeyPath,
    to: &mut Reporter<'_>,
) -> UsageConfig {
    let path = root.key("usage");
    let default = UsageConfig::default();
    if let Some(file) = &raw.path
        && !to.check_path(file, &path.key("path"))
        && file.is_dir()
    {
        let reason = "it is a directory; give the path of a file, as in usage.db".to_owned();
        to.problem(&path.key("path"), Fault::File { path: file.clone(), reason });
    }
    let enabled = raw.enabled.unwrap_or(default.enabled);
    if !enabled && server.auth.keys.iter().any(|client| client.budget.is_some()) {
        to.warning(&path.key("enabled"), Concern::ForgottenBudgets);
    }
    UsageConfig {
        enabled,
        path: raw.path,
        retention_days: raw.retention_days.map_or(default.retention_days, NonZeroU32::new),
    }
}
