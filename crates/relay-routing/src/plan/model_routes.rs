//! Routes by the name of the model.

use relay_config::ProviderName;

/// Maps a model to the provider that is tried first: the one with the longest prefix of the model's name,
/// else the default.
///
/// ```
/// # use relay_config::ProviderName;
/// # use relay_routing::ModelRoutes;
/// let routes = ModelRoutes::new([
///     ("claude-".to_owned(), ProviderName::new("anthropic")),
///     ("claude-haiku-".to_owned(), ProviderName::new("zai")),
/// ]);
/// assert_eq!(routes.provider("claude-haiku-4-5"), Some(&ProviderName::new("zai")));
/// assert_eq!(routes.provider("claude-opus-5-5"), Some(&ProviderName::new("anthropic")));
/// assert_eq!(routes.provider("glm-5.3"), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct ModelRoutes {
    /// Longest prefix first.
    prefixes: Vec<(String, ProviderName)>,
    default: Option<ProviderName>,
}

impl ModelRoutes {
    /// Creates routes from prefixes in any order. Prefixes are case-sensitive.
    pub fn new(prefixes: impl IntoIterator<Item = (String, ProviderName)>) -> Self {
        let mut prefixes: Vec<_> = prefixes.into_iter().collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { prefixes, default: None }
    }

    /// Sets the provider for models without a matching prefix.
    #[must_use]
    pub fn with_default(mut self, provider: Option<ProviderName>) -> Self {
        self.default = provider;
        self
    }

    /// Returns the provider for `model`, or `None` if no prefix matches and there is no default.
    #[must_use]
    pub fn provider(&self, model: &str) -> Option<&ProviderName> {
        let longest = self.prefixes.iter().find(|(prefix, _)| model.starts_with(prefix));
        longest.map(|(_, provider)| provider).or(self.default.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_then_the_default() {
        let route = |prefix: &str, name: &str| (prefix.to_owned(), ProviderName::new(name));
        let routes = ModelRoutes::new([
            route("claude-", "short"),
            route("claude-opus-5", "long"),
            route("claude-opus-5-5", "exact"),
            route("glm", "glm"),
        ]);
        #[track_caller]
        fn check(routes: &ModelRoutes, model: &str, expected: Option<&str>) {
            assert_eq!(routes.provider(model).map(ProviderName::as_str), expected);
        }
        check(&routes, "claude-opus-5-5", Some("exact"));
        check(&routes, "claude-opus-5-5-20260401", Some("exact"));
        check(&routes, "claude-opus-5-1", Some("long"));
        check(&routes, "claude-haiku-4-5", Some("short"));
        check(&routes, "glm", Some("glm"));
        check(&routes, "Claude-opus-5-5", None);
        check(&routes, "", None);
        let routes = routes.with_default(Some(ProviderName::new("rest")));
        check(&routes, "gpt", Some("rest"));
        check(&routes, "claude-x", Some("short"));
    }
}
