//! The settings of a relay that are made in code, beside its configuration.

use std::sync::Arc;

use relay_config::{Config, ProviderName};
use relay_messages::trace_context::Sampling;
use relay_routing::Pricing;
use relay_transport::{CustomConnector, Proxies};
use rustls::ClientConfig;

use crate::build_error::BuildError;
use crate::custom::Added;
use crate::layers::Layers;
use crate::record::RecordSubscriber;
#[cfg(feature = "serve")]
use crate::serve::ListenerOptions;
use crate::spending::Spending;

/// The settings that a relay keeps if its configuration is replaced.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) proxies: Proxies,
    #[cfg(feature = "serve")]
    pub(crate) listeners: ListenerOptions,
    pub(crate) subscribers: Vec<Arc<dyn RecordSubscriber>>,
    /// The prices for the records, and for strategies that compare costs.
    pub(crate) pricing: Option<Arc<dyn Pricing>>,
    /// The amounts that clients with a budget have spent. `None`: no budget is enforced.
    pub(crate) spending: Option<Arc<dyn Spending>>,
    /// The rule by which traces are recorded; `None` without traces.
    pub(crate) traces: Option<Sampling>,
    pub(crate) loopback_only: bool,
    pub(crate) allow_no_provider: bool,
    /// The providers that the program adds, after those of the configuration.
    pub(crate) providers: Vec<Added>,
    pub(crate) layers: Layers,
    /// The TLS settings of all connections to upstreams. `None`: those of the configuration.
    pub(crate) tls: Option<ClientConfig>,
    /// The connector of all connections to upstreams. `None`: TCP and the proxies.
    pub(crate) connector: Option<CustomConnector>,
    /// The connectors of single providers, which come before `connector`.
    pub(crate) connectors: Vec<(ProviderName, CustomConnector)>,
}

impl Options {
    pub(crate) fn new(proxies: Proxies) -> Self {
        Self {
            proxies,
            #[cfg(feature = "serve")]
            listeners: ListenerOptions::default(),
            subscribers: Vec::new(),
            pricing: None,
            spending: None,
            traces: None,
            loopback_only: false,
            allow_no_provider: false,
            providers: Vec::new(),
            layers: Layers::default(),
            tls: None,
            connector: None,
            connectors: Vec::new(),
        }
    }

    /// Adds the providers of the program to `config`, checks it, and applies the defaults that depend on these settings.
    pub(crate) fn apply_to(&self, config: &mut Config) -> Result<(), BuildError> {
        let is_configured =
            |added: &Added| config.providers.iter().any(|provider| provider.name == added.config.name);
        let added = self.providers.iter().filter(|added| !(added.is_fallback && is_configured(added)));
        let added: Vec<_> = added.map(|added| added.config.clone()).collect();
        config.providers.extend(added);
        if let Err(mut invalid) = config.check() {
            if self.allow_no_provider {
                invalid.problems.retain(|problem| problem.path != "providers");
            }
            if !invalid.problems.is_empty() {
                return Err(BuildError::Config(invalid));
            }
        }
        let auth = &mut config.server.auth;
        auth.subscription_may_use_keys = Some(auth.subscription_may_use_keys_at(self.loopback_only));
        Ok(())
    }
}
