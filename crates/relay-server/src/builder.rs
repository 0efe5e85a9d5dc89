//! Builds a relay.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use relay_config::Config;
use relay_transport::Proxies;

use crate::access_log::AccessLog;
use crate::assemble::BuildError;
use crate::options::Options;
use crate::record::RecordSubscriber;
use crate::relay::Relay;
use crate::serve::HeadTimeouts;

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
    /// still exist, and the provenance of thinking blocks. Requests in progress in `relay` are not affected.
    #[must_use]
    pub fn inherit_state(mut self, relay: &Relay) -> Self {
        self.before = Some(relay.clone());
        self
    }

    /// Closes a connection that brings no complete request head in time: within `first` of being accepted, and within
    /// `next` after the last open request on it. The defaults are 30 s and 120 s.
    ///
    /// Applies to the function `serve` only. The limit keeps idle and slow clients from using up sockets.
    #[must_use]
    pub fn with_head_timeouts(mut self, first: Duration, next: Duration) -> Self {
        self.options.head_timeouts = HeadTimeouts { first, next };
        self
    }

    /// Accepts at most `limit` connections at one time, over all listeners. Further connections wait until one ends. The
    /// default is 10,000, or three quarters of the files that the process may open if that is less.
    ///
    /// Applies to the function `serve` only.
    #[must_use]
    pub fn with_connection_limit(mut self, limit: usize) -> Self {
        self.options.connections = limit;
        self
    }

    /// Hands the record of every request that has ended to `observer`, a closure or another [`RecordSubscriber`], after
    /// those that were added before. The access log, which emits one `tracing` event for each request, is always the first.
    #[must_use]
    pub fn on_finished(mut self, observer: impl RecordSubscriber) -> Self {
        self.options.subscribers.push(Arc::new(observer));
        self
    }

    /// Builds the relay. It checks the configuration, reads the trusted certificates, and opens no connection.
    ///
    /// # Errors
    /// [`BuildError::Config`] with every problem that [`Config::check`] finds, or another [`BuildError`] for the first
    /// provider that cannot be built.
    pub fn build(self) -> Result<Relay, BuildError> {
        Relay::assemble(self.config, self.options, self.before.as_ref())
    }
}

impl Relay {
    /// Returns a builder for a relay with this configuration. Upstreams are reached by the proxies of the environment.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        let mut options = Options::new(Proxies::from_environment());
        options.subscribers.push(Arc::new(AccessLog));
        Builder { config, options, before: None }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
