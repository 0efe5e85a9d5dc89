//! Builds a relay.

#[cfg(feature = "serve")]
mod serving;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use relay_config::Config;
use relay_messages::trace_context::Sampling;
use relay_providers::{Answer, Attempt, AttemptError, Provider};
use relay_routing::{CandidateService, Pricing};
use relay_transport::{CustomConnector, Proxies};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::{BoxError, Layer, Service};

use crate::access_log::{AccessLog, PROBES};
use crate::build_error::BuildError;
use crate::custom::{Added, CustomProvider};
use crate::layers::{LayerBody, RequestService};
use crate::options::Options;
use crate::record::RecordSubscriber;
use crate::relay::Relay;
use crate::spending::Spending;
use crate::stages::{self, Providers};

/// Builds a [`Relay`] from a [`Config`].
#[derive(Clone)]
pub struct Builder {
    config: Config,
    options: Options,
    before: Option<Relay>,
}

impl Builder {
    /// Accepts a configuration without an enabled provider. Every request is then refused, until a relay with another
    /// configuration takes its place. The default is to refuse such a configuration.
    #[must_use]
    pub fn allow_no_provider(mut self) -> Self {
        self.options.allow_no_provider = true;
        self
    }

    /// Declares the reach of the relay. `true`: only this machine can reach it, since every listener through which requests
    /// arrive is bound to a loopback address. The default is `false`.
    ///
    /// `true` changes the default of `server.auth.subscription_may_use_keys` to `true` if no client key is configured: a
    /// request with a subscription token may then be served with the configured keys. The form of such a token is public,
    /// so that with `false` every client could spend the keys with an invented one. `server.listen` has no influence here,
    /// because a service that embeds the relay does not listen there; a program that does passes
    /// [`ServerConfig::is_loopback_only`](relay_config::ServerConfig::is_loopback_only).
    #[must_use]
    pub fn reachable_from_loopback_only(mut self, loopback_only: bool) -> Self {
        self.options.loopback_only = loopback_only;
        self
    }

    /// Connects to upstreams directly, without the proxies of `HTTPS_PROXY` and similar variables.
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.options.proxies = Proxies::none();
        self
    }

    /// Takes over the state of `relay` under a new configuration: sessions, circuits, limits and cooldowns of the keys that
    /// still exist, and the provenance of thinking blocks. Requests in progress in `relay` are not affected. They count
    /// toward the limits of the new relay: `server.max_concurrent`, `server.max_buffered_bytes` and the limits of the clients
    /// that still exist.
    ///
    /// [`Reloadable`](crate::Reloadable) does this for a relay that is replaced under load.
    ///
    /// ```
    /// use relay_config::{Format, Loader};
    /// use relay_server::Relay;
    ///
    /// let load = |text: &str| Loader::new().with_text("relay.yaml", Format::Yaml, text).load();
    /// let first = Relay::builder(load("providers: [{ name: a, type: mock }]")?.config).build()?;
    ///
    /// let config = load("providers: [{ name: a, type: mock }, { name: b, type: mock }]")?.config;
    /// let second = Relay::builder(config).inherit_state(&first).build()?;
    /// assert_eq!(second.state().configuration.generation, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn inherit_state(mut self, relay: &Relay) -> Self {
        self.before = Some(relay.clone());
        self
    }

    /// Hands the record of every request that has ended to `observer`, a closure or another [`RecordSubscriber`], after
    /// those that were added before. The access log, which emits one `tracing` event for each request, is always the first.
    #[must_use]
    pub fn on_finished(mut self, observer: impl RecordSubscriber) -> Self {
        self.options.subscribers.push(Arc::new(observer));
        self
    }

    /// Sets the prices of the program: every record then has the [cost](crate::RequestRecord::cost) of its request, and
    /// strategies that compare costs use them. By default, no price is known.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use relay_config::{Format, Loader, ProviderName};
    /// use relay_providers::Usage;
    /// use relay_routing::{Pricing, Usd};
    /// use relay_server::Relay;
    ///
    /// /// One dollar for a million tokens of output.
    /// struct Flat;
    ///
    /// impl Pricing for Flat {
    ///     fn cost(&self, _: &ProviderName, _: &str, usage: &Usage) -> Option<Usd> {
    ///         Some(Usd::from_nanos(usage.output_tokens? * 1000))
    ///     }
    /// }
    ///
    /// let config = "providers: [{ name: a, type: mock }]";
    /// let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
    /// let relay = Relay::builder(config).with_pricing(Arc::new(Flat)).build()?;
    /// # let _ = relay;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_pricing(mut self, pricing: Arc<dyn Pricing>) -> Self {
        self.options.pricing = Some(pricing);
        self
    }

    /// Enforces the budgets of the configured clients (`server.auth.api_keys[].budget_usd`) by the amounts that `spending` returns.
    /// Without it, no budget is enforced, and a configuration that has one is reported in the log.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::SystemTime;
    ///
    /// use relay_config::{Config, ProviderConfig, ProviderKind};
    /// use relay_routing::Usd;
    /// use relay_server::Relay;
    ///
    /// let nothing = |_client: &str, _since: SystemTime| Usd::ZERO;
    /// let config = Config::new([ProviderConfig::new("local", ProviderKind::Mock)]);
    /// let relay = Relay::builder(config).with_spending(Arc::new(nothing)).build()?;
    /// # let _ = relay;
    /// # Ok::<(), relay_server::BuildError>(())
    /// ```
    #[must_use]
    pub fn with_spending(mut self, spending: Arc<dyn Spending>) -> Self {
        self.options.spending = Some(spending);
        self
    }

    /// Gives each request a trace (W3C Trace Context): that of the client's `traceparent`, or a new one. The record has its ids,
    /// and each attempt at an upstream carries `traceparent` with a span of its own. `sampling` decides on the flag of recorded
    /// traces. Without this, the trace headers of a client are forwarded unchanged.
    ///
    /// ```
    /// use relay_config::{Format, Loader};
    /// use relay_server::{Relay, Sampling};
    ///
    /// let config = Loader::new().with_text("embedded.yaml", Format::Yaml, "providers: [{ name: a, type: mock }]");
    /// let relay = Relay::builder(config.load()?.config).with_traces(Sampling::default()).build()?;
    /// # let _ = relay;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_traces(mut self, sampling: Sampling) -> Self {
        self.options.traces = Some(sampling);
        self
    }

    /// Adds a provider that is written outside of the relay. It takes part in everything like a configured one: routing and
    /// strategies, model mapping, adaptation, refused fields, failover, health, limits, the record, `/v1/models` and
    /// [`explain`](Relay::explain). Its place is after the providers of the configuration, and it stays if the configuration
    /// is replaced. `settings` is a name or a [`CustomProvider`].
    ///
    /// [`relay_providers::kind`] has the parts that a kind is made of. A file that names the provider in `routing` is loaded
    /// with [`Loader::with_added_providers`](relay_config::Loader::with_added_providers).
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use http::Request;
    /// use relay_config::{BaseUrl, Config};
    /// use relay_messages::Payload;
    /// use relay_providers::{Attempt, AuthorizeError, PrepareError, Provider, kind};
    /// use relay_server::Relay;
    ///
    /// struct Gateway(BaseUrl);
    ///
    /// impl Provider for Gateway {
    ///     fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
    ///         kind::messages_request(&self.0, attempt)
    ///     }
    ///
    ///     async fn authorize(
    ///         &self,
    ///         request: Request<Payload>,
    ///         _: SystemTime,
    ///     ) -> Result<Request<Payload>, AuthorizeError> {
    ///         Ok(request)
    ///     }
    ///
    ///     fn base_url(&self) -> Option<&BaseUrl> {
    ///         Some(&self.0)
    ///     }
    /// }
    ///
    /// let gateway = Gateway(BaseUrl::parse("https://gateway.example")?);
    /// let relay = Relay::builder(Config::default()).with_provider("gateway", gateway).build()?;
    /// assert_eq!(relay.state().providers[0].kind, "custom");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_provider(mut self, settings: impl Into<CustomProvider>, provider: impl Provider) -> Self {
        self.options.providers.push(Added::new(settings.into(), provider));
        self
    }

    /// Makes all TLS connections to upstreams with these settings: client certificates, pinned keys, other authorities. The
    /// protocols of ALPN are the relay's. A provider with a `ca_file` is then refused, since the file would have no effect.
    /// Images that a request names by URL are not fetched from upstreams, and keep the trusted certificates of the system.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use relay_config::{Format, Loader};
    /// use relay_server::Relay;
    /// use rustls::crypto::ring;
    /// use rustls::{ClientConfig, RootCertStore};
    ///
    /// # let certificates: Vec<rustls::pki_types::CertificateDer<'static>> = Vec::new();
    /// let mut authorities = RootCertStore::empty();
    /// authorities.add_parsable_certificates(certificates); // only these, and none of the system
    /// let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
    ///     .with_safe_default_protocol_versions()?
    ///     .with_root_certificates(authorities)
    ///     .with_no_client_auth();
    ///
    /// let config = "providers: [{ name: z, type: zai, keys: [{ key: secret }] }]";
    /// let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
    /// let relay = Relay::builder(config).with_tls(tls).build()?;
    /// # let _ = relay;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_tls(mut self, tls: ClientConfig) -> Self {
        self.options.tls = Some(tls);
        self
    }

    /// Makes all connections to upstreams by `connector`, in place of TCP and the proxies of the environment: over a Unix
    /// socket, through a tunnel, in a simulation. It is called with the scheme and the authority of the upstream. The relay
    /// adds TLS to connections for `https`, and applies the timeout for connecting.
    ///
    /// ```
    /// use http::Uri;
    /// use relay_config::{Format, Loader};
    /// use relay_server::Relay;
    /// use tokio::net::TcpStream;
    /// use tower::service_fn;
    ///
    /// // Every connection goes through a tunnel on this machine, whatever its upstream.
    /// let tunnel = service_fn(|upstream: Uri| async move {
    ///     tracing::debug!(%upstream, "connecting through the tunnel");
    ///     TcpStream::connect("127.0.0.1:7000").await
    /// });
    /// let config = "providers: [{ name: z, type: zai, keys: [{ key: secret }] }]";
    /// let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
    /// let relay = Relay::builder(config).with_connector(tunnel).build()?;
    /// # let _ = relay;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_connector<C>(mut self, connector: C) -> Self
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        self.options.connector = Some(CustomConnector::new(connector));
        self
    }

    /// Adds a layer around each request of an admitted client: after authentication and limits, and before its body is read.
    /// It sees the requests for all operations except `/health`, `/readyz`, `/` and `/api/hello`. Layers that are added
    /// later are further in.
    ///
    /// A request has the admitted [`Client`](crate::auth::Client) and the [`RecordHandle`](crate::RecordHandle) in its
    /// extensions, and no credential in its headers. An error of the layer is answered with its status if it is an
    /// [`Error`](crate::Error), otherwise with 500. An answer of the layer's own is recorded like any other.
    ///
    /// ```
    /// use http::{HeaderValue, Request};
    /// use relay_config::{Format, Loader};
    /// use relay_server::{LayerBody, Relay};
    /// use tower::util::MapRequestLayer;
    ///
    /// let config = "providers: [{ name: a, type: mock }]";
    /// let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
    /// let relay = Relay::builder(config)
    ///     .layer_requests(MapRequestLayer::new(|mut request: Request<LayerBody>| {
    ///         request.headers_mut().insert("x-app", HeaderValue::from_static("service"));
    ///         request
    ///     }))
    ///     .build()?;
    /// # let _ = relay;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn layer_requests<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<RequestService> + Send + Sync + 'static,
        L::Service: Service<Request<LayerBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<LayerBody>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<LayerBody>>>::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.options.layers.add_request_layer(layer);
        self
    }

    /// Adds a layer around each attempt at an upstream, outside of model mapping and adaptation: it sees the client's model
    /// and body. [`Attempt::provider`] names the provider. Layers that are added later are further in.
    ///
    /// Its answers and errors are judged as the upstream's: they decide about failover and health. The error of another layer,
    /// such as tower's timeout, has to become an [`AttemptError`] first, by `map_err` around that layer.
    ///
    /// ```
    /// use relay_config::{Format, Loader};
    /// use relay_providers::Attempt;
    /// use relay_server::Relay;
    /// use tower::util::MapRequestLayer;
    ///
    /// let config = "providers: [{ name: a, type: mock }]";
    /// let config = Loader::new().with_text("relay.yaml", Format::Yaml, config).load()?.config;
    /// let relay = Relay::builder(config)
    ///     .layer_attempts(MapRequestLayer::new(|attempt: Attempt| {
    ///         tracing::info!(provider = ?attempt.provider(), model = attempt.model(), "attempt");
    ///         attempt
    ///     }))
    ///     .build()?;
    /// # let _ = relay;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn layer_attempts<L>(mut self, layer: L) -> Self
    where
        L: Layer<CandidateService> + Send + Sync + 'static,
        L::Service: Service<Attempt, Response = Answer, Error = AttemptError> + Clone + Send + Sync + 'static,
        <L::Service as Service<Attempt>>::Future: Send + 'static,
    {
        let wrap = move |inner| CandidateService::new(layer.layer(inner));
        self.options.layers.add_attempt_layer(Arc::new(wrap));
        self
    }

    /// Builds the relay. It checks the configuration, reads the trusted certificates, and opens no connection.
    ///
    /// # Errors
    /// [`BuildError::Config`] with every problem that [`Config::check`] finds, or another [`BuildError`] for the first
    /// provider that cannot be built.
    pub fn build(self) -> Result<Relay, BuildError> {
        stages::build(self.config, self.options, self.before.as_ref())
    }

    /// Builds the first [stage](crate::stages) of the relay. [`build`](Self::build) takes all stages.
    ///
    /// # Errors
    /// [`BuildError`], for the same reasons as [`build`](Self::build): the other stages cannot fail.
    pub fn providers(self) -> Result<Providers, BuildError> {
        Providers::new(self.config, self.options, self.before.as_ref())
    }
}

impl Relay {
    /// Returns a builder for a relay with this configuration. Upstreams are reached by the proxies of the environment.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        let mut options = Options::new(Proxies::from_environment());
        options.subscribers.push(Arc::new(AccessLog::new().with_probes(PROBES)));
        Builder { config, options, before: None }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
