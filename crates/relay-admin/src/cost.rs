//! The known and the unknown parts of a cost.

use relay_providers::Usage;
use relay_routing::{ModelCost, Usd};
use relay_server::RequestRecord;

/// The cost of requests, of which some may have no known price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CostSum {
    known: Usd,
    /// Attempts that their upstreams bill, and whose price is known.
    priced: u64,
    /// Attempts that their upstreams bill, and whose price is unknown.
    unpriced: u64,
}

impl CostSum {
    /// The cost of all attempts of a request that has ended.
    pub(crate) fn of(record: &RequestRecord) -> Self {
        let mut sum = Self { known: record.cost.unwrap_or_default(), ..Self::default() };
        for (index, attempt) in record.attempts.iter().enumerate() {
            sum.priced += u64::from(attempt.cost.is_some());
            sum.unpriced += u64::from(is_unpriced(record, index));
        }
        sum
    }

    /// The cost of one attempt, for tests.
    #[cfg(test)]
    pub(crate) fn known(cost: Usd) -> Self {
        Self { known: cost, priced: 1, unpriced: 0 }
    }

    /// Adds the cost of a request that has ended.
    pub(crate) fn add(&mut self, record: &RequestRecord) {
        self.merge(Self::of(record));
    }

    /// Adds another sum.
    pub(crate) fn merge(&mut self, other: Self) {
        self.known = self.known + other.known;
        self.priced += other.priced;
        self.unpriced += other.unpriced;
    }

    /// The sum of the known costs; `None` if the price of every billed attempt is unknown.
    pub(crate) fn usd(&self) -> Option<Usd> {
        (self.priced > 0 || self.unpriced == 0).then_some(self.known)
    }

    /// The number of attempts whose price is unknown.
    pub(crate) fn unpriced(&self) -> u64 {
        self.unpriced
    }

    /// Returns `true` if the cost is at least [`CostSum::usd`], since only a part of it is known.
    pub(crate) fn is_partial(&self) -> bool {
        self.priced > 0 && self.unpriced > 0
    }
}

/// Returns the cost of the attempt with this index in a request that has ended: zero if it is not billed, and `None` if its price
/// is unknown.
pub(crate) fn of_attempt(record: &RequestRecord, index: usize) -> Option<Usd> {
    let cost = record.attempts.get(index)?.cost;
    cost.or_else(|| (!is_unpriced(record, index)).then_some(Usd::ZERO))
}

/// Returns `true` if the upstream bills the attempt with this index, and the price of one of its models is unknown.
pub(crate) fn is_unpriced(record: &RequestRecord, index: usize) -> bool {
    let Some(attempt) = record.attempts.get(index) else { return false };
    let is_answer = index + 1 == record.attempts.len() && record.provider.is_some();
    let answered = (is_answer && record.is_billed).then_some(record.usage);
    if !attempt.by_model.is_empty() {
        return attempt.by_model.iter().any(ModelCost::is_unpriced);
    }
    attempt.cost.is_none() && answered.or(attempt.usage).is_some_and(|usage| usage != Usage::default())
}
