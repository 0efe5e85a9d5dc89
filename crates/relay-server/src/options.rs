//! The settings of a relay that are made in code, beside its configuration.

use std::sync::Arc;

use relay_config::Config;
use relay_transport::Proxies;

use crate::assemble::BuildError;
use crate::record::RecordSubscriber;
use crate::serve::{HeadTimeouts, default_connections};

/// The settings that a relay keeps if its configuration is replaced.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) proxies: Proxies,
    pub(crate) head_timeouts: HeadTimeouts,
    pub(crate) connections: usize,
    pub(crate) subscribers: Vec<Arc<dyn RecordSubscriber>>,
    pub(crate) loopback_only: bool,
    pub(crate) allow_no_provider: bool,
}

impl Options {
    pub(crate) fn new(proxies: Proxies) -> Self {
        Self {
            proxies,
            head_timeouts: HeadTimeouts::default(),
            connections: default_connections(),
            subscribers: Vec::new(),
            loopback_only: false,
            allow_no_provider: false,
        }
    }

    /// Checks `config`, and applies the defaults that depend on these settings.
    pub(crate) fn apply_to(&self, config: &mut Config) -> Result<(), BuildError> {
        if let Err(mut invalid) = config.check() {
            if self.allow_no_provider {
                invalid.problems.retain(|problem| problem.path != "providers");
            }
            if !invalid.problems.is_empty() {
                return Err(BuildError::Config(invalid));
            }
        }
        let auth = &mut config.server.auth;
        auth.subscription_may_use_keys = Some(auth.subscription_may_use_keys_at(self.loopback_only));
        Ok(())
    }
}
