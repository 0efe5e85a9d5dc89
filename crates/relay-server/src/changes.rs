//! The differences between two configurations.

use std::collections::HashMap;
use std::path::PathBuf;

use relay_config::{Config, ListenAddress, ProviderConfig, ProviderName, UnixSocket};

/// The differences of a configuration to the one in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// The providers that are new, in the order of the new configuration.
    pub added: Vec<ProviderName>,
    /// The providers that are gone, in the order of the configuration before.
    pub removed: Vec<ProviderName>,
    /// The providers with other settings or keys, in the order of the new configuration.
    pub changed: Vec<ProviderName>,
    /// The files with other contents, and the providers that use them: `ca_file` and `credentials_file`.
    pub files: Vec<(ProviderName, PathBuf)>,
    /// True if the order of the remaining providers differs, which breaks ties of priority.
    pub is_reordered: bool,
    /// The sections with other settings: `server`, `routing`, `health`, and those that the program applies: `prices`, `logging`
    /// and `admin`.
    pub sections: Vec<&'static str>,
    /// The settings that differ from those in use, and stay as they are until the program starts again: `server.listen`,
    /// `server.tls` if it is set in one of the configurations only, `logging`, `admin`, `metrics` and `usage`.
    pub not_applied: Vec<&'static str>,
}

impl Changes {
    /// Compares `after` with the configuration in use. Secrets are compared by their values.
    pub(crate) fn between(before: &Config, after: &Config) -> Self {
        let (known, new) = (by_name(before), by_name(after));
        let mut changes = Self::default();
        for provider in &after.providers {
            match known.get(&provider.name) {
                None => changes.added.push(provider.name.clone()),
                Some(known) if **known != *provider => changes.changed.push(provider.name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.providers.iter().filter(|provider| !new.contains_key(&provider.name));
        changes.removed = gone.map(|provider| provider.name.clone()).collect();
        let remaining = |config: &Config, other: &Providers<'_>| -> Vec<ProviderName> {
            let names = config.providers.iter().map(|provider| provider.name.clone());
            names.filter(|name| other.contains_key(name)).collect()
        };
        changes.is_reordered = remaining(before, &new) != remaining(after, &known);
        let used = after.clone().with_process_settings_of(before);
        changes.sections = names_of([
            ("server", before.server != used.server),
            ("routing", before.routing != used.routing),
            ("health", before.health != used.health),
            ("prices", before.prices != used.prices),
            ("logging", before.logging != used.logging),
            ("admin", before.admin != used.admin),
        ]);
        // An address that was written, and is the default one, is no other address.
        let mut after = after.clone();
        after.admin.is_explicit = used.admin.is_explicit;
        changes.not_applied = names_of([
            ("server.listen", sockets(&used) != sockets(&after)),
            ("server.tls", used.server.tls != after.server.tls),
            ("logging", used.logging != after.logging),
            ("admin", used.admin != after.admin),
            ("metrics", used.metrics != after.metrics),
            ("usage", used.usage != after.usage),
        ]);
        changes
    }

    /// Returns `true` if no other setting comes into use. The settings in [`not_applied`](Self::not_applied) do not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { not_applied: self.not_applied.clone(), ..Self::default() }
    }
}

type Providers<'a> = HashMap<&'a ProviderName, &'a ProviderConfig>;

fn by_name(config: &Config) -> Providers<'_> {
    config.providers.iter().map(|provider| (&provider.name, provider)).collect()
}

/// Returns the addresses and the Unix sockets to listen on.
fn sockets(config: &Config) -> (&[ListenAddress], &[UnixSocket]) {
    (&config.server.listen, &config.server.unix_sockets)
}

fn names_of<const N: usize>(parts: [(&'static str, bool); N]) -> Vec<&'static str> {
    parts.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

#[cfg(test)]
mod tests {
    use relay_config::{ListenAddress, ServerConfig};

    use super::*;

    #[test]
    fn a_setting_that_needs_a_restart_is_named_until_it_is_in_use() {
        let started = Config::default();
        let server =
            ServerConfig::default().with_listen([ListenAddress::new("::1", 1)]).with_max_concurrent(2);
        let file = Config::default().with_server(server);
        let first = Changes::between(&started, &file);
        assert_eq!((&*first.sections, &*first.not_applied), (&["server"][..], &["server.listen"][..]));
        let used = file.clone().with_process_settings_of(&started);
        let second = Changes::between(&used, &file);
        assert_eq!((&*second.sections, &*second.not_applied), (&[][..], &["server.listen"][..]));
        assert!(second.is_empty() && !first.is_empty());
        assert_eq!(Changes::between(&used, &started).not_applied, [""; 0]);
    }
}
