//! The refusal of a request of a client without money.

use std::fmt;
use std::time::{Duration, SystemTime};

use relay_config::BudgetPeriod;
use relay_routing::Usd;

use super::period::{Timestamp, this};

/// The refusal of a request of a client that has spent its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetSpent {
    /// The amount of the budget.
    pub budget: Usd,
    /// The amount that the client has spent in the period.
    pub spent: Usd,
    /// The period of the budget.
    pub period: BudgetPeriod,
    /// The end of the period, at which the budget can be spent again.
    pub resets: SystemTime,
    /// The time until then.
    pub retry_after: Duration,
}

impl BudgetSpent {
    /// The value of `retry-after`: whole seconds, at least 1.
    #[must_use]
    pub fn retry_seconds(&self) -> u64 {
        self.retry_after.as_secs_f64().ceil().max(1.0) as u64
    }
}

impl std::error::Error for BudgetSpent {}

impl fmt::Display for BudgetSpent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = decimals(self.budget);
        write!(
            f,
            "the budget of this client is spent: ${:.decimals$} of ${:.decimals$} for {}; it resets at {}",
            self.spent.as_dollars(),
            self.budget.as_dollars(),
            this(self.period),
            Timestamp(self.resets)
        )
    }
}

/// The number of decimals for amounts beside `budget`: 2 for whole cents, or else 6.
pub(super) fn decimals(budget: Usd) -> usize {
    const CENT: u64 = 10_000_000;
    if budget.as_nanos().is_multiple_of(CENT) { 2 } else { 6 }
}
