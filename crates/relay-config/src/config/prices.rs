//! The `prices` settings: prices of models, over the built-in ones.

use std::num::NonZeroU64;

use crate::capabilities::Pattern;

/// The prices of some models of some providers. They have precedence over the built-in prices.
///
/// [`PriceRule::find`] chooses the rule of a request. A figure that the rule does not state is that of the built-in price of the
/// model.
///
/// ```
/// use relay_config::{Pattern, PriceRule, TokenPrices};
///
/// let rule = PriceRule::new(TokenPrices::default().with_input(0.5).with_output(2.0))
///     .with_provider("ollama")
///     .with_models([Pattern::new("qwen3-*")]);
/// let rules = [rule];
/// assert!(PriceRule::find(&rules, "local", "ollama", "qwen3-coder").is_some());
/// assert!(PriceRule::find(&rules, "local", "zai", "qwen3-coder").is_none());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PriceRule {
    /// The name or the kind of the providers. `None`, the default: every provider.
    pub provider: Option<String>,
    /// The models, by the names that the upstream uses. Empty, the default: every model.
    pub models: Vec<Pattern>,
    /// The prices of tokens.
    pub tokens: TokenPrices,
    /// The prices of tokens in long prompts.
    pub tier: Option<PriceTier>,
    /// The factor on the prices of tokens in Message Batches, such as 0.5.
    pub batch_factor: Option<f64>,
    /// The factor on the prices of tokens for inference within the USA, such as 1.1.
    pub us_factor: Option<f64>,
    /// The factor on the prices of tokens at an endpoint of a region or of a group of regions, such as 1.1.
    pub regional_factor: Option<f64>,
    /// True if the inference is kept in the USA, and false if it is not. `None`, the default: as the answer reports. Those of
    /// Azure's deployments of type US Data Zone Standard do not report it.
    pub us_data_zone: Option<bool>,
    /// The price of 1,000 web searches in US dollars.
    pub web_search: Option<f64>,
}

/// The precedence of a rule: of the rules that apply to a request, the greatest is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PriceRank {
    /// Every provider, those of a kind, or one by its name.
    provider: u8,
    /// True for an exact name, and the length of the pattern. `None` for every model.
    model: Option<(bool, usize)>,
}

/// Prices in US dollars for 1,000,000 tokens of a kind. `None` is not stated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct TokenPrices {
    /// Input tokens that are neither read from nor written to a prompt cache.
    pub input: Option<f64>,
    /// Output tokens, thinking included.
    pub output: Option<f64>,
    /// Input tokens read from a prompt cache.
    pub cache_read: Option<f64>,
    /// Input tokens written to a prompt cache for five minutes.
    pub cache_write_5m: Option<f64>,
    /// Input tokens written to a prompt cache for an hour.
    pub cache_write_1h: Option<f64>,
}

/// The prices of tokens in prompts of more than a number of tokens. They apply to every token of such a request.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PriceTier {
    /// The longest prompt to which the prices do not apply, in tokens, read from and written to a cache included.
    pub over: NonZeroU64,
    /// The prices. A price that is not stated is that of a shorter prompt.
    pub tokens: TokenPrices,
}

impl PriceTier {
    /// Creates the prices of prompts of more than `over` tokens.
    #[must_use]
    pub fn new(over: NonZeroU64, tokens: TokenPrices) -> Self {
        Self { over, tokens }
    }
}

impl PriceRule {
    /// Creates a rule for every model of every provider.
    #[must_use]
    pub fn new(tokens: TokenPrices) -> Self {
        Self { tokens, ..Self::default() }
    }

    /// Limits the rule to providers of this name or kind.
    #[must_use]
    pub fn with_provider(mut self, name_or_kind: impl Into<String>) -> Self {
        self.provider = Some(name_or_kind.into());
        self
    }

    /// Limits the rule to these models.
    #[must_use]
    pub fn with_models(mut self, models: impl IntoIterator<Item = Pattern>) -> Self {
        self.models = models.into_iter().collect();
        self
    }

    /// Sets the prices of tokens in long prompts.
    #[must_use]
    pub fn with_tier(mut self, tier: PriceTier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Sets the factor on the prices of tokens in Message Batches.
    #[must_use]
    pub fn with_batch_factor(mut self, factor: f64) -> Self {
        self.batch_factor = Some(factor);
        self
    }

    /// Sets the factor on the prices of tokens for inference within the USA.
    #[must_use]
    pub fn with_us_factor(mut self, factor: f64) -> Self {
        self.us_factor = Some(factor);
        self
    }

    /// Sets the factor on the prices of tokens at an endpoint of a region or of a group of regions.
    #[must_use]
    pub fn with_regional_factor(mut self, factor: f64) -> Self {
        self.regional_factor = Some(factor);
        self
    }

    /// States that the inference is kept in the USA, or that it is not, whatever the answer reports.
    #[must_use]
    pub fn with_us_data_zone(mut self, is_us: bool) -> Self {
        self.us_data_zone = Some(is_us);
        self
    }

    /// Sets the price of 1,000 web searches in US dollars.
    #[must_use]
    pub fn with_web_search(mut self, dollars: f64) -> Self {
        self.web_search = Some(dollars);
        self
    }

    /// Returns the rule for `model` of the provider with this name and kind.
    ///
    /// A rule for the name of the provider has precedence over one for its kind, and that over one for every provider. Then an
    /// exact name of a model has precedence over a pattern, and a longer pattern over a shorter one. Of equal rules the first
    /// applies.
    #[must_use]
    pub fn find<'a>(rules: &'a [Self], name: &str, kind: &str, model: &str) -> Option<&'a Self> {
        let ranked = rules.iter().filter_map(|rule| Some((rule.rank(name, kind, &[model])?, rule)));
        // Of equal elements, `max_by_key` returns the last.
        ranked.rev().max_by_key(|(rank, _)| *rank).map(|(_, rule)| rule)
    }

    /// Returns the precedence of the rule for a model, which has one of these spellings, of the provider with this name and kind.
    /// `None` if the rule does not apply.
    #[must_use]
    pub fn rank(&self, name: &str, kind: &str, spellings: &[&str]) -> Option<PriceRank> {
        let provider = match self.provider.as_deref() {
            None => 0,
            Some(known) if known == name => 2,
            Some(known) if known == kind => 1,
            Some(_) => return None,
        };
        if self.models.is_empty() {
            return Some(PriceRank { provider, model: None });
        }
        let fits = |pattern: &&Pattern| spellings.iter().any(|model| pattern.fits(model));
        let fitting = self.models.iter().filter(fits);
        let model = fitting.map(|pattern| (pattern.is_exact(), pattern.as_str().len())).max()?;
        Some(PriceRank { provider, model: Some(model) })
    }

    /// Returns every figure beside the prices of tokens with the name of its setting.
    pub(crate) fn further(&self) -> [(&'static str, Option<f64>); 4] {
        [
            ("batch_factor", self.batch_factor),
            ("us_factor", self.us_factor),
            ("regional_factor", self.regional_factor),
            ("web_search", self.web_search),
        ]
    }

    /// Returns `true` if the rule states no figure.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self { provider: self.provider.clone(), models: self.models.clone(), ..Self::default() }
    }
}

impl TokenPrices {
    /// Sets the price of input tokens.
    #[must_use]
    pub fn with_input(mut self, dollars: f64) -> Self {
        self.input = Some(dollars);
        self
    }

    /// Sets the price of output tokens.
    #[must_use]
    pub fn with_output(mut self, dollars: f64) -> Self {
        self.output = Some(dollars);
        self
    }

    /// Sets the price of tokens that are read from a prompt cache.
    #[must_use]
    pub fn with_cache_read(mut self, dollars: f64) -> Self {
        self.cache_read = Some(dollars);
        self
    }

    /// Sets the prices of tokens that are written to a prompt cache, for five minutes and for an hour.
    #[must_use]
    pub fn with_cache_writes(mut self, five_minutes: f64, hour: f64) -> Self {
        (self.cache_write_5m, self.cache_write_1h) = (Some(five_minutes), Some(hour));
        self
    }

    /// Returns every price with the name of its setting.
    pub(crate) fn named(&self) -> [(&'static str, Option<f64>); 5] {
        [
            ("input", self.input),
            ("output", self.output),
            ("cache_read", self.cache_read),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_1h", self.cache_write_1h),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_rule_applies() {
        let rule = |provider: &str, models: &[&str]| PriceRule {
            provider: Some(provider.to_owned()).filter(|name| !name.is_empty()),
            models: models.iter().copied().map(Pattern::new).collect(),
            ..PriceRule::default()
        };
        let rules = [
            rule("", &[]),
            rule("", &["claude-opus-*"]),
            rule("zai", &["claude-*"]),
            rule("", &["claude-*", "claude-opus-5"]),
            rule("mine", &[]),
            rule("", &[]),
        ];
        #[track_caller]
        fn check(rules: &[PriceRule], provider: (&str, &str), model: &str, expected: usize) {
            let found = PriceRule::find(rules, provider.0, provider.1, model).unwrap();
            assert!(std::ptr::eq(found, &raw const rules[expected]), "{found:?}");
        }
        check(&rules, ("a", "ollama"), "qwen", 0);
        check(&rules, ("a", "ollama"), "claude-opus-4", 1);
        check(&rules, ("a", "ollama"), "claude-opus-5", 3);
        check(&rules, ("a", "zai"), "claude-opus-5", 2);
        check(&rules, ("a", "zai"), "glm", 0);
        check(&rules, ("mine", "zai"), "claude-opus-5", 4);
        assert_eq!(PriceRule::find(&rules[1..2], "a", "b", "qwen"), None);
    }
}
