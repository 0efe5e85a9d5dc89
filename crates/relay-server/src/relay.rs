//! The relay as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use relay_config::Config;
use relay_messages::ThinkingProvenance;
use relay_routing::Planner;
use tower::{BoxError, Service};

use crate::assemble::BuiltProviders;
use crate::body::Body;
use crate::error::Error;
use crate::explain::{Explainer, Explanation};
use crate::limits::Limits;
use crate::listener_rules::ListenerRules;
use crate::options::Options;
use crate::router::Readiness;
#[cfg(feature = "serve")]
use crate::serve::Serving;
use crate::stack::{Stack, StackFuture};
use crate::state::{ConfigurationState, ProviderState, RelayState};

/// The relay: a tower service that answers every request, errors included, and never fails itself.
///
/// Clones share all state. The relay has no global state, and installs no logger and no signal handler. It has to be called
/// in a tokio runtime with time and I/O enabled. Dropping a response's body, or the future before it, cancels the upstream
/// request.
///
/// ```
/// use relay_config::{Format, Loader};
/// use relay_server::Relay;
///
/// let config = "providers: [{ name: local, type: ollama }]";
/// let config = Loader::new().with_text("embedded.yaml", Format::Yaml, config).load()?.config;
/// let relay = Relay::builder(config).build()?;
/// # let _ = relay;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Relay(Arc<Shared>);

/// The parts of a relay that its clones share.
struct Shared {
    stack: Stack,
    readiness: Arc<Readiness>,
    explainer: Arc<Explainer>,
    providers: Arc<BuiltProviders>,
    signatures: ThinkingProvenance,
    limits: Limits,
    #[cfg(feature = "serve")]
    serving: Serving,
    origin: Origin,
}

/// The parts of a relay.
pub(crate) struct Parts {
    pub(crate) stack: Stack,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) explainer: Arc<Explainer>,
    pub(crate) providers: Arc<BuiltProviders>,
    pub(crate) signatures: ThinkingProvenance,
    pub(crate) limits: Limits,
}

/// The settings that a relay was made of.
struct Origin {
    /// The configuration that the builder received.
    config: Config,
    options: Options,
    /// Counts the configurations from 1.
    generation: u64,
    built_at: SystemTime,
}

impl Relay {
    /// Creates a relay of its parts. It is the next one after `before`.
    pub(crate) fn new(parts: Parts, config: Config, options: Options, before: Option<&Self>) -> Self {
        Self(Arc::new(Shared {
            stack: parts.stack,
            readiness: parts.readiness,
            explainer: parts.explainer,
            providers: parts.providers,
            signatures: parts.signatures,
            limits: parts.limits,
            #[cfg(feature = "serve")]
            serving: Serving::new(&config.server, &options.listeners),
            origin: Origin {
                config,
                options,
                generation: before.map_or(1, |before| before.0.origin.generation + 1),
                built_at: SystemTime::now(),
            },
        }))
    }

    /// The providers that are enabled.
    pub(crate) fn providers(&self) -> &BuiltProviders {
        &self.0.providers
    }

    /// The provenance of thinking blocks.
    pub(crate) fn signatures(&self) -> &ThinkingProvenance {
        &self.0.signatures
    }

    /// The limits on requests.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn planner(&self) -> &Planner {
        self.0.readiness.planner()
    }

    /// Returns the state of the relay now: its providers with their circuits, keys and resting models. It contains no
    /// secret. Its size is bounded by the configuration, and at most 64 resting models for each provider.
    ///
    /// ```
    /// use relay_config::{Format, Loader};
    /// use relay_server::Relay;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let config = "providers: [{ name: local, type: mock }]";
    /// let config = Loader::new().with_text("embedded.yaml", Format::Yaml, config).load()?.config;
    /// let state = Relay::builder(config).build()?.state();
    /// assert_eq!(state.providers[0].name, "local");
    /// assert_eq!(serde_json::to_value(&state)?["providers"][0]["circuit"], "closed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> RelayState {
        let configuration = ConfigurationState::new(self.0.origin.generation, self.0.origin.built_at);
        let pools = self.0.readiness.planner().pools();
        let providers = self.0.explainer.providers().map(|(name, kind, enabled)| {
            let pool = pools.iter().find(|pool| pool.name() == name);
            ProviderState::new(name, kind, enabled, pool)
        });
        let (is_draining, is_ready) = (self.0.readiness.is_draining(), self.0.readiness.is_ready());
        RelayState::new(configuration, is_draining, is_ready, providers.collect())
    }

    /// Returns `true` if the configuration has a provider of this name, enabled or not.
    pub(crate) fn is_configured(&self, provider: &str) -> bool {
        self.0.explainer.providers().any(|(name, _, _)| name.as_str() == provider)
    }

    /// The configuration, as the builder received it.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.origin.config
    }

    /// The settings that were made in code.
    pub(crate) fn options(&self) -> &Options {
        &self.0.origin.options
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.readiness.is_draining()
    }

    /// Makes `/readyz` answer 503 from now on. Requests are served as before.
    pub fn start_draining(&self) {
        self.0.readiness.start_draining();
    }

    /// Explains the route that a client's request to `/v1/messages` with these headers and this body would take now.
    /// Nothing is sent, and no state changes.
    ///
    /// # Errors
    /// The [`Error`] that the client would receive if the request would not be routed.
    pub fn explain(&self, headers: HeaderMap, body: Bytes) -> Result<Explanation, Error> {
        self.0.explainer.explain(headers, body)
    }

    /// Serves a request of `listener`, or of a program that calls the relay directly.
    pub(crate) fn respond<B>(&self, mut request: Request<B>, listener: Option<ListenerRules>) -> StackFuture
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(listener) = listener {
            request.extensions_mut().insert(listener);
        }
        self.0.stack.call(request.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    /// The part that only listeners use.
    #[cfg(feature = "serve")]
    pub(crate) fn serving(&self) -> &Serving {
        &self.0.serving
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("readiness", &self.0.readiness).finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for Relay
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The relay is always ready: at its limit it answers with an error.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.respond(request, None)
    }
}
