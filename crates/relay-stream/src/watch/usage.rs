//! The token counts of an answer.

use crate::json;

/// The token counts of one answer, and the facts that its price depends on. `None` is a fact that no event has carried; a
/// missing count is not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Input tokens neither read from a cache nor written to one.
    pub input_tokens: Option<u64>,
    /// Output tokens: the cumulative count of the last event.
    pub output_tokens: Option<u64>,
    /// Input tokens written to a cache of any lifetime.
    pub cache_creation_input_tokens: Option<u64>,
    /// Input tokens written to a cache for five minutes, a part of `cache_creation_input_tokens`. In a stream only
    /// `message_start` has it.
    pub ephemeral_5m_input_tokens: Option<u64>,
    /// Input tokens written to a cache for one hour, a part of `cache_creation_input_tokens`. In a stream only `message_start`
    /// has it.
    pub ephemeral_1h_input_tokens: Option<u64>,
    /// Input tokens read from a cache.
    pub cache_read_input_tokens: Option<u64>,
    /// Output tokens of thinking, a part of `output_tokens`.
    pub thinking_tokens: Option<u64>,
    /// Web searches of the server tool, which are billed beside tokens.
    pub web_search_requests: Option<u64>,
    /// Web fetches of the server tool.
    pub web_fetch_requests: Option<u64>,
    /// The tier that served the request.
    pub service_tier: Option<ServiceTier>,
    /// The speed of the model that served the request.
    pub speed: Option<Speed>,
    /// The region in which the model ran.
    pub inference_geo: Option<InferenceGeo>,
}

/// A service tier of the Messages API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceTier {
    /// `standard`.
    Standard,
    /// `priority`: reserved capacity.
    Priority,
    /// `batch`: Message Batches.
    Batch,
    /// A tier that this version does not know.
    Other,
}

/// A speed of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Speed {
    /// `standard`.
    Standard,
    /// `fast`, which has prices of its own.
    Fast,
    /// A speed that this version does not know.
    Other,
}

/// The region of the inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InferenceGeo {
    /// `global`: no restriction.
    Global,
    /// `us`: within the United States, which costs more.
    Us,
    /// A region that this version does not know.
    Other,
}

impl Usage {
    /// Returns the sum of all input tokens, cached and uncached. `None` if no event has carried any of the
    /// three counts.
    pub fn total_input_tokens(&self) -> Option<u64> {
        [self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens]
            .into_iter()
            .flatten()
            .reduce(u64::saturating_add)
    }

    /// Adds the counts of another call of a model. The facts beside the counts stay.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, u64::saturating_add);
    }

    /// Raises each count to that of `other`, if that is larger.
    pub fn raise(&mut self, other: &Self) {
        self.combine(other, u64::max);
    }

    fn combine(&mut self, other: &Self, combine: impl Fn(u64, u64) -> u64) {
        for (count, other) in [
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.cache_creation_input_tokens, other.cache_creation_input_tokens),
            (&mut self.ephemeral_5m_input_tokens, other.ephemeral_5m_input_tokens),
            (&mut self.ephemeral_1h_input_tokens, other.ephemeral_1h_input_tokens),
            (&mut self.cache_read_input_tokens, other.cache_read_input_tokens),
            (&mut self.thinking_tokens, other.thinking_tokens),
            (&mut self.web_search_requests, other.web_search_requests),
            (&mut self.web_fetch_requests, other.web_fetch_requests),
        ] {
            if let Some(other) = other {
                *count = Some(count.map_or(other, |count| combine(count, other)));
            }
        }
    }

    /// Reads the facts in the object with which `usage` begins, the value of such a member. Each replaces an earlier one. `null`
    /// changes nothing. Returns the value of `iterations`, whose facts are not those of the answer alone.
    pub(super) fn add<'a>(&mut self, usage: &'a [u8]) -> Option<&'a [u8]> {
        let mut iterations = None;
        for member in json::Members::new(usage).into_iter().flatten() {
            let value = &usage[member.value];
            let field = match member.key {
                b"input_tokens" => &mut self.input_tokens,
                b"output_tokens" => &mut self.output_tokens,
                b"cache_creation_input_tokens" => &mut self.cache_creation_input_tokens,
                b"cache_read_input_tokens" => &mut self.cache_read_input_tokens,
                b"iterations" => {
                    iterations = Some(value);
                    continue;
                }
                key => {
                    self.add_detail(key, value);
                    continue;
                }
            };
            *field = count(value).or(*field);
        }
        iterations
    }

    /// Reads a member beside the four counts.
    fn add_detail(&mut self, key: &[u8], value: &[u8]) {
        match key {
            b"cache_creation" | b"server_tool_use" | b"output_tokens_details" => self.add_parts(value),
            b"service_tier" => self.service_tier = ServiceTier::of(value).or(self.service_tier),
            b"speed" => self.speed = Speed::of(value).or(self.speed),
            b"inference_geo" => self.inference_geo = InferenceGeo::of(value).or(self.inference_geo),
            _ => {}
        }
    }

    /// Reads the counts in an object within the usage.
    fn add_parts(&mut self, parts: &[u8]) {
        for member in json::Members::new(parts).into_iter().flatten() {
            let field = match member.key {
                b"ephemeral_5m_input_tokens" => &mut self.ephemeral_5m_input_tokens,
                b"ephemeral_1h_input_tokens" => &mut self.ephemeral_1h_input_tokens,
                b"thinking_tokens" => &mut self.thinking_tokens,
                b"web_search_requests" => &mut self.web_search_requests,
                b"web_fetch_requests" => &mut self.web_fetch_requests,
                _ => continue,
            };
            *field = count(&parts[member.value]).or(*field);
        }
    }
}

impl ServiceTier {
    /// Reads the value of `service_tier`. Returns `None` for `null` and every other value that is no string.
    fn of(value: &[u8]) -> Option<Self> {
        Some(match inside(value)? {
            b"standard" => Self::Standard,
            b"priority" => Self::Priority,
            b"batch" => Self::Batch,
            _ => Self::Other,
        })
    }
}

impl Speed {
    /// Reads the value of `speed`.
    fn of(value: &[u8]) -> Option<Self> {
        Some(match inside(value)? {
            b"standard" => Self::Standard,
            b"fast" => Self::Fast,
            _ => Self::Other,
        })
    }
}

impl InferenceGeo {
    /// Reads the value of `inference_geo`.
    fn of(value: &[u8]) -> Option<Self> {
        Some(match inside(value)? {
            b"global" => Self::Global,
            b"us" => Self::Us,
            _ => Self::Other,
        })
    }
}

/// Returns the text between the quotes of a string, as written.
pub(super) fn inside(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Parses a count. Returns `None` for `null` and every other value that is not a whole number.
fn count(value: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let add = |count: u64, byte| count.checked_mul(10)?.checked_add(digit(byte)?);
    (!value.is_empty()).then(|| value.iter().try_fold(0, add))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(usages: &[&str]) -> Usage {
        let mut usage = Usage::default();
        for text in usages {
            usage.add(text.as_bytes());
        }
        usage
    }

    #[test]
    fn all_facts_of_the_documented_object_are_read() {
        let usage = read(&[
            r#"{"input_tokens":1,"output_tokens":2,"cache_creation_input_tokens":7,"cache_read_input_tokens":4,
            "cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":2},
            "output_tokens_details":{"thinking_tokens":1},
            "server_tool_use":{"web_search_requests":3,"web_fetch_requests":6},
            "service_tier":"priority","speed":"fast","inference_geo":"us"}"#,
        ]);
        let expected = Usage {
            input_tokens: Some(1),
            output_tokens: Some(2),
            cache_creation_input_tokens: Some(7),
            ephemeral_5m_input_tokens: Some(5),
            ephemeral_1h_input_tokens: Some(2),
            cache_read_input_tokens: Some(4),
            thinking_tokens: Some(1),
            web_search_requests: Some(3),
            web_fetch_requests: Some(6),
            service_tier: Some(ServiceTier::Priority),
            speed: Some(Speed::Fast),
            inference_geo: Some(InferenceGeo::Us),
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn facts_of_message_start_stay_if_message_delta_lacks_them() {
        let usage = read(&[
            r#"{"input_tokens":10,"cache_creation_input_tokens":8,"cache_creation":{"ephemeral_5m_input_tokens":0,
                "ephemeral_1h_input_tokens":8},"service_tier":"standard","output_tokens":1}"#,
            r#"{"input_tokens":15,"cache_creation_input_tokens":9,"output_tokens":20,"cache_creation":null,
                "server_tool_use":{"web_search_requests":1},"service_tier":null,"speed":null}"#,
        ]);
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(15), Some(20)));
        assert_eq!((usage.ephemeral_5m_input_tokens, usage.ephemeral_1h_input_tokens), (Some(0), Some(8)));
        assert_eq!((usage.cache_creation_input_tokens, usage.web_search_requests), (Some(9), Some(1)));
        assert_eq!((usage.service_tier, usage.speed), (Some(ServiceTier::Standard), None));
    }

    #[test]
    fn counts_of_two_calls_are_added_or_compared() {
        let mut usage = read(&[r#"{"input_tokens":5,"output_tokens":18446744073709551615,"speed":"fast"}"#]);
        let other =
            read(&[r#"{"input_tokens":7,"output_tokens":1,"cache_read_input_tokens":3,"speed":"standard"}"#]);
        let mut raised = usage;
        raised.raise(&other);
        assert_eq!(
            (raised.input_tokens, raised.output_tokens, raised.cache_read_input_tokens),
            (Some(7), Some(u64::MAX), Some(3))
        );
        usage.merge(&other);
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens),
            (Some(12), Some(u64::MAX), Some(3))
        );
        assert_eq!((usage.speed, usage.cache_creation_input_tokens), (Some(Speed::Fast), None));
    }

    #[test]
    fn missing_null_and_odd_values_are_no_facts() {
        for text in [
            "{}",
            "null",
            "[]",
            r#"{"server_tool_use":null,"cache_creation":null,"output_tokens_details":null}"#,
            r#"{"server_tool_use":{"web_search_requests":null},"cache_creation":[1],"output_tokens_details":7}"#,
            r#"{"service_tier":null,"speed":1,"inference_geo":{"a":"us"}}"#,
            r#"{"output_tokens":1.5,"input_tokens":-1,"cache_read_input_tokens":"3"}"#,
            r#"{"output_tokens":18446744073709551616,"input_tokens":1e3}"#,
        ] {
            assert_eq!(read(&[text]), Usage::default(), "{text}");
        }
        let other = read(&[r#"{"service_tier":"flex","speed":"slow","inference_geo":"eu"}"#]);
        assert_eq!(other.service_tier, Some(ServiceTier::Other));
        assert_eq!((other.speed, other.inference_geo), (Some(Speed::Other), Some(InferenceGeo::Other)));
    }
}
