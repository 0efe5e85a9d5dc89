//! What requests use: by estimate beforehand, and by what the answers told.

use std::cell::OnceCell;

use relay_messages::{MessagesBody, estimate_tokens};

use relay_providers::StreamReport;

/// What one request is going to use. The estimate is made when somebody needs it.
#[derive(Debug)]
pub struct RequestCost<'a> {
    body: &'a MessagesBody,
    input: OnceCell<u64>,
}

impl<'a> RequestCost<'a> {
    /// That of a request with this body.
    #[must_use]
    pub fn new(body: &'a MessagesBody) -> Self {
        Self { body, input: OnceCell::new() }
    }

    #[cfg(test)]
    pub(crate) fn with_estimate(body: &'a MessagesBody, input: u64) -> Self {
        Self { body, input: OnceCell::from(input) }
    }

    pub(crate) fn input_tokens(&self) -> u64 {
        *self.input.get_or_init(|| estimate_tokens(self.body))
    }

    pub(crate) fn max_tokens(&self) -> Option<u64> {
        self.body.max_tokens()
    }
}

/// About so many tokens come with one event of content.
const TOKENS_PER_DELTA: u64 = 4;

/// The tokens that count against limits; `None` where the answer did not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokensUsed {
    /// Input, without what was read from a cache.
    pub input: Option<u64>,
    /// Output.
    pub output: Option<u64>,
}

impl TokensUsed {
    /// No token at all.
    pub const ZERO: Self = Self { input: Some(0), output: Some(0) };

    /// What an answer told. The count of output comes at its end; of one that broke off or was abandoned, the content
    /// that did come is counted.
    #[must_use]
    pub fn of(report: &StreamReport) -> Self {
        let usage = &report.usage;
        let written = usage.cache_creation_input_tokens.unwrap_or(0);
        let output = match report.is_complete() {
            true => usage.output_tokens,
            false => {
                Some(usage.output_tokens.unwrap_or(0).max(report.deltas.saturating_mul(TOKENS_PER_DELTA)))
            }
        };
        Self { input: usage.input_tokens.map(|input| input.saturating_add(written)), output }
    }
}

/// How much a new answer changes what is thought to be typical.
const WEIGHT: f64 = 0.2;
/// Most of a long conversation is read from a cache, so that little of an estimate counts; but never nothing.
const RATIOS: std::ops::RangeInclusive<f64> = 0.01..=4.0;

/// What requests with one key have used so far, compared with what was estimated.
#[derive(Debug, Clone)]
pub(super) struct TypicalUsage {
    /// Input that counted, for each token of the estimate.
    ratio: f64,
    /// Output of an answer. `max_tokens` says little about it: Claude Code asks for 128 000 and uses a few hundred.
    output: f64,
}

impl Default for TypicalUsage {
    fn default() -> Self {
        Self { ratio: 1.0, output: 500.0 }
    }
}

impl TypicalUsage {
    /// The input that is going to count.
    pub(super) fn input(&self, estimate: u64) -> f64 {
        estimate as f64 * self.ratio
    }

    /// The output that is to be expected.
    pub(super) fn output(&self, max_tokens: Option<u64>) -> f64 {
        max_tokens.map_or(self.output, |max| self.output.min(max as f64))
    }

    pub(super) fn learn(&mut self, estimate: u64, used: TokensUsed) {
        if let Some(input) = used.input {
            let ratio = (input as f64 / estimate.max(1) as f64).clamp(*RATIOS.start(), *RATIOS.end());
            self.ratio += WEIGHT * (ratio - self.ratio);
        }
        if let Some(output) = used.output {
            self.output += WEIGHT * (output as f64 - self.output);
        }
    }
}
