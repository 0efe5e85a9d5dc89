//! The parts that the checks of all providers share.

use std::time::Duration;

use relay_config::Config;

use crate::doctor::source::Sources;

/// The settings of the checks.
pub(in crate::doctor) struct Context {
    pub(in crate::doctor) config: Config,
    /// The time limit of each check.
    pub(in crate::doctor) limit: Duration,
    /// True if a request is sent to each provider.
    pub(in crate::doctor) sends: bool,
    pub(in crate::doctor) sources: Sources,
}
