//! The limits on the requests of a relay, whose state the next relay inherits.

use relay_config::ServerConfig;

use crate::concurrency::ConcurrencyLayer;
use crate::intake::BodyBudget;
use crate::rate_limit::RateLimitLayer;

/// The limits on all requests and on those of each client. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// `server.max_concurrent`.
    pub(crate) concurrency: ConcurrencyLayer,
    /// `server.auth.api_keys[].{rpm_limit,tpm_limit,max_concurrent}`.
    pub(crate) clients: RateLimitLayer,
    /// `server.max_buffered_bytes`.
    pub(crate) budget: BodyBudget,
}

impl Limits {
    /// Creates the limits in `server`. The requests in flight within `before` count toward them.
    pub(crate) fn new(server: &ServerConfig, before: Option<&Self>) -> Self {
        let limits = Self {
            concurrency: ConcurrencyLayer::new(server.max_concurrent),
            clients: RateLimitLayer::of_clients(&server.auth),
            budget: BodyBudget::new(server.max_buffered_bytes),
        };
        match before {
            Some(before) => limits.inherit_state(before),
            None => limits,
        }
    }

    fn inherit_state(self, before: &Self) -> Self {
        Self {
            concurrency: self.concurrency.inherit_state(&before.concurrency),
            clients: self.clients.inherit_state(&before.clients),
            budget: self.budget.inherit_state(&before.budget),
        }
    }
}
