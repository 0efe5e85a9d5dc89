//! The trace that a request belongs to, in the headers of W3C Trace Context.
//!
//! A client that traces its requests sends `traceparent` and possibly `tracestate`. A relay without traces of its own forwards
//! both unchanged. A relay with traces continues the trace: its span is a child of the client's, and each attempt at an upstream
//! has a span of its own, whose id the upstream gets.
//!
//! ```
//! use http::HeaderMap;
//! use relay_messages::trace_context::{Sampling, TraceContext};
//!
//! let mut client = HeaderMap::new();
//! let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! client.insert("traceparent", parent.parse()?);
//!
//! let trace = TraceContext::start(&client, Sampling::default(), [7, 8]);
//! assert_eq!(trace.trace_id(), 0x4bf92f3577b34da6a3ce929d0e0e4736);
//! let mut upstream = HeaderMap::new();
//! trace.write_attempt(0, &mut upstream);
//! assert!(upstream["traceparent"].to_str()?.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
//! assert_ne!(upstream["traceparent"], parent);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! # Source
//! W3C Trace Context, Level 2 (Candidate Recommendation of 2024), which keeps the format of Level 1.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// The header with the ids of a trace and of a span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with the data of the tracing systems that took part in a trace.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest `tracestate` that is forwarded: the length that every participant has to accept.
const STATE_MAX: usize = 512;

/// The length of `traceparent` in version 00.
const PARENT_LENGTH: usize = 55;

/// The flag of a trace that its sender may have recorded.
const SAMPLED: u8 = 0x01;

/// The trace of one request, and the ids of its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    /// The span of the client's request.
    parent_id: Option<u64>,
    /// The span of the request at the relay.
    span_id: u64,
    flags: u8,
    state: Option<HeaderValue>,
}

/// The parent in a `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// The rule by which a trace is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// True if the decision of a client that sends `traceparent` applies.
    pub follows_parent: bool,
    /// The traces that are recorded, among those without a parent or if [`follows_parent`](Self::follows_parent) is `false`:
    /// those whose last 64 bits are below this number, shifted right by one. `u64::MAX` records all.
    threshold: u64,
}

impl Sampling {
    /// Records no trace.
    pub const NONE: Self = Self { follows_parent: false, threshold: 0 };

    /// Records this share of the traces, from 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "in range"
    )]
    pub fn ratio(share: f64) -> Self {
        let threshold = match share {
            share if share >= 1.0 => u64::MAX,
            share if share > 0.0 => (share * (1_u64 << 63) as f64) as u64,
            _ => 0,
        };
        Self { follows_parent: false, threshold }
    }

    /// Applies the decision of a client that sends `traceparent`.
    #[must_use]
    pub fn with_parent(self) -> Self {
        Self { follows_parent: true, ..self }
    }

    /// # Source
    /// OpenTelemetry specification, `TraceIdRatioBased` as its SDKs implement it: the lower 63 bits of the trace id.
    fn is_sampled(self, trace_id: u128, parent: Option<Parent>) -> bool {
        match parent {
            Some(parent) if self.follows_parent => parent.flags & SAMPLED != 0,
            _ => self.threshold == u64::MAX || (lower(trace_id) >> 1) < self.threshold,
        }
    }
}

impl Default for Sampling {
    /// Records every trace, unless its client does not record it.
    fn default() -> Self {
        Self::ratio(1.0).with_parent()
    }
}

impl TraceContext {
    /// Continues the trace in the headers of a request, or starts one. `random` is used for the ids: two numbers for a trace and
    /// a span. Two zeros are replaced.
    #[must_use]
    pub fn start(headers: &HeaderMap, sampling: Sampling, random: [u64; 2]) -> Self {
        let parent = parent(headers);
        let [high, span_id] = random;
        let new_id = (u128::from(high) << 64 | u128::from(mix(high ^ span_id))).max(1);
        let trace_id = parent.map_or(new_id, |parent| parent.trace_id);
        let is_sampled = sampling.is_sampled(trace_id, parent);
        let other_flags = parent.map_or(0, |parent| parent.flags & !SAMPLED);
        Self {
            trace_id,
            parent_id: parent.map(|parent| parent.span_id),
            span_id: span_id.max(1),
            flags: other_flags | if is_sampled { SAMPLED } else { 0 },
            state: parent.and_then(|_| state(headers)),
        }
    }

    /// The id of the trace; not zero.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The id of the client's span; `None` if the client sent none.
    #[must_use]
    pub fn parent_id(&self) -> Option<u64> {
        self.parent_id
    }

    /// The id of the span of the request at the relay; not zero.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// The id of the span of an attempt, counted from 0; not zero.
    #[must_use]
    pub fn attempt_id(&self, attempt: usize) -> u64 {
        mix(self.span_id ^ (attempt as u64 + 1)).max(1)
    }

    /// Returns `true` if the spans are recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The client's `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_ref().and_then(|state| state.to_str().ok())
    }

    /// Writes the headers for an attempt, counted from 0, whose span is the parent of the upstream's.
    pub fn write_attempt(&self, attempt: usize, headers: &mut HeaderMap) {
        let (trace, span, flags) = (self.trace_id, self.attempt_id(attempt), self.flags);
        let parent = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
        let parent = HeaderValue::try_from(parent).unwrap_or_else(|_| unreachable!("the digits are ASCII"));
        headers.insert(TRACEPARENT, parent);
        write_state(self.state.as_ref(), headers);
    }
}

/// Copies `traceparent` and `tracestate` of a client to the headers for an upstream. A malformed `traceparent` is not sent, and
/// `tracestate` not without it.
pub fn forward(client: &HeaderMap, headers: &mut HeaderMap) {
    if let Some(value) = client.get(TRACEPARENT).filter(|_| parent(client).is_some()) {
        headers.insert(TRACEPARENT, value.clone());
        write_state(state(client).as_ref(), headers);
    }
}

fn write_state(state: Option<&HeaderValue>, headers: &mut HeaderMap) {
    match state {
        Some(state) => headers.insert(TRACESTATE, state.clone()),
        None => headers.remove(TRACESTATE),
    };
}

/// Reads the only `traceparent`. Later versions may have further fields after those of version 00.
fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?;
    let (version, rest) = text.split_at_checked(2)?;
    let is_longer = text.len() > PARENT_LENGTH;
    if hex(version)? == 0xff || (is_longer && (version == "00" || text.as_bytes()[PARENT_LENGTH] != b'-')) {
        return None;
    }
    let mut fields = rest.get(..PARENT_LENGTH - 2)?.strip_prefix('-')?.split('-');
    let (trace_id, span_id, flags) = (fields.next()?, fields.next()?, fields.next()?);
    if (trace_id.len(), span_id.len(), flags.len()) != (32, 16, 2) {
        return None;
    }
    let parent = Parent {
        trace_id: hex(trace_id)?,
        span_id: u64::try_from(hex(span_id)?).ok()?,
        flags: u8::try_from(hex(flags)?).ok()?,
    };
    (parent.trace_id != 0 && parent.span_id != 0).then_some(parent)
}

/// Reads lower-case hexadecimal digits.
fn hex(text: &str) -> Option<u128> {
    let is_lower = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    is_lower.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Joins the `tracestate` lines; `None` if there is none, or if they are too long.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next()?;
    let mut joined = first.as_bytes().to_vec();
    for value in values {
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    let is_visible = joined.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if joined.is_empty() || joined.len() > STATE_MAX || !is_visible {
        return None;
    }
    HeaderValue::from_bytes(&joined).ok()
}

/// The last 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "the last 64 bits are meant")]
fn lower(id: u128) -> u64 {
    id as u64
}

/// Mixes the bits of a number.
///
/// # Source
/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_a_valid_traceparent_is_forwarded() {
        #[track_caller]
        fn check(value: &str, is_valid: bool) {
            let client = headers(&[("traceparent", value), ("tracestate", "a=1")]);
            let mut upstream = HeaderMap::new();
            forward(&client, &mut upstream);
            assert_eq!(upstream.len(), if is_valid { 2 } else { 0 }, "{value}");
        }
        check(PARENT, true);
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-further", true);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-further", false);
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01further", false);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-", false);
        check("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("", false);
        check("\u{e4}0-", false);
    }

    #[test]
    fn a_second_traceparent_and_a_long_tracestate_are_not_forwarded() {
        let mut upstream = HeaderMap::new();
        let mut twice = headers(&[("traceparent", PARENT)]);
        twice.append(TRACEPARENT, PARENT.parse().unwrap());
        forward(&twice, &mut upstream);
        assert!(upstream.is_empty());

        let mut client = headers(&[("traceparent", PARENT), ("tracestate", "a=1")]);
        client.append(TRACESTATE, "b=2".parse().unwrap());
        forward(&client, &mut upstream);
        assert_eq!(upstream["tracestate"], "a=1,b=2");
        client.append(TRACESTATE, "x".repeat(STATE_MAX).parse().unwrap());
        forward(&client, &mut upstream);
        assert!(upstream.contains_key(TRACEPARENT) && !upstream.contains_key(TRACESTATE));
    }

    #[test]
    fn a_trace_is_continued_and_each_attempt_has_its_own_span() {
        let client = headers(&[("traceparent", PARENT), ("tracestate", "a=1")]);
        let trace = TraceContext::start(&client, Sampling::default(), [1, 2]);
        assert_eq!((trace.parent_id(), trace.span_id()), (Some(0x00f0_67aa_0ba9_02b7), 2));
        assert!(trace.is_sampled());
        let sent = [0, 1].map(|attempt| {
            let mut upstream = HeaderMap::new();
            trace.write_attempt(attempt, &mut upstream);
            assert_eq!(upstream["tracestate"], "a=1");
            let sent = parent(&upstream).unwrap();
            assert_eq!(
                (sent.trace_id, sent.span_id, sent.flags),
                (trace.trace_id(), trace.attempt_id(attempt), 1)
            );
            sent.span_id
        });
        assert_ne!(sent[0], sent[1]);
        assert!(!sent.contains(&trace.span_id()));
    }

    #[test]
    fn the_rule_of_sampling_decides_and_its_flag_is_sent() {
        let recorded = headers(&[("traceparent", PARENT)]);
        let dropped = headers(&[("traceparent", &PARENT.replace("-01", "-00"))]);
        let none = HeaderMap::new();
        let sampled =
            |headers: &HeaderMap, sampling| TraceContext::start(headers, sampling, [5, 6]).is_sampled();
        let all = [&recorded, &dropped, &none];
        assert_eq!(all.map(|headers| sampled(headers, Sampling::default())), [true, false, true]);
        assert_eq!(all.map(|headers| sampled(headers, Sampling::ratio(1.0))), [true; 3]);
        assert_eq!(all.map(|headers| sampled(headers, Sampling::NONE)), [false; 3]);
        assert_eq!(all.map(|headers| sampled(headers, Sampling::NONE.with_parent())), [true, false, false]);
        assert_eq!(all.map(|headers| sampled(headers, Sampling::ratio(f64::NAN))), [false; 3]);
        let share = (0..10_000).filter(|number| {
            let random = [mix(*number), mix(*number + 1_000_000)];
            TraceContext::start(&none, Sampling::ratio(0.25), random).is_sampled()
        });
        let share = share.count();
        assert!((2200..2800).contains(&share), "{share}");
    }

    #[test]
    fn no_id_is_zero() {
        let trace = TraceContext::start(&HeaderMap::new(), Sampling::default(), [0, 0]);
        assert!(trace.trace_id() != 0 && trace.span_id() != 0 && trace.attempt_id(0) != 0);
        assert_eq!(trace.parent_id(), None);
    }
}
