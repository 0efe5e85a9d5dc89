//! Checks a configuration that was made in code by the rules of the loader.

mod checker;
mod observe;
mod problem;
mod provider;
mod server;

use checker::Checker;
pub use problem::{InvalidConfig, InvalidSetting};

use crate::config::{Config, HealthConfig, RoutingConfig};
use crate::error::Fault;
use crate::rules::{self, Problems};
use crate::tree::KeyPath;

impl Config {
    /// Checks the configuration by the rules that the [`Loader`](crate::Loader) applies to a file: names, keys, numbers,
    /// headers, and the settings of each kind. Reads no file and no variable.
    ///
    /// A configuration without an enabled provider is invalid. The loader only warns about it, since an operator may enable
    /// one later.
    ///
    /// ```
    /// use relay_config::{BaseUrl, Config, ProviderConfig, ProviderKind};
    ///
    /// let base_url = BaseUrl::parse("https://api.z.ai/api/anthropic")?;
    /// let provider = ProviderConfig::new("zai", ProviderKind::zai(base_url));
    /// let config = Config::new([provider]);
    /// assert_eq!(
    ///     config.check().unwrap_err().to_string(),
    ///     "providers[0].keys: missing; a provider of type zai needs a key: keys: [{ key: ${NAME} }]",
    /// );
    /// # Ok::<(), relay_config::BaseUrlError>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidConfig`] with every problem.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let mut checker = Checker::new();
        let root = KeyPath::default();
        server::check(&self.server, &root.key("server"), &mut checker);
        let providers = root.key("providers");
        if !self.providers.iter().any(|provider| provider.enabled) {
            let expected = "add a provider, or enable one: without it every request is refused".to_owned();
            checker.problem(&providers, Fault::Missing { expected });
        }
        provider::check_all(&self.providers, &providers, &mut checker);
        self.check_routing(&self.routing, &root.key("routing"), &mut checker);
        check_health(&self.health, &root.key("health"), &mut checker);
        observe::check(self, &root, &mut checker);
        match checker.finish() {
            problems if problems.is_empty() => Ok(()),
            problems => Err(InvalidConfig { problems }),
        }
    }

    fn check_routing(&self, routing: &RoutingConfig, path: &KeyPath, to: &mut Checker) {
        let names = || self.providers.iter().map(|provider| provider.name.as_str());
        to.duration(&path.key("failover_timeout"), routing.failover_timeout);
        to.number(&path.key("max_attempts"), routing.max_attempts.get());
        for (prefix, name) in &routing.model_mapping {
            let path = path.key("model_mapping").key(prefix);
            rules::check_prefix(prefix, &path, to);
            rules::check_known(name.as_str(), names(), &path, to);
        }
        if let Some(name) = &routing.default_provider {
            rules::check_known(name.as_str(), names(), &path.key("default_provider"), to);
        }
    }
}

fn check_health(health: &HealthConfig, path: &KeyPath, to: &mut Checker) {
    if let Some(interval) = health.check {
        to.duration(&path.key("health_check").key("interval_ms"), interval);
    }
    let path = path.key("circuit_breaker");
    to.number(&path.key("failure_threshold"), health.failure_threshold.get());
    to.duration(&path.key("open_duration_ms"), health.open_duration);
    to.number(&path.key("half_open_probes"), health.half_open_probes.get());
}
