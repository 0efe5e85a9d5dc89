//! Queries of the ledger, and their results.

use relay_routing::Usd;
use serde::Serialize;
use utoipa::ToSchema;

/// A query for the usage in a span of time.
///
/// ```
/// use relay_admin::ledger::{GroupBy, UsageQuery};
///
/// let query = UsageQuery::default().since(1_795_651_200_000).by(GroupBy::Model);
/// assert_eq!(query.until_unix_ms, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageQuery {
    /// The start of the span in milliseconds since 1970; `None` for the start of the ledger.
    pub since_unix_ms: Option<i64>,
    /// The end of the span in milliseconds since 1970, which is not part of it; `None` for the end of the ledger.
    pub until_unix_ms: Option<i64>,
    /// The fact by which rows are grouped; `None` for the total alone.
    pub by: Option<GroupBy>,
    /// The values that a row must have.
    pub filters: UsageFilters,
    /// The most rows in the report; `None` for [`UsageQuery::DEFAULT_LIMIT`].
    pub limit: Option<usize>,
}

impl UsageQuery {
    /// The most rows in a report, unless the query sets another limit.
    pub const DEFAULT_LIMIT: usize = 1000;

    /// Sets the start of the span in milliseconds since 1970.
    #[must_use]
    pub fn since(mut self, unix_ms: i64) -> Self {
        self.since_unix_ms = Some(unix_ms);
        self
    }

    /// Sets the end of the span in milliseconds since 1970.
    #[must_use]
    pub fn until(mut self, unix_ms: i64) -> Self {
        self.until_unix_ms = Some(unix_ms);
        self
    }

    /// Groups the rows.
    #[must_use]
    pub fn by(mut self, by: GroupBy) -> Self {
        self.by = Some(by);
        self
    }

    /// Returns `true` if the span contains no time, since its end is not after its start.
    #[must_use]
    pub fn has_empty_span(&self) -> bool {
        self.since_unix_ms.zip(self.until_unix_ms).is_some_and(|(since, until)| until <= since)
    }

    /// Limits the number of rows.
    #[must_use]
    pub fn with_limit(mut self, rows: usize) -> Self {
        self.limit = Some(rows);
        self
    }
}

/// The values that counted attempts must have. `None` is any value, and an empty text the absence of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageFilters {
    /// The name of the provider.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The id of the provider's key.
    pub key: Option<String>,
    /// The name of the client.
    pub client: Option<String>,
    /// The id of the session.
    pub session: Option<String>,
}

/// A fact by which usage is grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum GroupBy {
    /// The name of the provider.
    Provider,
    /// The model that answered.
    Model,
    /// The provider and its key, as `provider/key`.
    Key,
    /// The name of the client.
    Client,
    /// The id of the session.
    Session,
    /// The day in UTC.
    Day,
    /// The hour in UTC.
    Hour,
}

impl GroupBy {
    /// Every fact, in the order of the documentation.
    pub const ALL: [Self; 7] =
        [Self::Provider, Self::Model, Self::Key, Self::Client, Self::Session, Self::Day, Self::Hour];

    /// Returns the name, such as `provider`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Key => "key",
            Self::Client => "client",
            Self::Session => "session",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }

    /// Finds a fact by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == name)
    }

    /// Returns `true` if the groups are spans of time, which a report has in order.
    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Hour)
    }
}

/// The usage in a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct UsageReport {
    /// The start of the span; null for the start of the ledger.
    pub since_unix_ms: Option<i64>,
    /// The end of the span; the time of the report if the query has none.
    pub until_unix_ms: i64,
    /// The fact by which the rows are grouped.
    pub by: Option<GroupBy>,
    /// The groups: spans of time in order, others by falling cost.
    pub rows: Vec<UsageRow>,
    /// True if there are more groups than the limit of the query. The total has all of them.
    pub is_truncated: bool,
    /// The sum of all groups.
    pub total: UsageRow,
    /// Requests that the running relay could not record since its start.
    pub dropped: u64,
}

/// The usage of one group.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct UsageRow {
    /// The group; null for the total, and for requests without the fact.
    pub group: Option<String>,
    /// Requests. A request counts in the group of its last attempt.
    pub requests: u64,
    /// Attempts at upstreams.
    pub attempts: u64,
    /// Attempts, and requests without an attempt, that did not end with a complete answer.
    pub failed: u64,
    /// Input tokens that were neither read from a prompt cache nor written to one.
    pub input_tokens: u64,
    /// Output tokens, thinking included.
    pub output_tokens: u64,
    /// Input tokens that were read from a prompt cache.
    pub cache_read_tokens: u64,
    /// Input tokens that were written to a prompt cache for five minutes, or for an unknown time.
    pub cache_write_5m_tokens: u64,
    /// Input tokens that were written to a prompt cache for one hour.
    pub cache_write_1h_tokens: u64,
    /// Web searches that the upstream made.
    pub web_search_requests: u64,
    /// Web fetches that the upstream made.
    pub web_fetch_requests: u64,
    /// The cost, without attempts whose price is unknown; null if no price is known. Attempts that are not billed cost 0.
    #[schema(value_type = Option<f64>)]
    pub cost_usd: Option<Usd>,
    /// The cost of the same tokens at list price, without a prompt cache; null if no price is known.
    #[schema(value_type = Option<f64>)]
    pub uncached_usd: Option<Usd>,
    /// The amount that the prompt cache saved; null if no price is known. It is negative if writing cost more than reading saved.
    pub saved_usd: Option<f64>,
    /// True if the cost is at least `cost_usd`, since the prices of some attempts are unknown.
    pub is_cost_partial: bool,
    /// The share of input tokens that were read from a prompt cache, from 0 to 1; null without input tokens.
    pub cache_hit_rate: Option<f64>,
    /// Attempts with an estimate: of the output tokens, since their answer was cut, or of the time to live of cache writes.
    pub estimated_requests: u64,
    /// Attempts with tokens whose price is unknown. Their cost is missing in the sum.
    pub unpriced_requests: u64,
    /// Turns of sessions that did not read their prefix from the prompt cache, as far as they were diagnosed.
    pub cache_losses: u64,
    /// The latest of these losses in a group of one session: the verdict, and the place at which the prefix broke, such as
    /// `broken: system[1] changed`. Null for other groups, and after the retention of single attempts.
    pub last_cache_loss: Option<String>,
}
