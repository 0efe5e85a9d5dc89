//! The differences between two configurations.

use relay_config::{Config, ListenAddress, ProviderConfig, ProviderName, UnixSocket};

/// The differences of a configuration to the one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// The providers that are new, in the order of the new configuration.
    pub added: Vec<ProviderName>,
    /// The providers that are gone, in the order of the configuration before.
    pub removed: Vec<ProviderName>,
    /// The providers with other settings or keys, in the order of the new configuration.
    pub changed: Vec<ProviderName>,
    /// True if the order of the remaining providers differs, which breaks ties of priority.
    pub is_reordered: bool,
    /// The sections with other settings: `server`, `routing`, `health`, and `prices`, which the program applies.
    pub sections: Vec<&'static str>,
    /// The settings that differ and stay as they were until the program starts again: `server.listen`, `server.tls` if it is
    /// set in one of the configurations only, `logging`, `admin`, `metrics` and `usage`.
    pub not_applied: Vec<&'static str>,
}

impl Changes {
    /// Compares two configurations. Secrets are compared by their values.
    pub(crate) fn between(before: &Config, after: &Config) -> Self {
        let mut changes = Self::default();
        for provider in &after.providers {
            match find(before, &provider.name) {
                None => changes.added.push(provider.name.clone()),
                Some(known) if known != provider => changes.changed.push(provider.name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.providers.iter().filter(|provider| find(after, &provider.name).is_none());
        changes.removed = gone.map(|provider| provider.name.clone()).collect();
        let order = |config: &Config, other: &Config| -> Vec<ProviderName> {
            let names = config.providers.iter().map(|provider| provider.name.clone());
            names.filter(|name| find(other, name).is_some()).collect()
        };
        changes.is_reordered = order(before, after) != order(after, before);
        let mut server = before.server.clone();
        server.listen.clone_from(&after.server.listen);
        server.unix_sockets.clone_from(&after.server.unix_sockets);
        let has_tls = |config: &Config| config.server.tls.is_some();
        if has_tls(before) != has_tls(after) {
            server.tls.clone_from(&after.server.tls);
        }
        let sections = [
            ("server", server != after.server),
            ("routing", before.routing != after.routing),
            ("health", before.health != after.health),
            ("prices", before.prices != after.prices),
        ];
        changes.sections = names_of(sections);
        changes.not_applied = names_of([
            ("server.listen", sockets(before) != sockets(after)),
            ("server.tls", has_tls(before) != has_tls(after)),
            ("logging", before.logging != after.logging),
            ("admin", before.admin != after.admin),
            ("metrics", before.metrics != after.metrics),
            ("usage", before.usage != after.usage),
        ]);
        changes
    }

    /// Returns `true` if the configurations are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn find<'a>(config: &'a Config, name: &ProviderName) -> Option<&'a ProviderConfig> {
    config.providers.iter().find(|provider| provider.name == *name)
}

/// Returns the addresses and the Unix sockets to listen on.
fn sockets(config: &Config) -> (&[ListenAddress], &[UnixSocket]) {
    (&config.server.listen, &config.server.unix_sockets)
}

fn names_of<const N: usize>(parts: [(&'static str, bool); N]) -> Vec<&'static str> {
    parts.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}
