//! The composition of a relay, stage by stage, from the upstreams to the clients.
//!
//! ```text
//! Builder ─providers─▶ Providers ─failover─▶ Routing ─intake─▶ Operations ─client_limits─▶ Admission ─edge─▶ Relay
//! ```
//! Each stage is made of the one before, so that every relay has the same order. [`Builder::build`] takes all stages. A program
//! that takes them itself shows its composition at a glance. The layers that it adds in code have their places in
//! [`Builder::layer_requests`] and [`Builder::layer_attempts`].
//!
//! ```
//! use relay_config::{Format, Loader};
//! use relay_server::Relay;
//!
//! let config = "providers: [{ name: local, type: mock }]";
//! let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
//! let relay = Relay::builder(config)
//!     .providers()? // one candidate for each credential
//!     .failover() // one candidate at a time, until an answer is final
//!     .intake() // reads the body
//!     .client_limits() // authenticates clients, and limits each of them
//!     .edge(); // covers every response, errors included
//! # let _ = relay;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Builder::build`]: crate::Builder::build
//! [`Builder::layer_requests`]: crate::Builder::layer_requests
//! [`Builder::layer_attempts`]: crate::Builder::layer_attempts

use std::fmt;
use std::sync::Arc;

use http::Response;
use relay_config::{self as config, ClientAuth, Config, StreamBreak};
use relay_messages::ThinkingProvenance;
use relay_providers::{Endpoint, OnBreak};
use relay_routing::{AffinityTable, Failover, FailoverSettings, ModelRoutes, Planner};
use tower::util::MapResponseLayer;
use tower::{Layer, ServiceBuilder};
use tower_http::request_id::PropagateRequestIdLayer;

use crate::assemble::BuiltProviders;
use crate::auth::{AuthLayer, ConfiguredKeys};
use crate::body::Body;
use crate::build_error::BuildError;
use crate::catalog::Catalog;
use crate::debug_log::DebugLogLayer;
use crate::edge::{
    BrowserLayer, CatchPanicLayer, FramingLayer, TraceLayer, mark_request, mark_response, request_id_layer,
    with_route_headers,
};
use crate::explain::Explainer;
use crate::forward::Forwarder;
use crate::intake::{Intake, IntakeLimits};
use crate::limits::Limits;
use crate::linger::LingerLayer;
use crate::messages::Messages;
use crate::options::Options;
use crate::record::RecordLayer;
use crate::relay::{Parts, Relay};
use crate::respond::RespondLayer;
use crate::router::{self, ClientLayers, Readiness, Router};
use crate::spending::SpendingLayer;
use crate::stack::Stack;

/// Builds a relay by all stages. It takes over the state of `before`.
pub(crate) fn build(config: Config, options: Options, before: Option<&Relay>) -> Result<Relay, BuildError> {
    Ok(Providers::new(config, options, before)?.failover().intake().client_limits().edge())
}

/// Builds the relay that takes the place of `before`, by all stages. It takes over its state, and the providers that have not
/// changed.
pub(crate) fn rebuild(config: Config, before: &Relay) -> Result<Relay, BuildError> {
    let options = before.options().clone();
    let providers = Providers::with_built(config, options, Some(before), Some(before.providers()))?;
    Ok(providers.failover().intake().client_limits().edge())
}

/// The settings that every stage reads.
struct Context {
    /// The configuration with the defaults and the providers of the program.
    config: Config,
    /// The configuration as the builder received it.
    original: Config,
    options: Options,
    before: Option<Relay>,
    signatures: ThinkingProvenance,
    limits: Limits,
}

/// The providers: a service for each credential, with model mapping, images and adaptation around it.
pub struct Providers {
    context: Box<Context>,
    built: Arc<BuiltProviders>,
}

/// The choice of the candidates for a request, and the failover from one to the next.
pub struct Routing {
    context: Box<Context>,
    built: Arc<BuiltProviders>,
    planner: Arc<Planner>,
    failover: Failover,
}

/// The operations of the relay: requests are read and routed, forwarded, or answered from lists.
pub struct Operations {
    context: Box<Context>,
    built: Arc<BuiltProviders>,
    planner: Arc<Planner>,
    operations: router::Operations,
}

/// The operations for admitted clients, within the limits on requests.
pub struct Admission {
    context: Box<Context>,
    built: Arc<BuiltProviders>,
    readiness: Arc<Readiness>,
    explainer: Arc<Explainer>,
    router: Router,
}

impl Providers {
    pub(crate) fn new(
        original: Config,
        options: Options,
        before: Option<&Relay>,
    ) -> Result<Self, BuildError> {
        Self::with_built(original, options, before, None)
    }

    /// Uses the providers of `built` again that have not changed. They were built with the same `options`.
    fn with_built(
        original: Config,
        options: Options,
        before: Option<&Relay>,
        built: Option<&BuiltProviders>,
    ) -> Result<Self, BuildError> {
        let mut config = original.clone();
        options.apply_to(&mut config)?;
        let signatures = before.map(Relay::signatures).cloned().unwrap_or_default();
        let limits = Limits::new(&config.server, before.map(Relay::limits));
        let built = Arc::new(BuiltProviders::build(&config, &options, &signatures, built)?);
        let context = Context { config, original, options, before: before.cloned(), signatures, limits };
        Ok(Self { context: Box::new(context), built })
    }

    /// Adds the strategy, which orders the candidates for each request, and the failover. Sessions, circuits and limits of
    /// keys are inherited from the relay in [`Builder::inherit_state`](crate::Builder::inherit_state).
    #[must_use]
    pub fn failover(self) -> Routing {
        let Self { context, built } = self;
        let routing = &context.config.routing;
        let routes =
            ModelRoutes::new(routing.model_mapping.clone()).with_default(routing.default_provider.clone());
        let pools = built.providers.iter().map(|built| built.pool.clone()).collect();
        let mut planner = Planner::new(pools, routing.strategy, routing.strict_models).with_routes(routes);
        if routing.affinity == config::Affinity::Session {
            planner = planner.with_affinity(Arc::new(AffinityTable::new()));
        }
        if let Some(pricing) = &context.options.pricing {
            planner = planner.with_pricing(Arc::clone(pricing));
        }
        if let Some(before) = &context.before {
            planner = planner.inherit_state(before.planner());
        }
        let planner = Arc::new(planner);
        let on_break = match routing.on_stream_break {
            StreamBreak::ErrorEvent => OnBreak::ErrorEvent,
            _ => OnBreak::Abort,
        };
        let settings = FailoverSettings::default()
            .with_failover_timeout(routing.failover_timeout)
            .with_max_attempts(routing.max_attempts)
            .with_on_break(on_break);
        let failover = Failover::new(Arc::clone(&planner), settings);
        Routing { context, built, planner, failover }
    }
}

impl Routing {
    /// Adds the operations: reads and decompresses bodies within their limits, forwards the rest of Anthropic's API, and
    /// serves the lists of models and providers.
    #[must_use]
    pub fn intake(self) -> Operations {
        let Self { context, built, planner, failover } = self;
        let (config, server) = (&context.config, &context.config.server);
        let limits = IntakeLimits {
            body_bytes: server.max_body_bytes,
            time: server.timeout,
            budget: context.limits.budget.clone(),
        };
        let routed = Messages::new(failover);
        let routed = DebugLogLayer::new(config.logging.debug.clone(), config.secrets()).layer(routed);
        let refusals = built.providers.iter().map(|built| (built.name().clone(), built.refusals.clone()));
        let discoveries = built.providers.iter().filter_map(|built| built.discovery.clone());
        let catalog = Catalog::models(
            &config.providers,
            refusals.collect(),
            Arc::clone(&planner),
            discoveries.collect(),
        );
        let operations = router::Operations {
            messages: Intake::new(routed.clone(), Endpoint::Messages, limits.clone()),
            count_tokens: Intake::new(routed, Endpoint::CountTokens, limits),
            api: Forwarder::new(built.forwards(), Arc::clone(&planner), server.timeout),
            catalog,
        };
        Operations { context, built, planner, operations }
    }
}

impl Operations {
    /// Adds the limit of requests in flight, authentication and the limits of each client. The request layers of the program
    /// are further in.
    #[must_use]
    pub fn client_limits(self) -> Admission {
        let Self { context, built, planner, operations } = self;
        let server = &context.config.server;
        let readiness = Arc::new(Readiness::new(Arc::clone(&planner)));
        let keys = ConfiguredKeys::from(server.auth.clone());
        let explainer = Arc::new(Explainer::new(keys.clone(), planner, &context.config));
        let (auth, layers) = (AuthLayer::new(keys), &context.options.layers);
        let spending = spending(&server.auth, &context.options);
        let clients = ClientLayers { auth, spending, limits: &context.limits };
        let router = Router::new(operations, &clients, layers, Arc::clone(&readiness));
        Admission { context, built, readiness, explainer, router }
    }
}

impl Admission {
    /// Surrounds everything with the layers of the edge, outermost first, and completes the relay.
    #[must_use]
    pub fn edge(self) -> Relay {
        let Context { config, original, options, before, signatures, limits } = *self.context;
        let stack = ServiceBuilder::new()
            .map_request(mark_request) // no layer prints a credential
            .map_response(mark_response)
            .layer(PropagateRequestIdLayer::x_request_id()) // a caller finds its own id in the response
            .layer(request_id_layer()) // every layer further in can name the request
            .option_layer(config.routing.debug.then(|| MapResponseLayer::new(with_route_headers))) // reads the record
            .map_response(|response: Response<_>| response.map(Body::new)) // every relay has this type
            .layer(record_layer(&options)) // covers every response, errors and panics included
            .layer(CatchPanicLayer) // answers with an error, so the record sees it
            .layer(TraceLayer) // every event further in carries the request's id
            .layer(LingerLayer::new()) // no error is lost to a body that was not read
            .layer(FramingLayer) // no upstream puts the client's connection out of step
            .layer(BrowserLayer::new(&config.server)) // adds CORS headers to every response, errors included
            .layer(RespondLayer::new()) // from here on outwards there are no errors
            .service(self.router);
        Relay::new(
            Parts {
                stack: Stack::new(stack),
                readiness: self.readiness,
                explainer: self.explainer,
                providers: self.built,
                signatures,
                limits,
            },
            original,
            options,
            before.as_ref(),
        )
    }
}

/// The layer of the records, with the subscribers, the prices and the traces of the program.
fn record_layer(options: &Options) -> RecordLayer {
    let layer = RecordLayer::from(options.subscribers.clone());
    layer.with_pricing(options.pricing.clone()).with_traces(options.traces)
}

/// Returns the layer of the clients' budgets.
fn spending(auth: &ClientAuth, options: &Options) -> SpendingLayer {
    let Some(spending) = &options.spending else {
        for client in auth.keys.iter().filter(|client| client.budget.is_some()) {
            tracing::warn!(
                client = client.name,
                "the budget of a client is not enforced: this program counts no costs"
            );
        }
        return SpendingLayer::unlimited();
    };
    SpendingLayer::of_clients(auth, Arc::clone(spending))
}

macro_rules! opaque {
    ($($stage:ident),*) => {$(
        impl fmt::Debug for $stage {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($stage)).finish_non_exhaustive()
            }
        }
    )*};
}

opaque!(Providers, Routing, Operations, Admission);
