//! Assembles the relay. The only part of the crate that knows every kind of provider.
//!
//! ```text
//! Config ─build_providers─▶ per provider: a pool of candidates ─▶ Planner ─▶ Failover ─▶ the stack of layers
//!                           per credential: one candidate, a service
//! ```

mod candidates;
mod providers;

use std::sync::Arc;

use relay_config::{self as config, Config, StreamBreak};
use relay_messages::ThinkingProvenance;
use relay_providers::{Endpoint, OnBreak};
use relay_routing::{AffinityTable, Failover, FailoverSettings, ModelRoutes, Planner};
use tower::util::MapResponseLayer;
use tower::{Layer, ServiceBuilder};

use crate::auth::{AuthLayer, ConfiguredKeys};
use crate::build_error::BuildError;
use crate::catalog::Catalog;
use crate::concurrency::ConcurrencyLayer;
use crate::debug_log::DebugLogLayer;
use crate::edge::{
    BrowserLayer, CatchPanicLayer, FramingLayer, LingerLayer, RecordLayer, RequestIdLayer, with_route_headers,
};
use crate::explain::Explainer;
use crate::forward::Forwarder;
use crate::intake::{BodyBudget, Intake, IntakeLimits};
use crate::messages::Messages;
use crate::options::Options;
use crate::rate_limit::RateLimitLayer;
use crate::record::Subscribers;
use crate::respond::RespondLayer;
use crate::router::{Operations, Readiness, Router};
use crate::stack::Stack;
use providers::build_providers;

/// The stack, and the parts that it shares with the readiness check and with `explain`.
pub(crate) struct Assembled {
    pub(crate) stack: Stack,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) explainer: Arc<Explainer>,
}

/// Assembles the stack, outermost layer first. The planner takes over the state of `before`: sessions, circuits, limits.
pub(crate) fn assemble(
    config: &Config,
    options: &Options,
    before: Option<&Planner>,
    signatures: &ThinkingProvenance,
    limits: &RateLimitLayer,
) -> Result<Assembled, BuildError> {
    let server = &config.server;
    let subscribers = Subscribers::from(options.subscribers.clone());
    let parts = build_providers(config, options, signatures)?;
    let routing = &config.routing;
    let routes =
        ModelRoutes::new(routing.model_mapping.clone()).with_default(routing.default_provider.clone());
    let mut planner = Planner::new(parts.pools, routing.strategy, routing.strict_models).with_routes(routes);
    if routing.affinity == config::Affinity::Session {
        planner = planner.with_affinity(Arc::new(AffinityTable::new()));
    }
    if let Some(before) = before {
        planner = planner.inherit_state(before);
    }
    let planner = Arc::new(planner);
    let readiness = Arc::new(Readiness::new(Arc::clone(&planner)));
    let settings = FailoverSettings {
        failover_timeout: routing.failover_timeout,
        max_attempts: routing.max_attempts,
        on_break: match routing.on_stream_break {
            StreamBreak::ErrorEvent => OnBreak::ErrorEvent,
            _ => OnBreak::Abort,
        },
    };
    let intake = IntakeLimits {
        body_bytes: server.max_body_bytes,
        time: server.timeout,
        budget: BodyBudget::new(server.max_buffered_bytes),
    };
    let routed = Messages::new(Failover::new(Arc::clone(&planner), settings));
    let routed = DebugLogLayer::new(config.logging.debug.clone(), config.secrets()).layer(routed);
    let operations = Operations {
        messages: Intake::new(routed.clone(), Endpoint::Messages, intake.clone()),
        count_tokens: Intake::new(routed, Endpoint::CountTokens, intake),
        api: Forwarder::new(parts.forwards, server.timeout),
        catalog: Catalog::models(&config.providers, parts.refusals, Arc::clone(&planner), parts.discoveries),
    };
    let keys = ConfiguredKeys::from(server.auth.clone());
    let explainer = Arc::new(Explainer::new(keys.clone(), planner, config));
    let concurrency = ConcurrencyLayer::new(server.max_concurrent);
    let auth = AuthLayer::new(keys);
    let router =
        Router::new(operations, &concurrency, &auth, limits, &options.layers, Arc::clone(&readiness));

    let stack = ServiceBuilder::new()
        .layer(RequestIdLayer) // every layer further in can name the request
        .option_layer(routing.debug.then(|| MapResponseLayer::new(with_route_headers))) // reads the record
        .layer(RecordLayer::new(subscribers)) // covers every response, errors and panics included
        .layer(CatchPanicLayer) // answers with an error, so the record sees it
        .layer(LingerLayer) // no error is lost to a body that was not read
        .layer(FramingLayer) // no upstream puts the client's connection out of step
        .layer(BrowserLayer::new(server)) // adds CORS headers to every response, errors included
        .layer(RespondLayer::new()) // from here on outwards there are no errors
        .service(router);
    Ok(Assembled { stack: Stack::new(stack), readiness, explainer })
}
