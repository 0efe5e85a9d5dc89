//! The prices of models, and the costs of requests that follow from them.
//!
//! ```text
//! prices.toml ─▶ table ─┐
//! Config.prices ─▶ rule ┴─▶ PriceTable ── provider, model, usage ──▶ Usd, or None for an unknown price
//! Config.providers ─▶ origin: kind, place
//! ```
//! The built-in table has the published prices, with their sources, in `prices.toml`. They serve estimates and budgets. An invoice
//! differs where a contract, a subscription or a commitment does.
//!
//! A cost is the sum of the tokens of each kind times their prices, times every factor that applies, plus the calls of tools. It is
//! computed in whole picodollars and rounded once, to the nearest nanodollar.
//!
//! - The model is the one that was sent to the provider. Case and a final `[1m]` do not count. At `bedrock` an ARN stands for the
//!   id in its last segment, and the prefix of an inference profile selects the factor of its regions.
//! - An exact name precedes a pattern, and a longer pattern a shorter one.
//! - A prompt longer than a limit (input, cache reads and cache writes) pays the prices of long prompts for every token.
//! - The time of day selects the off-peak prices of `deepseek`.
//! - The prices at an address of another vendor are those of that vendor, whatever the `type` of the provider.
//! - The rule of `prices` in the configuration with the greatest precedence ([`PriceRule::rank`](relay_config::PriceRule::rank))
//!   replaces the figures that it states. Factors of the table still apply.
//!
//! `None` is an unknown price, which is not zero: models that are not listed, `openrouter`, and modes of an answer (fast, batch)
//! for which no price was published.

mod entry;
mod error;
mod find;
mod model_name;
mod origin;
mod quantities;
mod rates;
mod rule;
mod schedule;
mod table;
#[cfg(test)]
mod table_text;
#[cfg(test)]
mod tests;
mod tools;

use std::collections::HashMap;
use std::time::SystemTime;

use relay_config::{Config, ProviderName};
use relay_providers::Usage;
use relay_routing::{Pricing, Usd};

pub use self::error::{Figure, PriceError};
use self::model_name::{plain, split_bedrock};
use self::origin::Origin;
use self::quantities::Quantities;
use self::rule::Rule;
use self::schedule::is_peak;

/// The prices of the models of a configuration's providers.
///
/// ```
/// use relay_admin::prices::PriceTable;
/// use relay_config::{BaseUrl, Config, ProviderConfig, ProviderKind};
/// use relay_providers::Usage;
/// use relay_routing::{Pricing, Usd};
///
/// let anthropic = ProviderKind::anthropic(BaseUrl::parse("https://api.anthropic.com")?);
/// let prices = PriceTable::new(&Config::new([ProviderConfig::new("main", anthropic)]))?;
///
/// let mut usage = Usage::default();
/// usage.input_tokens = Some(1_000_000);
/// usage.output_tokens = Some(100_000);
/// // 4 dollars for a million input tokens, and 20 for a million output tokens.
/// assert_eq!(prices.cost(&"main".into(), "claude-opus-5-5", &usage), Some(Usd::from_nanos(6_000_000_000)));
/// assert_eq!(prices.cost(&"main".into(), "another-model", &usage), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PriceTable {
    origins: HashMap<ProviderName, Origin>,
    rules: Vec<Rule>,
}

impl PriceTable {
    /// Creates the prices of the providers in `config`, with the rules of `config.prices` over the built-in table.
    ///
    /// # Errors
    /// [`PriceError`] if a price of a rule is negative, not a number, or above 1,000,000. The loader of a file refuses it before.
    pub fn new(config: &Config) -> Result<Self, PriceError> {
        let origins = config.providers.iter().map(|provider| (provider.name.clone(), Origin::new(provider)));
        let rules = config.prices.iter().enumerate().map(|(index, rule)| Rule::new(index, rule));
        Ok(Self { origins: origins.collect(), rules: rules.collect::<Result<_, _>>()? })
    }

    /// The version of the prices: the day of the built-in table, followed by `+config` if the configuration has rules.
    #[must_use]
    pub fn version(&self) -> String {
        let suffix = if self.rules.is_empty() { "" } else { "+config" };
        format!("{}{suffix}", table::AS_OF)
    }

    /// Returns the cost of the same tokens at an upstream without a prompt cache: every input token costs as much as one that is
    /// neither read from a cache nor written to one. `None` if the price is unknown.
    #[must_use]
    pub fn uncached(&self, provider: &ProviderName, model: &str, usage: &Usage) -> Option<Usd> {
        self.cost_at(SystemTime::now(), provider, model, &Quantities::of(usage).uncached())
    }

    fn cost_at(
        &self,
        now: SystemTime,
        provider: &ProviderName,
        model: &str,
        quantities: &Quantities,
    ) -> Option<Usd> {
        let origin = self.origins.get(provider)?;
        let name = plain(model);
        let (entry, place) = origin.find(&name);
        let built_in = entry.map(|entry| &entry.prices);
        let spellings = [model, &name, split_bedrock(&name).1];
        let rank = |rule: &Rule| rule.rank(provider.as_str(), origin.kind, &spellings);
        let ranked = self.rules.iter().filter_map(|rule| Some((rank(rule)?, rule)));
        // Of equal elements, `max_by_key` returns the last, and the first rule applies.
        let rule = ranked.rev().max_by_key(|(rank, _)| *rank).map(|(_, rule)| rule);
        let (prices, tools) = match rule {
            Some(rule) => (rule.over(built_in)?, rule.tools_over(origin.tools)),
            None => (*built_in?, origin.tools),
        };
        prices.cost(quantities, place, is_peak(now), &tools)
    }
}

impl Pricing for PriceTable {
    fn cost(&self, provider: &ProviderName, model: &str, usage: &Usage) -> Option<Usd> {
        self.cost_at(SystemTime::now(), provider, model, &Quantities::of(usage))
    }
}
