//! The cost of a request.

use std::sync::Arc;

use relay_messages::CacheTtl;
use relay_providers::Usage;
use relay_routing::{Pricing, Usd};

use super::RequestRecord;

impl RequestRecord {
    /// Adds the billed attempts to the facts of the request: estimates among their tokens, and by `pricing` their costs.
    ///
    /// The answer that the client got belongs to the last attempt. Other attempts are billed if their upstream reported usage.
    /// Answers with a status of failure, and counts of tokens, are not billed.
    ///
    /// The price is that of the model that was sent. If it is unknown, that of the model that the answer names counts: some
    /// upstreams map the names of models. The tokens of further models have the prices of those models.
    pub(super) fn add_billed(&mut self, pricing: Option<&dyn Pricing>) {
        self.split_cache_writes();
        if let Some(answered) = self.attempts.last_mut().filter(|_| self.is_billed) {
            answered.is_estimated = self.is_estimated;
        }
        self.is_estimated |= self.attempts.iter().any(|attempt| attempt.is_estimated);
        let Some(pricing) = pricing else { return };
        let mut answered = self.is_billed.then_some(self.usage);
        let served = self.model_served.as_deref();
        for attempt in self.attempts.iter_mut().rev() {
            let served = served.filter(|_| answered.is_some());
            let Some(usage) = answered.take().or(attempt.usage) else { continue };
            let price = |model: &Arc<str>, usage: &Usage| {
                let price = |model: &str| pricing.cost(&attempt.provider, model, usage).map(Usd::bounded);
                price(model).or_else(|| price(served.filter(|_| *model == attempt.model)?))
            };
            if attempt.by_model.is_empty() {
                attempt.cost = price(&attempt.model, &usage);
                continue;
            }
            let costs: Vec<_> = attempt.by_model.iter().map(|part| price(&part.model, &part.usage)).collect();
            attempt.cost = costs.iter().copied().flatten().reduce(|a, b| a + b);
            attempt.by_model.iter_mut().zip(costs).for_each(|(part, cost)| part.cost = cost);
        }
        self.cost = self.attempts.iter().filter_map(|attempt| attempt.cost).reduce(|a, b| a + b);
    }

    /// Assigns cache writes without a time to live to the one that the request asks for. If it asks for none, they count as writes
    /// for five minutes, which is an estimate.
    fn split_cache_writes(&mut self) {
        let ttl = self.cache_ttl;
        self.is_estimated |= self.is_billed && assign_unsplit(&mut self.usage, ttl);
        for attempt in &mut self.attempts {
            if let Some(usage) = &mut attempt.usage {
                attempt.is_estimated |= assign_unsplit(usage, ttl);
            }
            for part in &mut attempt.by_model {
                assign_unsplit(&mut part.usage, ttl);
            }
        }
    }
}

/// Assigns the cache writes of `usage` that have no time to live. Returns `true` if theirs is an estimate.
///
/// # Source
/// Anthropic's streaming documentation: `message_delta` may raise the sum of `message_start`, and has no split.
fn assign_unsplit(usage: &mut Usage, ttl: Option<CacheTtl>) -> bool {
    let written = usage.cache_creation_input_tokens.unwrap_or(0);
    let (short, long) = (&mut usage.ephemeral_5m_input_tokens, &mut usage.ephemeral_1h_input_tokens);
    let split = short.unwrap_or(0).saturating_add(long.unwrap_or(0));
    let unsplit = written.saturating_sub(split);
    if unsplit > 0 {
        let count = if ttl == Some(CacheTtl::OneHour) { long } else { short };
        *count = Some(count.unwrap_or(0).saturating_add(unsplit));
    }
    unsplit > 0 && ttl.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_writes_without_a_time_to_live_have_that_of_the_request() {
        #[track_caller]
        fn check(
            written: u64,
            split: Option<(u64, u64)>,
            ttl: Option<CacheTtl>,
            expected: (u64, u64),
            is_estimated: bool,
        ) {
            let mut usage = Usage::default();
            usage.cache_creation_input_tokens = Some(written);
            usage.ephemeral_5m_input_tokens = split.map(|(short, _)| short);
            usage.ephemeral_1h_input_tokens = split.map(|(_, long)| long);
            assert_eq!(assign_unsplit(&mut usage, ttl), is_estimated);
            let count = Option::unwrap_or_default;
            assert_eq!(
                (count(usage.ephemeral_5m_input_tokens), count(usage.ephemeral_1h_input_tokens)),
                expected
            );
        }
        let (short, long) = (Some(CacheTtl::FiveMinutes), Some(CacheTtl::OneHour));
        check(9, None, long, (0, 9), false);
        check(9, None, short, (9, 0), false);
        check(9, None, None, (9, 0), true);
        check(9, Some((4, 3)), long, (4, 5), false);
        check(7, Some((4, 3)), None, (4, 3), false);
        check(0, None, None, (0, 0), false);
        check(u64::MAX, Some((u64::MAX, 1)), None, (u64::MAX, 1), false);
    }
}
