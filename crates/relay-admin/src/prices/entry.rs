//! One entry of the price table.

use super::quantities::Quantities;
use super::rates::{Factor, Rates, total};
use super::tools::ToolRates;
use relay_routing::Usd;

/// The prices of some models at one kind of provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The kind of provider.
    pub(super) kind: &'static str,
    /// Exact names, and patterns that end in `*`.
    pub(super) models: &'static [&'static str],
    pub(super) prices: Prices,
}

/// The prices of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prices {
    pub(super) rates: Rates,
    /// The prices of every token if the prompt is longer than this number of tokens.
    pub(super) tier: Option<(u64, Rates)>,
    pub(super) batch: Option<Factor>,
    pub(super) us: Option<Factor>,
    /// True if the inference is kept in the USA, and false if it is not. `None`: the answer reports it.
    pub(super) is_us: Option<bool>,
    pub(super) regional: Option<Factor>,
    pub(super) gov: Option<Factor>,
    pub(super) fast: Option<Factor>,
    pub(super) off_peak: Option<Factor>,
}

/// The place in which a provider runs the inference, if it changes the price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// The global endpoint, or a provider without places.
    #[default]
    Global,
    /// A region, or a group of regions.
    Regional,
    /// AWS GovCloud.
    Gov,
}

impl Entry {
    pub(super) const fn new(kind: &'static str, models: &'static [&'static str], rates: [u64; 5]) -> Self {
        Self { kind, models, prices: Prices::new(Rates::new(rates)) }
    }

    pub(super) const fn tier(mut self, over: u64, rates: [u64; 5]) -> Self {
        self.prices.tier = Some((over, Rates::new(rates)));
        self
    }

    pub(super) const fn batch(mut self, thousandths: u32) -> Self {
        self.prices.batch = Some(Factor(thousandths));
        self
    }

    pub(super) const fn us(mut self, thousandths: u32) -> Self {
        self.prices.us = Some(Factor(thousandths));
        self
    }

    pub(super) const fn regional(mut self, thousandths: u32) -> Self {
        self.prices.regional = Some(Factor(thousandths));
        self
    }

    pub(super) const fn gov(mut self, thousandths: u32) -> Self {
        self.prices.gov = Some(Factor(thousandths));
        self
    }

    pub(super) const fn fast(mut self, thousandths: u32) -> Self {
        self.prices.fast = Some(Factor(thousandths));
        self
    }

    pub(super) const fn off_peak(mut self, thousandths: u32) -> Self {
        self.prices.off_peak = Some(Factor(thousandths));
        self
    }
}

impl Prices {
    pub(super) const fn new(rates: Rates) -> Self {
        Self {
            rates,
            tier: None,
            batch: None,
            us: None,
            is_us: None,
            regional: None,
            gov: None,
            fast: None,
            off_peak: None,
        }
    }

    /// Returns the cost of `quantities`; `None` if it was made in a mode without a known price.
    pub(super) fn cost(
        &self,
        quantities: &Quantities,
        place: Place,
        is_peak: impl FnOnce() -> bool,
        tools: &ToolRates,
    ) -> Option<Usd> {
        let rates = match &self.tier {
            Some((over, rates)) if quantities.prompt() > *over => rates,
            _ => &self.rates,
        };
        let batch = mode(quantities.is_batch, self.batch)?;
        let fast = mode(quantities.is_fast, self.fast)?;
        let us = self.us.filter(|_| self.is_us.unwrap_or(quantities.is_us));
        let off_peak = self.off_peak.filter(|_| !is_peak());
        let factors = [batch, fast, us, self.place(place), off_peak];
        Some(total(rates.of_tokens(quantities), factors.into_iter().flatten(), tools.of_calls(quantities)))
    }

    /// The factor of `place`. GovCloud without a factor of its own is a region.
    fn place(&self, place: Place) -> Option<Factor> {
        match place {
            Place::Global => None,
            Place::Regional => self.regional,
            Place::Gov => self.gov.or(self.regional),
        }
    }
}

/// Returns the factor of a mode that an answer may be made in. The outer `None` is a mode in use whose price is unknown.
fn mode(is_used: bool, factor: Option<Factor>) -> Option<Option<Factor>> {
    if is_used { factor.map(Some) } else { Some(None) }
}
