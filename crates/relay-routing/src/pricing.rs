//! The prices of answers: an interface, since routing has no table of prices.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use relay_config::ProviderName;
use relay_providers::Usage;
use serde::{Serialize, Serializer};

/// Nanodollars in a US dollar.
const NANOS: u64 = 1_000_000_000;

/// An amount of money in US dollars, as a whole number of nanodollars. Sums are exact, and stop at the largest amount.
///
/// ```
/// use relay_routing::Usd;
///
/// let cost = Usd::from_nanos(12_345_678) + Usd::from_nanos(1);
/// assert_eq!(cost.to_string(), "$0.0123");
/// assert_eq!(serde_json::to_string(&cost)?, "0.012345679");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest cost of one answer: 1,000,000 dollars. No model has a price that comes near to it.
    pub const LARGEST_COST: Self = Self(1_000_000 * NANOS);

    /// Creates an amount of nanodollars.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The amount in nanodollars.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The amount in dollars. Amounts above 9,000,000 dollars lose nanodollars.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the documented loss")]
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }

    /// This amount as the cost of one answer, at most [`Usd::LARGEST_COST`]. A larger one follows from token counts that an upstream
    /// has reported wrongly. Every part that counts costs has to count the same amount.
    #[must_use]
    pub fn bounded(self) -> Self {
        self.min(Self::LARGEST_COST)
    }

    /// This amount without `other`; zero if `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    /// Writes dollars with four decimals, such as `$0.0123`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.4}", self.as_dollars())
    }
}

impl Serialize for Usd {
    /// Serializes the amount as a number of dollars.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.as_dollars())
    }
}

/// The prices of a program, for the cost of requests and for strategies that compare costs.
pub trait Pricing: Send + Sync + 'static {
    /// Returns the cost of an answer with `usage` from the model that `provider` calls `model`; `None` if its price is unknown.
    ///
    /// Called at the end of each request, and for each candidate of a strategy that compares costs: it must not block.
    fn cost(&self, provider: &ProviderName, model: &str, usage: &Usage) -> Option<Usd>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_stop_at_the_largest_amount() {
        let tenths: Usd = std::iter::repeat_n(Usd::from_nanos(NANOS / 10), 10).sum();
        assert_eq!(tenths, Usd::from_nanos(NANOS));
        assert_eq!(Usd::from_nanos(u64::MAX) + tenths, Usd::from_nanos(u64::MAX));
        assert_eq!(Usd::ZERO.saturating_sub(tenths), Usd::ZERO);
    }

    #[test]
    fn the_cost_of_an_answer_is_at_most_a_million_dollars() {
        let million = Usd::from_nanos(1_000_000 * NANOS);
        assert_eq!(million.bounded(), million);
        assert_eq!(Usd::from_nanos(u64::MAX).bounded(), million);
    }
}
