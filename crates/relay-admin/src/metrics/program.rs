//! Numbers that other parts of the program count.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::encode::{NO_LABELS, counter, gauge};
use super::reloads::{ReloadResult, Reloads};
use super::settings::MetricsSettings;

/// The sources of the numbers.
#[derive(Debug)]
pub(super) struct ProgramSamples(pub(super) MetricsSettings);

impl Collector for ProgramSamples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(settings) = self;
        if let Some(count) = &settings.dropped_log_lines {
            let help = "Log lines that were dropped, since the output was too slow or failed";
            counter(&mut encoder, "log_dropped_lines", help, None, &[(NO_LABELS, count())])?;
        }
        if let Some(count) = &settings.dropped_usage_records {
            let help = "Requests that the usage ledger has dropped";
            counter(&mut encoder, "usage_dropped_records", help, None, &[(NO_LABELS, count())])?;
        }
        match &settings.reloads {
            Some(reloads) => encode_reloads(&mut encoder, reloads),
            None => Ok(()),
        }
    }
}

/// The names follow those of Prometheus's own reloads.
fn encode_reloads(e: &mut DescriptorEncoder<'_>, reloads: &Reloads) -> fmt::Result {
    let counts = ReloadResult::ALL.map(|result| ([("result", result.as_str())], reloads.of(result)));
    counter(e, "config_reloads", "Reloads of the configuration that have ended", None, &counts)?;
    let help = "1 if the last reload of the configuration has succeeded, or if there was none";
    let success = u32::from(reloads.has_succeeded());
    gauge(e, "config_last_reload_successful", help, None, &[(NO_LABELS, success)])?;
    let help = "The time of the last successful reload, or of the start, since the Unix epoch";
    let time = [(NO_LABELS, reloads.succeeded_at())];
    gauge(e, "config_last_reload_success_timestamp", help, Some(&Unit::Seconds), &time)
}
