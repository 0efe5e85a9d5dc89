//! The rules of the listener that accepted a request.

use std::time::Duration;

use crate::offload::MayBlock;

/// The rules of the listener that accepted a request, among the request's extensions.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "serve"), allow(dead_code))] // only `serve` makes one
pub(crate) struct ListenerRules {
    /// True if only this machine can reach it.
    pub(crate) is_loopback: bool,
    /// The longest time for which an error waits for the end of the request's body.
    pub(crate) linger: Duration,
    /// The mark that the requests are served by tasks which may block.
    pub(crate) may_block: Option<MayBlock>,
}

#[cfg(test)]
impl ListenerRules {
    /// Creates a listener for tests.
    pub(crate) fn for_test(is_loopback: bool) -> Self {
        Self { is_loopback, linger: Duration::ZERO, may_block: None }
    }
}
