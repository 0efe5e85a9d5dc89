//! Providers without a configuration file: discovered in the environment, or built in for a demonstration.

mod cloud;
mod cloud_files;
mod models;
mod ollama;

pub use self::cloud_files::CloudFiles;
use crate::config::{Config, KeyConfig, ProviderConfig, ProviderKind};
use crate::environment::Environment;
use crate::error::Fault;
use crate::kinds::{DiscoverySource, KINDS, KeyNeed, KindSpec};
use crate::names::{BaseUrl, ProviderName};
use crate::secret::Secret;
use crate::secret_text::{self, Cleaned};

/// The providers that were discovered in the environment, and the variables that would add others.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Discovery {
    /// The default configuration with the discovered providers, in descending order of priority.
    pub config: Config,
    /// A line for each discovered credential or server, for the log at startup.
    pub found: Vec<String>,
    /// A line for each variable or server that would add another provider.
    pub missing: Vec<String>,
    /// A line for each variable whose value cannot be used, and for each provider whose models are unknown, with the reason.
    pub faults: Vec<String>,
}

impl Discovery {
    /// Discovers providers by environment variables, which `variable` looks up. `answers` returns `true` if a server answers
    /// at an address; it is called for Ollama's, which is `OLLAMA_HOST` or the default port of this machine.
    ///
    /// Every provider that serves Claude gets a mapping of the names that clients use. The models of Ollama and the
    /// deployments of Azure have to be listed first: see [`set_ollama_model`](Self::set_ollama_model) and
    /// [`set_azure_deployments`](Self::set_azure_deployments).
    ///
    /// `anthropic` is always added, for the clients' own credentials; `ANTHROPIC_API_KEY` becomes its key. An empty
    /// variable counts as unset. For the clouds, the files that their own tools write are read too, if the
    /// variables refer to them. Credentials are not tried.
    #[must_use]
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
        answers: impl FnOnce(&BaseUrl) -> bool,
    ) -> Self {
        let environment = Environment::new(&variable);
        let mut discovery =
            Self { config: Config::default(), found: Vec::new(), missing: Vec::new(), faults: Vec::new() };
        let mut answers = Some(answers);
        for spec in KINDS {
            match spec.discovery {
                DiscoverySource::Key(variable) => {
                    discovery.add_keyed(spec, variable, key_in(environment, variable));
                }
                DiscoverySource::CloudCredentials => discovery.add_cloud(spec, environment),
                DiscoverySource::DefaultAddress => {
                    discovery.add_local(spec, environment, |url| {
                        answers.take().is_some_and(|answers| answers(url))
                    });
                }
                DiscoverySource::None => {}
            }
        }
        discovery.rank();
        discovery
    }

    /// Adds the provider whose key `variable` holds. A provider that needs no key is added without one.
    fn add_keyed(&mut self, spec: &'static KindSpec, variable: &str, found: Result<Option<FoundKey>, Fault>) {
        let Some(kind) = ProviderKind::with_defaults(spec) else { return };
        let name = spec.name;
        let needs_key = kind.key_need() == KeyNeed::Required;
        if let (false, Some(base_url)) = (needs_key, kind.base_url()) {
            let host = base_url.authority();
            self.found.push(format!("{name}: clients' own credentials are passed through to {host}"));
        }
        match &found {
            Ok(Some(key)) => self.found.push(format!("{name}: {variable}{}", key.remark)),
            Ok(None) if needs_key => self.missing.push(format!("set {variable} to add {name}")),
            Ok(None) => self.missing.push(format!("set {variable} to give {name} a key of its own")),
            Err(fault) => self.faults.push(format!("correct {variable} to use it for {name}: {fault}")),
        }
        let key = found.ok().flatten().map(|found| found.key);
        if key.is_some() || !needs_key {
            self.add(kind, key);
        }
    }

    /// Adds the Ollama at its address if it `answers` there.
    fn add_local(
        &mut self,
        spec: &'static KindSpec,
        environment: Environment<'_>,
        answers: impl FnOnce(&BaseUrl) -> bool,
    ) {
        let base_url = match ollama::base_url(environment) {
            Ok(own) => own.or_else(|| spec.default_base_url()),
            Err(fault) => {
                self.faults.push(format!("correct {} to add {}: {fault}", ollama::HOST, spec.name));
                return;
            }
        };
        let Some(base_url) = base_url else { return };
        let address = base_url.authority().to_string();
        if answers(&base_url) {
            self.found.push(format!("{}: answers on {address}", spec.name));
            self.add(ProviderKind::Ollama { base_url }, None);
        } else {
            self.missing.push(format!("start Ollama on {address} to add {}", spec.name));
        }
    }

    fn add(&mut self, kind: ProviderKind, key: Option<String>) {
        let mut provider = ProviderConfig::new(ProviderName::new(kind.as_str()), kind);
        provider.keys.extend(key.map(|key| KeyConfig::new(Secret::new(key))));
        self.config.providers.push(provider);
    }

    /// Assigns descending priorities, down to 1, to the providers and their keys.
    fn rank(&mut self) {
        for (priority, provider) in (1..).zip(self.config.providers.iter_mut().rev()) {
            provider.priority = priority;
            provider.keys.iter_mut().for_each(|key| key.priority = priority);
        }
    }
}

/// A key of the environment.
struct FoundKey {
    key: String,
    /// A clause about the text that was removed around the key; may be empty.
    remark: String,
}

/// Returns the key in `variable`, without the slips of copying around it.
///
/// # Errors
/// The fault of a key that no header can carry.
fn key_in(environment: Environment<'_>, variable: &str) -> Result<Option<FoundKey>, Fault> {
    let Some(value) = environment.raw(variable) else { return Ok(None) };
    let Cleaned { text, removed } = secret_text::clean(&value);
    let removed = removed.map(|removed| format!("; {removed} around it were removed"));
    let doubt = secret_text::doubt(text).map(|reason| format!("; the value {reason}"));
    let remark = [removed, doubt].into_iter().flatten().collect();
    match secret_text::fault(text) {
        Some(fault) => Err(fault),
        None => Ok((!text.is_empty()).then(|| FoundKey { key: text.to_owned(), remark })),
    }
}

/// Returns a configuration with two built-in upstreams, `demo-primary` before `demo-backup`, to try cc-relay
/// without an account.
#[must_use]
pub fn demo() -> Config {
    let provider = |name, priority| {
        ProviderConfig::new(name, ProviderKind::Mock).with_priority(priority).with_models([
            "claude-sonnet-5-5",
            "claude-opus-5-5",
            "claude-haiku-5-5",
        ])
    };
    Config::new([provider("demo-primary", 2), provider("demo-backup", 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        variables: &[(&str, &str)],
        ollama: bool,
        providers: &[(&str, i32, usize)],
        found: &[&str],
        missing: &[String],
    ) {
        let variable = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
        let discovery = Discovery::from_environment(variable, |_| ollama);
        let ranked: Vec<_> =
            discovery.config.providers.iter().map(|p| (p.name.as_str(), p.priority, p.keys.len())).collect();
        assert_eq!(ranked, providers);
        assert_eq!(discovery.found, found);
        assert_eq!(discovery.missing, missing);
    }

    const PASSED_THROUGH: &str =
        "anthropic: clients' own credentials are passed through to api.anthropic.com";

    const NO_CLOUDS: [&str; 3] = [
        "set AWS_REGION, and AWS_PROFILE, AWS_BEARER_TOKEN_BEDROCK or a pair of AWS keys, to add bedrock",
        "set AZURE_API_KEY and AZURE_RESOURCE_NAME to add azure",
        "set GOOGLE_CLOUD_PROJECT, and log in with gcloud auth application-default login, to add vertex",
    ];

    /// Returns the lines that name the variables of the vendors, without those in `set`.
    fn unset_keys(set: &[&str]) -> Vec<String> {
        let lines = KINDS.iter().filter_map(|kind| match kind.discovery {
            DiscoverySource::Key(variable) if !set.contains(&variable) => match kind.name {
                "anthropic" => Some(format!("set {variable} to give anthropic a key of its own")),
                name => Some(format!("set {variable} to add {name}")),
            },
            _ => None,
        });
        lines.collect()
    }

    #[test]
    fn anthropic_is_found_without_any_variable() {
        let mut missing = unset_keys(&[]);
        assert_eq!(
            missing[..3],
            [
                "set ANTHROPIC_API_KEY to give anthropic a key of its own",
                "set ZAI_API_KEY to add zai",
                "set MINIMAX_API_KEY to add minimax",
            ]
        );
        missing.extend(NO_CLOUDS.map(str::to_owned));
        missing.push("start Ollama on localhost:11434 to add ollama".to_owned());
        check(&[("ZAI_API_KEY", " ")], false, &[("anthropic", 1, 0)], &[PASSED_THROUGH], &missing);
    }

    #[test]
    fn discovered_providers_rank_in_a_fixed_order() {
        let mut missing = unset_keys(&["MINIMAX_API_KEY", "ZAI_API_KEY", "ANTHROPIC_API_KEY"]);
        missing.extend(NO_CLOUDS.map(str::to_owned));
        check(
            &[("MINIMAX_API_KEY", "m"), ("ZAI_API_KEY", "z"), ("ANTHROPIC_API_KEY", "a")],
            true,
            &[("anthropic", 4, 1), ("zai", 3, 1), ("minimax", 2, 1), ("ollama", 1, 0)],
            &[
                PASSED_THROUGH,
                "anthropic: ANTHROPIC_API_KEY",
                "zai: ZAI_API_KEY",
                "minimax: MINIMAX_API_KEY",
                "ollama: answers on localhost:11434",
            ],
            &missing,
        );
    }

    #[test]
    fn discovered_keys_have_the_priority_of_their_provider() {
        let found = Discovery::from_environment(|_| Some("key".to_owned()), |_| false).config.providers;
        assert!(found.iter().any(|provider| !provider.keys.is_empty()));
        assert!(
            found.iter().all(|provider| provider.keys.iter().all(|key| key.priority == provider.priority))
        );
    }
}
