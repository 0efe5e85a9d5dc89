//! The amounts of a row.

use relay_providers::Usage;
use relay_routing::Usd;
use rusqlite::Row as Found;

/// The largest count of one row. A sum over all rows of a disk stays within the integers of the database.
const LARGEST_COUNT: u64 = 1_000_000_000_000;

/// The amounts of one row, or of many, in the order of [`AMOUNTS`](super::schema::AMOUNTS).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) requests: i64,
    pub(super) attempts: i64,
    /// Attempts, and requests without one, that did not end with a complete answer.
    pub(super) failed: i64,
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) cache_read: i64,
    pub(super) cache_write_5m: i64,
    pub(super) cache_write_1h: i64,
    pub(super) web_searches: i64,
    pub(super) web_fetches: i64,
    pub(super) cost_nanos: i64,
    pub(super) uncached_nanos: i64,
    pub(super) estimated: i64,
    pub(super) unpriced: i64,
    /// Attempts with a known price, free ones included.
    pub(super) priced: i64,
    /// Turns of a session that did not read their prefix from the prompt cache.
    pub(super) cache_losses: i64,
}

impl Amounts {
    /// Reads the tokens of an answer. `uncached` is its cost without a cache.
    pub(super) fn of_usage(
        usage: &Usage,
        cost: Option<Usd>,
        uncached: Option<Usd>,
        is_estimated: bool,
    ) -> Self {
        let hour = usage.ephemeral_1h_input_tokens.unwrap_or(0);
        let five_minutes = usage.ephemeral_5m_input_tokens.unwrap_or(0);
        let written = usage.cache_creation_input_tokens.unwrap_or(0);
        let unsplit = written.saturating_sub(hour.saturating_add(five_minutes));
        let nanos = |cost: Usd| i64::try_from(cost.bounded().as_nanos()).unwrap_or(i64::MAX);
        Self {
            input: count(usage.input_tokens),
            output: count(usage.output_tokens),
            cache_read: count(usage.cache_read_input_tokens),
            cache_write_5m: count(Some(five_minutes.saturating_add(unsplit))),
            cache_write_1h: count(Some(hour)),
            web_searches: count(usage.web_search_requests),
            web_fetches: count(usage.web_fetch_requests),
            cost_nanos: cost.map_or(0, nanos),
            uncached_nanos: uncached.or(cost).map_or(0, nanos),
            estimated: is_estimated.into(),
            unpriced: cost.is_none().into(),
            priced: cost.is_some().into(),
            ..Self::default()
        }
    }

    /// Reads the amounts of a query from its column `first` on. A sum over no rows is null, and counts as 0.
    pub(super) fn read(row: &Found<'_>, first: usize) -> rusqlite::Result<Self> {
        let amount = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(first + index)?.unwrap_or(0));
        Ok(Self {
            requests: amount(0)?,
            attempts: amount(1)?,
            failed: amount(2)?,
            input: amount(3)?,
            output: amount(4)?,
            cache_read: amount(5)?,
            cache_write_5m: amount(6)?,
            cache_write_1h: amount(7)?,
            web_searches: amount(8)?,
            web_fetches: amount(9)?,
            cost_nanos: amount(10)?,
            uncached_nanos: amount(11)?,
            estimated: amount(12)?,
            unpriced: amount(13)?,
            priced: amount(14)?,
            cache_losses: amount(15)?,
        })
    }

    /// Returns the amounts in the order of the columns.
    pub(super) fn values(&self) -> [i64; super::schema::AMOUNTS.len()] {
        [
            self.requests,
            self.attempts,
            self.failed,
            self.input,
            self.output,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.web_searches,
            self.web_fetches,
            self.cost_nanos,
            self.uncached_nanos,
            self.estimated,
            self.unpriced,
            self.priced,
            self.cache_losses,
        ]
    }
}

fn count(tokens: Option<u64>) -> i64 {
    tokens.unwrap_or(0).min(LARGEST_COUNT) as i64
}
