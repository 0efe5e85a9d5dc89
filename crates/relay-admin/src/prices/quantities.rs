//! The parts of a usage that have a price.

use relay_providers::Usage;
use relay_stream::watch::{InferenceGeo, ServiceTier, Speed};

/// The tokens and tool calls that an upstream bills for one answer, each token in one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Quantities {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write_5m: u64,
    pub(super) cache_write_1h: u64,
    pub(super) web_searches: u64,
    pub(super) web_fetches: u64,
    /// True if the answer was made in fast mode.
    pub(super) is_fast: bool,
    /// True if the inference was kept in the USA.
    pub(super) is_us: bool,
    /// True if the answer is part of a batch.
    pub(super) is_batch: bool,
}

impl Quantities {
    /// Reads `usage`. Cache writes of an unknown lifetime count as writes for five minutes: an upstream that writes for one hour
    /// reports it.
    pub(super) fn of(usage: &Usage) -> Self {
        let one_hour = usage.ephemeral_1h_input_tokens.unwrap_or(0);
        let five_minutes = usage.ephemeral_5m_input_tokens.unwrap_or(0);
        let written = usage.cache_creation_input_tokens.unwrap_or(0);
        // The last event of a stream may report more writes than the first one, which alone has the lifetimes.
        let unsplit = written.saturating_sub(one_hour.saturating_add(five_minutes));
        Self {
            input: usage.input_tokens.unwrap_or(0),
            output: usage.output_tokens.unwrap_or(0),
            cache_read: usage.cache_read_input_tokens.unwrap_or(0),
            cache_write_5m: five_minutes.saturating_add(unsplit),
            cache_write_1h: one_hour,
            web_searches: usage.web_search_requests.unwrap_or(0),
            web_fetches: usage.web_fetch_requests.unwrap_or(0),
            is_fast: usage.speed == Some(Speed::Fast),
            is_us: usage.inference_geo == Some(InferenceGeo::Us),
            is_batch: usage.service_tier == Some(ServiceTier::Batch),
        }
    }

    /// The length of the prompt: all input tokens, cached ones included.
    pub(super) fn prompt(&self) -> u64 {
        [self.cache_read, self.cache_write_5m, self.cache_write_1h]
            .into_iter()
            .fold(self.input, u64::saturating_add)
    }

    /// The same answer from an upstream without a cache.
    pub(super) fn uncached(self) -> Self {
        Self { input: self.prompt(), cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_written_token_has_one_lifetime() {
        #[track_caller]
        fn check(written: Option<u64>, split: Option<(u64, u64)>, expected: (u64, u64)) {
            let mut usage = Usage::default();
            usage.cache_creation_input_tokens = written;
            usage.ephemeral_5m_input_tokens = split.map(|(five, _)| five);
            usage.ephemeral_1h_input_tokens = split.map(|(_, hour)| hour);
            let quantities = Quantities::of(&usage);
            assert_eq!((quantities.cache_write_5m, quantities.cache_write_1h), expected);
        }
        check(None, None, (0, 0));
        check(Some(7), None, (7, 0));
        check(Some(7), Some((4, 3)), (4, 3));
        check(Some(9), Some((4, 3)), (6, 3));
        check(None, Some((4, 3)), (4, 3));
        check(Some(u64::MAX), Some((u64::MAX, u64::MAX)), (u64::MAX, u64::MAX));
    }
}
