//! The prices of the configuration.

use relay_config::{PriceRank, PriceRule, TokenPrices};

use super::entry::Prices;
use super::error::{Figure, PriceError};
use super::rates::{Factor, Rates};
use super::tools::ToolRates;

/// Picodollars for one token, of one dollar for a million tokens.
const PER_TOKEN: f64 = 1e6;
/// Picodollars for one call, of one dollar for a thousand calls.
const PER_CALL: f64 = 1e9;
/// Thousandths in a factor.
const THOUSANDTHS: f64 = 1e3;
/// The highest price, in picodollars: 1,000,000 dollars for a token.
const HIGHEST: f64 = 1e18;

/// A rule of `prices`, with exact amounts.
#[derive(Debug)]
pub(super) struct Rule {
    /// The rule as it was configured, for its precedence.
    stated: PriceRule,
    rates: Stated,
    tier: Option<(u64, Stated)>,
    batch: Option<Factor>,
    us: Option<Factor>,
    regional: Option<Factor>,
    web_search: Option<u64>,
}

/// Prices of tokens in the order of [`Rates::new`]. `None` is not stated.
type Stated = [Option<u64>; 5];

impl Rule {
    /// Reads a rule. `index` is its place in `prices`.
    pub(super) fn new(index: usize, rule: &PriceRule) -> Result<Self, PriceError> {
        let amounts = Amounts { index };
        let tier = rule.tier.map(|tier| Ok((tier.over.get(), amounts.of_tokens(&tier.tokens)?)));
        Ok(Self {
            stated: rule.clone(),
            rates: amounts.of_tokens(&rule.tokens)?,
            tier: tier.transpose()?,
            batch: amounts.factor(Figure::BatchFactor, rule.batch_factor)?,
            us: amounts.factor(Figure::UsFactor, rule.us_factor)?,
            regional: amounts.factor(Figure::RegionalFactor, rule.regional_factor)?,
            web_search: amounts.read(Figure::WebSearch, rule.web_search, PER_CALL)?,
        })
    }

    /// Returns the precedence of the rule for a model of the provider with this name and kind, in one of the spellings of the
    /// model's name. `None` if the rule does not apply.
    pub(super) fn rank(&self, provider: &str, kind: &str, spellings: &[&str]) -> Option<PriceRank> {
        self.stated.rank(provider, kind, spellings)
    }

    /// Returns the prices with the figures of the rule. `None` if neither the rule nor `built_in` has a price of input and output.
    pub(super) fn over(&self, built_in: Option<&Prices>) -> Option<Prices> {
        let base = built_in.map(|prices| prices.rates);
        let rates = filled(self.rates, base)?;
        let mut prices = built_in.copied().unwrap_or(Prices::new(rates));
        prices.rates = rates;
        prices.batch = self.batch.or(prices.batch);
        prices.us = self.us.or(prices.us);
        prices.regional = self.regional.or(prices.regional);
        prices.is_us = self.stated.us_data_zone;
        if let Some((over, stated)) = self.tier {
            prices.tier = filled(stated, Some(rates)).map(|rates| (over, rates));
        } else if let Some((over, long)) = prices.tier {
            prices.tier = filled(self.rates, Some(long)).map(|rates| (over, rates));
        }
        Some(prices)
    }

    /// Returns the prices of tools with the figure of the rule.
    pub(super) fn tools_over(&self, built_in: ToolRates) -> ToolRates {
        ToolRates { web_search: self.web_search.unwrap_or(built_in.web_search), ..built_in }
    }
}

/// Fills in the prices that are not stated: from `base`, or else by the rules of the table. Cache reads and five-minute writes
/// cost as much as input then, and one-hour writes as much as five-minute writes.
fn filled([input, output, read, five_minutes, hour]: Stated, base: Option<Rates>) -> Option<Rates> {
    let input = input.or(base.map(|base| base.input))?;
    let output = output.or(base.map(|base| base.output))?;
    let cache_read = read.or(base.map(|base| base.cache_read)).unwrap_or(input);
    let cache_write_5m = five_minutes.or(base.map(|base| base.cache_write_5m)).unwrap_or(input);
    let cache_write_1h = hour.or(base.map(|base| base.cache_write_1h)).unwrap_or(cache_write_5m);
    Some(Rates { input, output, cache_read, cache_write_5m, cache_write_1h })
}

/// Reads the amounts of one rule.
struct Amounts {
    index: usize,
}

impl Amounts {
    fn of_tokens(&self, prices: &TokenPrices) -> Result<Stated, PriceError> {
        let read = |figure, dollars| self.read(figure, dollars, PER_TOKEN);
        Ok([
            read(Figure::Input, prices.input)?,
            read(Figure::Output, prices.output)?,
            read(Figure::CacheRead, prices.cache_read)?,
            read(Figure::CacheWrite5m, prices.cache_write_5m)?,
            read(Figure::CacheWrite1h, prices.cache_write_1h)?,
        ])
    }

    /// Reads a factor on the prices of tokens.
    fn factor(&self, figure: Figure, found: Option<f64>) -> Result<Option<Factor>, PriceError> {
        let factor = self.read(figure, found, THOUSANDTHS)?;
        Ok(factor.map(|factor| Factor(u32::try_from(factor).unwrap_or(u32::MAX))))
    }

    /// Returns `found` times `unit`, rounded to a whole number.
    fn read(&self, figure: Figure, found: Option<f64>, unit: f64) -> Result<Option<u64>, PriceError> {
        let Some(found) = found else { return Ok(None) };
        let amount = (found * unit).round();
        if !(0.0..=HIGHEST).contains(&amount) {
            return Err(PriceError { index: self.index, figure, found });
        }
        Ok(Some(amount as u64))
    }
}
