//! The arguments of `doctor`.

use std::time::Duration;

use clap::Args;

/// The checks to make, and the form of the report.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Send the smallest possible request to each provider. It costs a few tokens.
    #[arg(long)]
    pub(super) send: bool,
    /// Print JSON instead of lines.
    #[arg(long)]
    pub(super) json: bool,
    /// Check only the provider with this name, and the configuration. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub(super) provider: Vec<String>,
    /// Time limit of each check, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

impl DoctorArguments {
    /// The time limit of each check.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}
