//! The relay as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use relay_config::Config;
use relay_messages::ThinkingProvenance;
use relay_routing::Planner;
use relay_transport::Proxies;
use tower::{BoxError, Service};

use crate::access_log::AccessLog;
use crate::assemble::{Assembled, BuildError, assemble};
use crate::body::Body;
use crate::edge::Listener;
use crate::error::Error;
use crate::explain::{Explainer, Explanation};
use crate::record::{RecordSubscriber, Subscribers};
use crate::router::Readiness;
use crate::serve::{ConnectionLimit, HeadTimeouts, ServeSettings, default_connections};
use crate::stack::Stack;

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
pub struct Relay {
    stack: Stack,
    readiness: Arc<Readiness>,
    explainer: Arc<Explainer>,
    signatures: ThinkingProvenance,
    settings: ServeSettings,
    connections: ConnectionLimit,
    /// The listener that this clone serves; `None` if the relay is called directly.
    listener: Option<Listener>,
}

/// Builds a [`Relay`] from a [`Config`].
pub struct Builder {
    config: Config,
    proxies: Proxies,
    before: Option<Arc<Planner>>,
    signatures: ThinkingProvenance,
    head_timeouts: HeadTimeouts,
    connections: usize,
    subscribers: Vec<Arc<dyn RecordSubscriber>>,
    loopback_only: bool,
    allow_no_provider: bool,
}

impl Builder {
    /// Accepts a configuration without an enabled provider. Every request is then refused, until a relay with another
    /// configuration takes its place. The default is to refuse such a configuration.
    #[must_use]
    pub fn allow_no_provider(mut self) -> Self {
        self.allow_no_provider = true;
        self
    }

    /// States whether only this machine can reach the relay: every listener through which requests arrive is bound to a
    /// loopback address. The default is `false`.
    ///
    /// `true` changes the default of `server.auth.subscription_may_use_keys` to `true` if no client key is configured: a
    /// request with a subscription token may then be served with the configured keys. The form of such a token is public,
    /// so that with `false` every client could spend the keys with an invented one. `server.listen` has no influence here,
    /// because a service that embeds the relay does not listen there; a program that does passes
    /// [`ServerConfig::is_loopback_only`](relay_config::ServerConfig::is_loopback_only).
    #[must_use]
    pub fn reachable_from_loopback_only(mut self, loopback_only: bool) -> Self {
        self.loopback_only = loopback_only;
        self
    }

    /// Connects to upstreams directly, without the proxies of `HTTPS_PROXY` and similar variables.
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.proxies = Proxies::none();
        self
    }

    /// Takes over the state of `relay` under a new configuration: sessions, circuits, limits and cooldowns of the keys that
    /// still exist, and the provenance of thinking blocks. Requests in progress in `relay` are not affected.
    #[must_use]
    pub fn inherit_state(mut self, relay: &Relay) -> Self {
        self.before = Some(Arc::clone(relay.readiness.planner()));
        self.signatures = relay.signatures.clone();
        self
    }

    /// Closes a connection that brings no complete request head in time: within `first` of being accepted, and within
    /// `next` after the last open request on it. The defaults are 30 s and 120 s.
    ///
    /// Applies to the function `serve` only. The limit keeps idle and slow clients from using up sockets.
    #[must_use]
    pub fn with_head_timeouts(mut self, first: Duration, next: Duration) -> Self {
        self.head_timeouts = HeadTimeouts { first, next };
        self
    }

    /// Accepts at most `limit` connections at one time, over all listeners. Further connections wait until one ends. The
    /// default is 10,000, or three quarters of the files that the process may open if that is less.
    ///
    /// Applies to the function `serve` only.
    #[must_use]
    pub fn with_connection_limit(mut self, limit: usize) -> Self {
        self.connections = limit;
        self
    }

    /// Hands the record of every request that has ended to `observer`, a closure or another [`RecordSubscriber`], after
    /// those that were added before. The access log, which emits one `tracing` event for each request, is always the first.
    #[must_use]
    pub fn on_finished(mut self, observer: impl RecordSubscriber) -> Self {
        self.subscribers.push(Arc::new(observer));
        self
    }

    /// Builds the relay. It checks the configuration, reads the trusted certificates, and opens no connection.
    ///
    /// # Errors
    /// [`BuildError::Config`] with every problem that [`Config::check`] finds, or another [`BuildError`] for the first
    /// provider that cannot be built.
    pub fn build(mut self) -> Result<Relay, BuildError> {
        self.check()?;
        let auth = &mut self.config.server.auth;
        auth.subscription_may_use_keys = Some(auth.subscription_may_use_keys_at(self.loopback_only));
        let subscribers = Subscribers::from(self.subscribers);
        let Assembled { stack, readiness, explainer } =
            assemble(&self.config, &self.proxies, self.before.as_deref(), &self.signatures, subscribers)?;
        let settings = ServeSettings::new(&self.config.server, self.head_timeouts);
        let connections = ConnectionLimit::new(self.connections);
        let signatures = self.signatures;
        Ok(Relay { stack, readiness, explainer, signatures, settings, connections, listener: None })
    }

    fn check(&self) -> Result<(), BuildError> {
        let Err(mut invalid) = self.config.check() else { return Ok(()) };
        if self.allow_no_provider {
            invalid.problems.retain(|problem| problem.path != "providers");
        }
        if invalid.problems.is_empty() { Ok(()) } else { Err(BuildError::Config(invalid)) }
    }
}

impl Relay {
    /// Returns a builder for a relay with this configuration. Upstreams are reached by the proxies of the environment.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder {
            config,
            proxies: Proxies::from_environment(),
            before: None,
            signatures: ThinkingProvenance::default(),
            head_timeouts: HeadTimeouts::default(),
            connections: default_connections(),
            subscribers: vec![Arc::new(AccessLog)],
            loopback_only: false,
            allow_no_provider: false,
        }
    }

    /// Makes `/readyz` answer 503 from now on. Requests are served as before.
    pub fn start_draining(&self) {
        self.readiness.start_draining();
    }

    /// Explains the route that a client's request to `/v1/messages` with these headers and this body would take now.
    /// Nothing is sent, and no state changes.
    ///
    /// # Errors
    /// The [`Error`] that the client would receive if the request would not be routed.
    pub fn explain(&self, headers: HeaderMap, body: Bytes) -> Result<Explanation, Error> {
        self.explainer.explain(headers, body)
    }

    /// Applies the rules of `listener` to the requests of this clone.
    pub(crate) fn on_listener(mut self, listener: Listener) -> Self {
        self.listener = Some(listener);
        self
    }

    pub(crate) fn settings(&self) -> ServeSettings {
        self.settings
    }

    /// The places for client connections.
    pub(crate) fn connections(&self) -> ConnectionLimit {
        self.connections.clone()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("readiness", &self.readiness).finish_non_exhaustive()
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

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(listener) = self.listener {
            request.extensions_mut().insert(listener);
        }
        self.stack.call(request.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}
