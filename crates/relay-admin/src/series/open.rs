//! The point that is not complete.

use http::StatusCode;
use relay_config::ProviderName;
use relay_routing::Usd;
use relay_server::{RequestEnd, RequestRecord};

use super::histogram::Histogram;
use super::step::start_of;
use crate::cost::CostSum;
use crate::model::Point;

/// The figures of the step under way.
#[derive(Default)]
pub(super) struct Open {
    /// The number of the step since the Unix epoch; 0 before the first event.
    pub(super) step: u64,
    requests: u64,
    errors: u64,
    rate_limited: u64,
    head: Histogram,
    content: Histogram,
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    cost: CostSum,
    /// At most as many as there are providers.
    by_provider: Vec<(ProviderName, u64)>,
}

impl Open {
    /// Begins another step without a figure. The allocations are used again.
    pub(super) fn restart(&mut self, step: u64) {
        let mut before = std::mem::take(self);
        before.head.clear();
        before.content.clear();
        before.by_provider.clear();
        let Self { head, content, by_provider, .. } = before;
        *self = Self { step, head, content, by_provider, ..Self::default() };
    }

    pub(super) fn add(&mut self, record: &RequestRecord) {
        let status = record.status.map_or(0, |status| status.as_u16());
        self.requests += 1;
        self.errors += u64::from(status >= 500 || record.end == Some(RequestEnd::Broken));
        self.rate_limited += u64::from(status == StatusCode::TOO_MANY_REQUESTS.as_u16());
        if let Some(head) = record.head {
            self.head.add(head);
        }
        if let Some(content) = record.first_content {
            self.content.add(content);
        }
        let usage = &record.usage;
        add(&mut self.input_tokens, usage.input_tokens);
        add(&mut self.output_tokens, usage.output_tokens);
        add(&mut self.cache_read_tokens, usage.cache_read_input_tokens);
        add(&mut self.cache_write_tokens, usage.cache_creation_input_tokens);
        self.cost.add(record);
        let Some(provider) = &record.provider else { return };
        match self.by_provider.iter_mut().find(|(name, _)| name == provider) {
            Some((_, count)) => *count += 1,
            None => self.by_provider.push((provider.clone(), 1)),
        }
    }

    /// Returns the point of the step, with the largest number of requests under way at one time.
    pub(super) fn point(&self, in_flight: u32) -> Point {
        Point {
            unix_ms: start_of(self.step),
            requests: self.requests,
            errors: self.errors,
            rate_limited: self.rate_limited,
            in_flight,
            head_p50_ms: self.head.percentile(50),
            head_p95_ms: self.head.percentile(95),
            content_p50_ms: self.content.percentile(50),
            content_p95_ms: self.content.percentile(95),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cache_read_tokens: self.cache_read_tokens,
            cache_write_tokens: self.cache_write_tokens,
            cost_usd: self.cost.usd().map(Usd::as_dollars),
            is_cost_partial: self.cost.is_partial(),
            unpriced_requests: self.cost.unpriced(),
            by_provider: self.by_provider.iter().map(|(name, count)| (name.to_string(), *count)).collect(),
        }
    }
}

/// Adds a count that an upstream reports, which may be any number.
fn add(sum: &mut u64, tokens: Option<u64>) {
    *sum = sum.saturating_add(tokens.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_any_size_are_added() {
        let mut sum = 1;
        [None, Some(2), Some(u64::MAX)].into_iter().for_each(|tokens| add(&mut sum, tokens));
        assert_eq!(sum, u64::MAX);
    }
}
