//! The series of requests and attempts: their labels and values.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use relay_providers::{EventGaps, GAP_BOUNDS, Usage};
use relay_routing::Usd;

use super::counters::add;
use super::exemplars::{Exemplar, ExemplarCounter, ExemplarHistogram};
use super::histogram::{HEAD_BOUNDS, Histogram, REQUEST_BOUNDS, TOKEN_BOUNDS};

/// Names and values of labels. The first one is the provider.
pub(super) type Labels = Vec<(&'static str, Arc<str>)>;

/// A series with its labels.
#[derive(Debug)]
pub(super) struct Labelled<T> {
    pub(super) labels: Labels,
    pub(super) value: T,
}

impl<T> Labelled<T> {
    /// The provider.
    pub(super) fn provider(&self) -> &str {
        self.labels.first().map_or("none", |(_, provider)| provider)
    }
}

/// The count of requests.
pub(super) type RequestSeries = Labelled<ExemplarCounter>;

/// The kinds of tokens, in the order of [`UsageCounts::tokens`].
pub(super) const TOKEN_KINDS: [&str; 5] =
    ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h"];

/// Tokens and cost.
#[derive(Debug, Default)]
pub(super) struct UsageCounts {
    /// Tokens by [`TOKEN_KINDS`], which do not overlap.
    pub(super) tokens: [AtomicU64; TOKEN_KINDS.len()],
    pub(super) web_searches: AtomicU64,
    /// The cost in nanodollars.
    pub(super) cost: AtomicU64,
    /// Attempts with a known price, free ones included.
    pub(super) priced: AtomicU64,
    /// Attempts with tokens and without a known price.
    pub(super) unpriced: AtomicU64,
    /// Answers whose output tokens are an estimate.
    pub(super) estimated: AtomicU64,
}

impl UsageCounts {
    /// Adds the tokens of an answer.
    pub(super) fn add(&self, usage: &Usage) {
        for (counter, tokens) in self.tokens.iter().zip(tokens(usage)) {
            add(counter, tokens);
        }
        add(&self.web_searches, usage.web_search_requests.unwrap_or(0));
    }

    /// Adds a known cost, which may be zero.
    pub(super) fn add_cost(&self, cost: Usd) {
        add(&self.cost, cost.as_nanos());
        add(&self.priced, 1);
    }
}

/// Returns the tokens by [`TOKEN_KINDS`]. Writes to a cache without a lifetime are those of five minutes, the default.
fn tokens(usage: &Usage) -> [u64; TOKEN_KINDS.len()] {
    let count = Option::unwrap_or_default;
    let (short, long) = (count(usage.ephemeral_5m_input_tokens), count(usage.ephemeral_1h_input_tokens));
    let written = count(usage.cache_creation_input_tokens).max(short.saturating_add(long));
    [
        count(usage.input_tokens),
        count(usage.output_tokens),
        count(usage.cache_read_input_tokens),
        written.saturating_sub(long),
        long,
    ]
}

/// The times of requests.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) duration: ExemplarHistogram,
    pub(super) head: Histogram,
}

impl Times {
    pub(super) fn new() -> Self {
        Self { duration: ExemplarHistogram::new(&REQUEST_BOUNDS), head: Histogram::seconds(&HEAD_BOUNDS) }
    }
}

/// Facts about successful answers. A histogram exists from its first value on.
#[derive(Debug, Default)]
pub(super) struct AnswerSeries {
    pub(super) first_content: OnceLock<ExemplarHistogram>,
    pub(super) gaps: OnceLock<Histogram>,
    pub(super) input_tokens: OnceLock<Histogram>,
    pub(super) output_tokens: OnceLock<Histogram>,
}

impl AnswerSeries {
    pub(super) fn add_first_content(&self, time: Duration, request: &Exemplar<'_>) {
        self.first_content.get_or_init(|| ExemplarHistogram::new(&HEAD_BOUNDS)).observe(time, request);
    }

    pub(super) fn add_gaps(&self, gaps: &EventGaps) {
        if gaps.count > 0 {
            let histogram = self.gaps.get_or_init(|| Histogram::seconds(&GAP_BOUNDS));
            histogram.add_all(gaps.buckets.iter().map(|count| u64::from(*count)), gaps.sum);
        }
    }

    pub(super) fn add_usage(&self, usage: &Usage) {
        let counts = || Histogram::counts(&TOKEN_BOUNDS);
        if let Some(tokens) = usage.total_input_tokens() {
            self.input_tokens.get_or_init(counts).observe_count(tokens);
        }
        if let Some(tokens) = usage.output_tokens {
            self.output_tokens.get_or_init(counts).observe_count(tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::counters::LARGEST;
    use super::*;

    #[test]
    fn counts_of_any_size_do_not_wrap_a_counter() {
        let counts = UsageCounts::default();
        let mut usage = Usage::default();
        usage.input_tokens = Some(u64::MAX);
        let answers = AnswerSeries::default();
        for _ in 0..3 {
            counts.add(&usage);
            counts.add_cost(Usd::from_nanos(u64::MAX));
            answers.add_usage(&usage);
        }
        let [input, ..] = &counts.tokens;
        assert_eq!([input, &counts.cost].map(|counter| counter.load(Ordering::Relaxed)), [3 * LARGEST; 2]);
        assert_eq!(answers.input_tokens.get().unwrap().sum(), 3 * LARGEST);
    }

    #[test]
    fn kinds_of_tokens_do_not_overlap() {
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens) = (Some(1), Some(2));
        (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) = (Some(3), Some(10));
        assert_eq!(tokens(&usage), [1, 2, 3, 10, 0]);
        usage.ephemeral_1h_input_tokens = Some(4);
        assert_eq!(tokens(&usage), [1, 2, 3, 6, 4]);
        (usage.ephemeral_5m_input_tokens, usage.cache_creation_input_tokens) = (Some(5), None);
        assert_eq!(tokens(&usage), [1, 2, 3, 5, 4]);
    }
}
