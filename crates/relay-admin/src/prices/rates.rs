//! Exact arithmetic with prices.

use relay_routing::Usd;

use super::quantities::Quantities;

/// Picodollars in a nanodollar.
const PICOS: u128 = 1000;

/// The prices of a token of each kind, in picodollars: 1 USD for a million tokens is 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write_5m: u64,
    pub(super) cache_write_1h: u64,
}

impl Rates {
    /// Creates the prices of one million tokens, in microdollars. The order is input, output, cache read, five-minute write and
    /// one-hour write.
    pub(super) const fn new(prices: [u64; 5]) -> Self {
        let [input, output, cache_read, cache_write_5m, cache_write_1h] = prices;
        Self { input, output, cache_read, cache_write_5m, cache_write_1h }
    }

    /// Returns the price of all tokens, in picodollars.
    pub(super) fn of_tokens(&self, quantities: &Quantities) -> u128 {
        [
            (quantities.input, self.input),
            (quantities.output, self.output),
            (quantities.cache_read, self.cache_read),
            (quantities.cache_write_5m, self.cache_write_5m),
            (quantities.cache_write_1h, self.cache_write_1h),
        ]
        .into_iter()
        .map(|(tokens, price)| u128::from(tokens) * u128::from(price))
        .fold(0, u128::saturating_add)
    }
}

/// A factor on the price of every token, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factor(pub(super) u32);

impl Factor {
    /// The number by which a factor is divided.
    const UNIT: u128 = 1000;
}

/// Returns `tokens` times every factor, plus `tools`: both in picodollars. The sum is rounded once, to the nearest nanodollar, and
/// half of one upwards.
pub(super) fn total(tokens: u128, factors: impl IntoIterator<Item = Factor>, tools: u128) -> Usd {
    let (mut sum, mut divisor) = (tokens, 1);
    for Factor(factor) in factors {
        sum = sum.saturating_mul(factor.into());
        divisor *= Factor::UNIT;
    }
    let sum = sum.saturating_add(tools.saturating_mul(divisor));
    rounded(sum, divisor * PICOS)
}

/// Divides `sum`, and rounds half of a nanodollar upwards.
fn rounded(sum: u128, divisor: u128) -> Usd {
    // A division of 64 bits costs a fraction of one of 128 bits, and is enough for 18 million dollars.
    if let (Ok(sum), Ok(divisor)) = (u64::try_from(sum), u64::try_from(divisor))
        && let Some(sum) = sum.checked_add(divisor / 2)
    {
        return Usd::from_nanos(sum / divisor);
    }
    let nanos = sum.saturating_add(divisor / 2) / divisor;
    Usd::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_rounded_once_and_half_upwards() {
        #[track_caller]
        fn check(tokens: u128, factors: &[u32], tools: u128, nanos: u64) {
            let factors = factors.iter().map(|&factor| Factor(factor));
            assert_eq!(total(tokens, factors, tools), Usd::from_nanos(nanos));
        }
        check(1499, &[], 0, 1);
        check(1500, &[], 0, 2);
        check(1000, &[1100], 0, 1);
        // Two roundings would make 1 of 1.1 × 1.1 = 1.21, and 1 + 0 of the tool.
        check(1000, &[1100, 1100], 300, 2);
        check(u64::MAX.into(), &[], 0, u64::MAX / 1000 + 1);
        check(u128::from(u64::MAX) + 1, &[], 0, u64::MAX / 1000 + 1);
        check(u128::MAX, &[2000, 2000, 1100, 1100], u128::MAX, u64::MAX);
    }
}
