//! By the model's name.

use relay_config::ProviderName;

/// Which provider is asked first for a model: the one with the longest prefix of its name, else the default.
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
    /// Longest first.
    prefixes: Vec<(String, ProviderName)>,
    default: Option<ProviderName>,
}

impl ModelRoutes {
    /// Routes by these prefixes, in any order. Letters are compared as they are.
    pub fn new(prefixes: impl IntoIterator<Item = (String, ProviderName)>) -> Self {
        let mut prefixes: Vec<_> = prefixes.into_iter().collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { prefixes, default: None }
    }

    /// Sends other models to `provider`.
    #[must_use]
    pub fn with_default(mut self, provider: Option<ProviderName>) -> Self {
        self.default = provider;
        self
    }

    /// Who is asked first for `model`, if it makes a difference.
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
