//! The tokens that requests use: estimated before the request, reported by the answer.

use std::cell::OnceCell;

use relay_messages::{MessagesBody, estimate_tokens_by_length};
use relay_providers::StreamReport;

/// The tokens that one request is expected to use. The input of a body is estimated on the first use of the value.
#[derive(Debug)]
pub struct RequestCost<'a> {
    /// `None` if only the number of requests counts, or if the body is not known.
    body: Option<&'a MessagesBody>,
    input: OnceCell<u64>,
    has_tokens: bool,
}

impl<'a> RequestCost<'a> {
    /// Creates the cost of a request with this body.
    #[must_use]
    pub fn new(body: &'a MessagesBody) -> Self {
        Self { body: Some(body), input: OnceCell::new(), has_tokens: true }
    }

    #[cfg(test)]
    pub(crate) fn with_estimate(body: &'a MessagesBody, input: u64) -> Self {
        Self { body: Some(body), input: OnceCell::from(input), has_tokens: true }
    }

    /// Returns the input tokens that the length of the body suggests. The ratio that is learned from the counts of the upstream
    /// corrects them.
    pub(crate) fn input_tokens(&self) -> u64 {
        *self.input.get_or_init(|| self.body.map_or(0, estimate_tokens_by_length))
    }

    /// Returns `max_tokens` of the request.
    pub(crate) fn max_tokens(&self) -> Option<u64> {
        self.body?.max_tokens()
    }

    /// Returns `true` if the request requires a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.body.is_some_and(MessagesBody::is_stream)
    }

    /// Returns `false` if the request counts as a request only.
    pub(super) fn has_tokens(&self) -> bool {
        self.has_tokens
    }
}

impl RequestCost<'static> {
    /// Creates the cost of a request whose body is not read, with an estimate of its input tokens.
    #[must_use]
    pub fn of_tokens(input: u64) -> Self {
        Self { body: None, input: OnceCell::from(input), has_tokens: true }
    }

    /// Creates the cost of a request that uses no tokens.
    #[must_use]
    pub fn without_tokens() -> Self {
        Self { body: None, input: OnceCell::from(0), has_tokens: false }
    }
}

/// The approximate number of tokens in one content delta event.
const TOKENS_PER_DELTA: u64 = 4;

/// The tokens of one answer that count against limits; `None` if the answer did not report them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokensUsed {
    /// Input tokens, without the tokens read from a cache.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
}

impl TokensUsed {
    /// No tokens.
    pub const ZERO: Self = Self { input: Some(0), output: Some(0) };

    /// Creates the numbers of one answer; `None` for a number that it did not report.
    #[must_use]
    pub fn new(input: impl Into<Option<u64>>, output: impl Into<Option<u64>>) -> Self {
        Self { input: input.into(), output: output.into() }
    }

    /// Returns the tokens of an answer that has reported `input` tokens and `deltas` events with content so far.
    #[must_use]
    pub fn so_far(input: u64, deltas: u64) -> Self {
        let input = Some(input).filter(|input| *input > 0);
        Self { input, output: Some(deltas.saturating_mul(TOKENS_PER_DELTA)) }
    }

    /// Reads the tokens used from the report of an answer's body.
    ///
    /// A complete answer reports its output tokens at its end. For an incomplete one, the content deltas
    /// received are counted instead, if they amount to more.
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

/// The weight of a new answer in the moving averages.
const WEIGHT: f64 = 0.2;
/// The bounds of the ratio of counted input to estimated input. In a long conversation most input is read
/// from a cache and does not count, but some always does.
const RATIOS: std::ops::RangeInclusive<f64> = 0.01..=4.0;

/// Moving averages of the tokens that requests with one key have used.
#[derive(Debug, Clone)]
pub(super) struct TypicalUsage {
    /// The counted input tokens per estimated input token.
    ratio: f64,
    /// The output tokens of an answer. `max_tokens` is a poor estimate: Claude Code requests 128 000 and uses
    /// a few hundred.
    output: f64,
}

impl Default for TypicalUsage {
    fn default() -> Self {
        Self { ratio: 1.0, output: 500.0 }
    }
}

impl TypicalUsage {
    /// Returns the input tokens that are expected to count, given the estimate of the request.
    pub(super) fn input(&self, estimate: u64) -> f64 {
        estimate as f64 * self.ratio
    }

    /// Returns the expected output tokens, at most `max_tokens`.
    pub(super) fn output(&self, max_tokens: Option<u64>) -> f64 {
        max_tokens.map_or(self.output, |max| self.output.min(max as f64))
    }

    /// Updates the averages with the tokens that a request with this estimate has used.
    pub(super) fn record(&mut self, estimate: u64, used: TokensUsed) {
        if let Some(input) = used.input {
            let ratio = (input as f64 / estimate.max(1) as f64).clamp(*RATIOS.start(), *RATIOS.end());
            self.ratio += WEIGHT * (ratio - self.ratio);
        }
        if let Some(output) = used.output {
            self.output += WEIGHT * (output as f64 - self.output);
        }
    }
}
