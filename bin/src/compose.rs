//! Composes the relay of the process from its configuration.
//!
//! ```text
//! listeners ▸ edge layers ▸ client limits ▸ intake ▸ failover over providers ──▶ upstreams
//!                │ records
//!                └─▶ observers ──▶ admin listener
//! ```
//! The list in [`relay`] has the stages of [`relay_server::stages`], from the upstreams to the clients. `serve` puts the relay
//! on its listeners.

use std::sync::Arc;

use relay_admin::prices::PriceTable;
use relay_config::Config;
use relay_server::{BuildError, Relay};

use crate::observers::Observers;
use crate::traces::Export;

/// Composes the relay that listens on the addresses in `server.listen` and nowhere else. `observers` receive its records.
pub(crate) fn relay(
    config: Config,
    observers: Option<&Observers>,
    traces: Option<&Export>,
) -> Result<Relay, BuildError> {
    let (loopback_only, prices) = (config.server.is_loopback_only(), PriceTable::new(&config));
    let builder = Relay::builder(config).reachable_from_loopback_only(loopback_only).allow_no_provider(); // the loader has warned, and an operator may add one later
    let builder = match observers {
        Some(observers) => observers.attach(builder),
        None => match prices {
            Ok(prices) => builder.with_pricing(Arc::new(prices)),
            // A relay that serves nothing needs no prices, except to compare them.
            Err(_) => builder,
        },
    };
    let builder = match traces {
        Some(traces) => traces.subscribe(builder),
        None => builder,
    };
    let relay = builder
        .providers()? // for each credential: model mapping ▸ images ▸ adaptation ▸ attempts
        .failover() // strategy ▸ one candidate at a time, until an answer is final
        .intake() // reads and decompresses a body, within its limits
        .client_limits() // requests in flight ▸ authentication ▸ limits of each client
        .edge(); // request id ▸ record ▸ catch panic ▸ linger ▸ framing ▸ browser ▸ respond
    Ok(relay)
}
