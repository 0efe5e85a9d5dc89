//! The rate limits in the headers of a response: those of a credential at an upstream, or those of a client of the relay.

use std::cell::LazyCell;
use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use relay_config::{parse_rfc3339, write_rfc3339};
use smallvec::SmallVec;

use crate::retry_after;

const PREFIX: &str = "anthropic-ratelimit-";

/// The names of the headers of each limit, in the order of the fields of [`RateLimits`]: limit, remaining and reset.
static NAMES: [[HeaderName; 3]; 4] = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-input-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-output-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-output-tokens-reset"),
    ],
];

/// Headers of limits. A client of the relay has up to six of them.
type Values = SmallVec<[(&'static HeaderName, HeaderValue); 6]>;

/// The number of bytes reserved for the values of all headers. Longer values cost another allocation.
const VALUES_LENGTH: usize = 160;

/// The rate limits of one credential or its organisation, each per minute. A value is `None` if the response
/// has no header for it.
///
/// # Source
/// The `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}` headers
/// (platform.claude.com/docs, "Rate limits").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimits {
    /// The limit of requests.
    pub requests: RateLimit,
    /// The limit of input and output tokens together.
    pub tokens: RateLimit,
    /// The limit of input tokens, without those read from a cache.
    pub input_tokens: RateLimit,
    /// The limit of output tokens.
    pub output_tokens: RateLimit,
}

/// One rate limit: the allowance, the remainder and the time until it is replenished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// The amount allowed per minute.
    pub limit: Option<u64>,
    /// The amount that remains now.
    pub remaining: Option<u64>,
    /// The time until the limit is fully replenished.
    pub reset_after: Option<Duration>,
}

impl RateLimit {
    /// Sets [`limit`](Self::limit).
    #[must_use]
    pub fn with_limit(mut self, amount: impl Into<Option<u64>>) -> Self {
        self.limit = amount.into();
        self
    }

    /// Sets [`remaining`](Self::remaining).
    #[must_use]
    pub fn with_remaining(mut self, amount: impl Into<Option<u64>>) -> Self {
        self.remaining = amount.into();
        self
    }

    /// Sets [`reset_after`](Self::reset_after).
    #[must_use]
    pub fn with_reset_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.reset_after = time.into();
        self
    }
}

impl RateLimits {
    /// Sets [`requests`](Self::requests).
    #[must_use]
    pub const fn with_requests(mut self, limit: RateLimit) -> Self {
        self.requests = limit;
        self
    }

    /// Sets [`tokens`](Self::tokens).
    #[must_use]
    pub const fn with_tokens(mut self, limit: RateLimit) -> Self {
        self.tokens = limit;
        self
    }

    /// Sets [`input_tokens`](Self::input_tokens).
    #[must_use]
    pub const fn with_input_tokens(mut self, limit: RateLimit) -> Self {
        self.input_tokens = limit;
        self
    }

    /// Sets [`output_tokens`](Self::output_tokens).
    #[must_use]
    pub const fn with_output_tokens(mut self, limit: RateLimit) -> Self {
        self.output_tokens = limit;
        self
    }

    /// Reads the limits from `headers`. Times are relative to the `date` of the same response, so that a
    /// difference between the clocks has no effect.
    pub fn read(headers: &HeaderMap) -> Self {
        let (mut limits, date) = (Self::default(), LazyCell::new(|| retry_after::date(headers)));
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
            let Some((limit, what)) = limits.named(name) else { continue };
            let Ok(value) = value.to_str().map(str::trim) else { continue };
            match what {
                "limit" => limit.limit = value.parse().ok(),
                "remaining" => limit.remaining = value.parse().ok(),
                "reset" => {
                    let until = |reset: SystemTime| reset.duration_since(*date).unwrap_or_default();
                    limit.reset_after = parse_rfc3339(value).map(until);
                }
                _ => {}
            }
        }
        limits
    }

    /// Returns the limit that `name`, the end of the name of a header, is about, and the rest of that name.
    fn named<'a>(&mut self, name: &'a str) -> Option<(&mut RateLimit, &'a str)> {
        let kinds = [
            (&mut self.requests, "requests-"),
            (&mut self.tokens, "tokens-"),
            (&mut self.input_tokens, "input-tokens-"),
            (&mut self.output_tokens, "output-tokens-"),
        ];
        kinds.into_iter().find_map(|(limit, kind)| Some((limit, name.strip_prefix(kind)?)))
    }

    /// Writes the limits into `headers`, in the place of those of the same kind. `now` is the time of day that the resets
    /// are relative to. A value that is `None` has no header.
    pub fn write(&self, headers: &mut HeaderMap, now: SystemTime) {
        let mut values = self.values(now);
        // To compare the few names of a response costs less than to hash these long ones. Only an insertion replaces several values.
        if headers.len() == headers.keys_len() {
            for (name, place) in headers.iter_mut().filter(|(name, _)| name.as_str().starts_with(PREFIX)) {
                if let Some(at) = values.iter().position(|(known, _)| *known == name) {
                    *place = values.swap_remove(at).1;
                }
            }
        }
        headers.reserve(values.len());
        for (name, value) in values {
            headers.insert(name.clone(), value);
        }
    }

    /// Returns the headers of the limits.
    fn values(&self, now: SystemTime) -> Values {
        // All values are slices of one buffer.
        let (mut text, mut values) = (BytesMut::with_capacity(VALUES_LENGTH), Values::new());
        let limits = [self.requests, self.tokens, self.input_tokens, self.output_tokens];
        for ([limit_name, remaining_name, reset_name], limit) in NAMES.iter().zip(limits) {
            for (name, number) in [(limit_name, limit.limit), (remaining_name, limit.remaining)] {
                let Some(number) = number else { continue };
                let written = write!(text, "{number}");
                push_written(&mut values, name, &mut text, written);
            }
            if let Some(reset) = limit.reset_after.and_then(|after| now.checked_add(after)) {
                let written = write_rfc3339(&mut text, reset);
                push_written(&mut values, reset_name, &mut text, written);
            }
        }
        values
    }

    /// Returns the time until the last of the exhausted limits is replenished, or `None` if none is
    /// exhausted.
    pub fn exhausted_for(&self) -> Option<Duration> {
        let all = [self.requests, self.tokens, self.input_tokens, self.output_tokens];
        all.iter().filter(|limit| limit.remaining == Some(0)).filter_map(|limit| limit.reset_after).max()
    }
}

/// Adds the header `name` with the value in `text`, if it has been `written`, and empties `text`.
fn push_written(values: &mut Values, name: &'static HeaderName, text: &mut BytesMut, written: fmt::Result) {
    let value = HeaderValue::from_maybe_shared(text.split().freeze());
    if let (Ok(()), Ok(value)) = (written, value) {
        values.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> RateLimits {
        let headers = headers
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        RateLimits::read(&headers.collect())
    }

    #[test]
    fn limits_are_read_from_the_headers() {
        let limits = read(&[
            ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-22T12:00:30Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "1000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T14:00:20.5+02:00"),
            ("anthropic-ratelimit-output-tokens-limit", "many"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-22T11:00:00Z"),
            ("anthropic-ratelimit-unified-status", "allowed"),
        ]);
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        let requests = RateLimit { limit: Some(50), remaining: Some(0), reset_after: seconds(30.0) };
        let input_tokens = RateLimit { limit: None, remaining: Some(1000), reset_after: seconds(20.5) };
        let output_tokens = RateLimit { reset_after: seconds(0.0), ..RateLimit::default() };
        assert_eq!(
            limits,
            RateLimits { requests, input_tokens, output_tokens, tokens: RateLimit::default() }
        );
        assert_eq!(limits.exhausted_for(), seconds(30.0));
        assert_eq!(read(&[]), RateLimits::default());
    }

    #[test]
    fn written_limits_are_read_back_and_replace_those_of_the_same_kind() {
        let requests =
            RateLimit { limit: Some(5), remaining: Some(0), reset_after: Some(Duration::from_secs(12)) };
        let limits = RateLimits { requests, ..RateLimits::default() };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800);
        let mut headers = HeaderMap::new();
        for name in ["requests-remaining", "requests-limit", "requests-limit", "tokens-limit"] {
            headers.append(HeaderName::try_from(format!("{PREFIX}{name}")).unwrap(), HeaderValue::from(9));
        }
        limits.write(&mut headers, now);
        assert_eq!(headers["anthropic-ratelimit-requests-reset"], "2026-11-22T12:00:12Z");
        headers.insert("date", HeaderValue::from_static("Sun, 22 Nov 2026 12:00:00 GMT"));
        assert_eq!(RateLimits::read(&headers).requests, requests);
        assert_eq!((headers.len(), RateLimits::read(&headers).tokens.limit), (5, Some(9)));
    }
}
