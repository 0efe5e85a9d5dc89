//! The prices of the providers of a configuration.

use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use relay_config::{Config, ProviderConfig, ProviderName};
use relay_providers::Usage;
use relay_routing::{Pricing, Usd};

use super::entry::{Place, Prices};
use super::error::PriceError;
use super::model_name::{plain, split_bedrock};
use super::origin::Origin;
use super::quantities::Quantities;
use super::rule::Rule;
use super::schedule::is_peak;
use super::table::AS_OF;
use super::tools::ToolRates;
use crate::fast_map::FastMap;

/// The most models of a provider whose prices are remembered. An upstream serves a few dozen.
const MODELS: usize = 128;

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
    providers: FastMap<ProviderName, Priced>,
    rules: Vec<Rule>,
}

/// A provider, and the prices of the models that were found before.
#[derive(Debug)]
struct Priced {
    origin: Origin,
    /// Clients choose the names. Once there are [`MODELS`], all of them are removed.
    found: RwLock<FastMap<Box<str>, Option<Found>>>,
}

/// The prices of a model of one provider.
#[derive(Debug, Clone, Copy)]
struct Found {
    prices: Prices,
    tools: ToolRates,
    place: Place,
}

impl PriceTable {
    /// Creates the prices of the providers in `config`, with the rules of `config.prices` over the built-in table.
    ///
    /// # Errors
    /// [`PriceError`] if a price of a rule is negative, not a number, or above 1,000,000. The loader of a file refuses it before.
    pub fn new(config: &Config) -> Result<Self, PriceError> {
        let priced =
            |provider: &ProviderConfig| Priced { origin: Origin::new(provider), found: RwLock::default() };
        let providers = config.providers.iter().map(|provider| (provider.name.clone(), priced(provider)));
        let rules = config.prices.iter().enumerate().map(|(index, rule)| Rule::new(index, rule));
        Ok(Self { providers: providers.collect(), rules: rules.collect::<Result<_, _>>()? })
    }

    /// The version of the prices: the day of the built-in table, followed by `+config` if the configuration has rules.
    #[must_use]
    pub fn version(&self) -> String {
        let suffix = if self.rules.is_empty() { "" } else { "+config" };
        format!("{AS_OF}{suffix}")
    }

    /// Returns the cost of the same tokens at an upstream without a prompt cache: every input token costs as much as one that is
    /// neither read from a cache nor written to one. `None` if the price is unknown.
    #[must_use]
    pub fn uncached(&self, provider: &ProviderName, model: &str, usage: &Usage) -> Option<Usd> {
        self.cost_at(SystemTime::now, provider, model, &Quantities::of(usage).uncached())
    }

    /// Returns the cost of `quantities`. Few prices depend on the time: `now` is called for those.
    pub(super) fn cost_at(
        &self,
        now: impl FnOnce() -> SystemTime,
        provider: &ProviderName,
        model: &str,
        quantities: &Quantities,
    ) -> Option<Usd> {
        let Priced { origin, found } = self.providers.get(provider)?;
        let cost =
            |found: &Found| found.prices.cost(quantities, found.place, || is_peak(now()), &found.tools);
        let known = found.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(model) {
            return cost(known.as_ref()?);
        }
        drop(known);
        let new = self.find(provider, origin, model);
        let mut known = found.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MODELS {
            known.clear();
        }
        known.insert(model.into(), new);
        drop(known);
        cost(&new?)
    }

    /// Finds the prices of a model by the built-in table and the rules.
    fn find(&self, provider: &ProviderName, origin: &Origin, model: &str) -> Option<Found> {
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
            None => (built_in.copied().or(origin.free())?, origin.tools),
        };
        Some(Found { prices, tools, place })
    }
}

impl Pricing for PriceTable {
    fn cost(&self, provider: &ProviderName, model: &str, usage: &Usage) -> Option<Usd> {
        self.cost_at(SystemTime::now, provider, model, &Quantities::of(usage))
    }
}
