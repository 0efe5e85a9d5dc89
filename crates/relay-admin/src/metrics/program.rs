//! Numbers that other parts of the program count.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::{NO_LABELS, counter};
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
        Ok(())
    }
}
