//! `routing`.

use std::num::NonZeroU32;

use super::millis;
use crate::config::{RoutingConfig, Strategy};
use crate::raw;

pub(super) fn resolve(raw: &raw::Routing) -> RoutingConfig {
    let default = RoutingConfig::default();
    RoutingConfig {
        strategy: match raw.strategy {
            Some(raw::Strategy::Failover) => Strategy::Failover,
            None => default.strategy,
        },
        failover_timeout: millis(raw.failover_timeout, default.failover_timeout),
        max_attempts: raw.max_attempts.and_then(NonZeroU32::new).unwrap_or(default.max_attempts),
        debug: raw.debug.unwrap_or(default.debug),
        strict_models: raw.strict_models.unwrap_or(default.strict_models),
        restore_model_name: raw.restore_model_name.unwrap_or(default.restore_model_name),
    }
}
