//! The answers of the admin API, as values to show.

use serde_json::Value;

use crate::output::printable;

/// The longest text that is kept of one value, in bytes: that of an error, which the details show as a whole.
const LONGEST: usize = 2048;

/// Everything that is shown, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Snapshot {
    pub(super) state: State,
    /// The newest requests first.
    pub(super) requests: Vec<Request>,
    pub(super) series: Series,
}

/// The state of the relay.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    pub(super) version: String,
    pub(super) is_ready: bool,
    pub(super) is_draining: bool,
    pub(super) now_unix_ms: u64,
    pub(super) started_unix_ms: u64,
    pub(super) in_flight: u64,
    pub(super) sessions: u64,
    pub(super) warnings: Vec<String>,
    pub(super) providers: Vec<Provider>,
}

/// One provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_enabled: bool,
    pub(super) is_paused: bool,
    pub(super) circuit: String,
    pub(super) circuit_wait_ms: Option<u64>,
    pub(super) in_flight: u64,
    pub(super) unusable: Option<String>,
    pub(super) open_reason: Option<String>,
    pub(super) last_failure: Option<String>,
    pub(super) resting_models: usize,
    pub(super) keys: Vec<Key>,
}

/// One key of a provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) is_rejected: bool,
    pub(super) is_drained: bool,
    pub(super) cooldown_ms: Option<u64>,
    pub(super) limits: Vec<Limit>,
}

/// One limit of a key.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Limit {
    pub(super) name: String,
    pub(super) per_minute: u64,
    pub(super) remaining: u64,
}

/// One request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) client: Option<String>,
    pub(super) model: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) status: Option<u64>,
    /// The kind of end; `None` while the request runs.
    pub(super) end: Option<String>,
    pub(super) started_unix_ms: u64,
    pub(super) total_ms: Option<u64>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost_usd: Option<f64>,
    /// True if only a part of the cost is known.
    pub(super) is_cost_partial: bool,
    pub(super) attempts: Vec<Attempt>,
    /// The other facts, each with its name, in the order in which they are shown.
    pub(super) facts: Vec<(&'static str, String)>,
}

/// One attempt at an upstream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attempt {
    pub(super) provider: String,
    pub(super) key: String,
    pub(super) model: String,
    pub(super) status: Option<u64>,
    pub(super) result: String,
    pub(super) error: Option<String>,
    pub(super) started_ms: u64,
    pub(super) latency_ms: u64,
}

/// The figures of the last minutes, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Series {
    pub(super) step_ms: u64,
    pub(super) points: Vec<Point>,
}

/// The figures of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Point {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) rate_limited: u64,
    pub(super) head_p50_ms: Option<u64>,
    pub(super) head_p95_ms: Option<u64>,
    pub(super) content_p50_ms: Option<u64>,
    pub(super) content_p95_ms: Option<u64>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cache_read_tokens: u64,
    pub(super) cache_write_tokens: u64,
    /// `None` if no price is known.
    pub(super) cost_usd: Option<f64>,
    pub(super) unpriced: u64,
    pub(super) by_provider: Vec<(String, u64)>,
}

impl State {
    /// Returns `None` if `value` is not the state of a relay.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let providers = value["providers"].as_array()?.iter().map(Provider::of).collect();
        Some(Self {
            version: text(&value["version"]),
            is_ready: flag(&value["is_ready"]),
            is_draining: flag(&value["is_draining"]),
            now_unix_ms: number(&value["now_unix_ms"]),
            started_unix_ms: number(&value["started_unix_ms"]),
            in_flight: number(&value["in_flight"]),
            sessions: number(&value["sessions"]),
            warnings: list(&value["warnings"]).map(text).collect(),
            providers,
        })
    }
}

impl Provider {
    fn of(value: &Value) -> Self {
        Self {
            name: text(&value["name"]),
            kind: text(&value["type"]),
            is_enabled: flag(&value["is_enabled"]),
            is_paused: flag(&value["is_paused"]),
            circuit: text(&value["circuit"]),
            circuit_wait_ms: millis(&value["circuit_wait_ms"]),
            in_flight: number(&value["in_flight"]),
            unusable: optional(&value["unusable"]),
            open_reason: optional(&value["open_reason"]),
            last_failure: optional(&value["last_failure"]),
            resting_models: list(&value["resting_models"]).count(),
            keys: list(&value["keys"]).map(Key::of).collect(),
        }
    }

    /// The number of keys that may be used now.
    pub(super) fn usable_keys(&self) -> usize {
        self.keys.iter().filter(|key| key.is_usable()).count()
    }

    /// The reason for which the provider is not used or fails.
    pub(super) fn trouble(&self) -> Option<&str> {
        [&self.unusable, &self.open_reason, &self.last_failure].into_iter().find_map(Option::as_deref)
    }
}

impl Key {
    fn of(value: &Value) -> Self {
        Self {
            name: text(&value["credential"]),
            is_rejected: flag(&value["is_rejected"]),
            is_drained: flag(&value["is_drained"]),
            cooldown_ms: millis(&value["cooldown_ms"]).filter(|wait| *wait > 0),
            limits: list(&value["limits"]).map(Limit::of).collect(),
        }
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.is_rejected && !self.is_drained && self.cooldown_ms.is_none()
    }

    /// The limit with the smallest share left.
    pub(super) fn tightest(&self) -> Option<&Limit> {
        self.limits.iter().min_by_key(|limit| limit.percent())
    }
}

impl Limit {
    fn of(value: &Value) -> Self {
        Self {
            name: text(&value["name"]),
            per_minute: number(&value["per_minute"]),
            remaining: number(&value["remaining"]),
        }
    }

    /// The share that is left, in percent.
    pub(super) fn percent(&self) -> u64 {
        let whole = self.per_minute.max(1);
        u64::try_from(u128::from(self.remaining.min(whole)) * 100 / u128::from(whole)).unwrap_or(0)
    }
}

impl Request {
    pub(super) fn of(value: &Value) -> Self {
        let usage = &value["usage"];
        Self {
            id: text(&value["id"]),
            client: optional(&value["client"]),
            model: optional(&value["model_served"]).or_else(|| optional(&value["model_requested"])),
            provider: optional(&value["provider"]),
            status: value["status"].as_u64(),
            end: optional(&value["end"]),
            started_unix_ms: number(&value["started_unix_ms"]),
            total_ms: millis(&value["total_ms"]),
            input_tokens: ["input_tokens", "cache_read_tokens", "cache_write_tokens"]
                .map(|name| number(&usage[name]))
                .into_iter()
                .fold(0, u64::saturating_add),
            output_tokens: number(&usage["output_tokens"]),
            cost_usd: value["cost_usd"].as_f64(),
            is_cost_partial: flag(&value["is_cost_partial"]),
            attempts: list(&value["attempts"]).map(Attempt::of).collect(),
            facts: facts(value),
        }
    }
}

/// The members of a request that only its details show.
const FACTS: [(&str, &str); 24] = [
    ("client's id", "/client_request_id"),
    ("upstream's id", "/upstream_request_id"),
    ("session", "/session"),
    ("method", "/method"),
    ("path", "/path"),
    ("requested", "/model_requested"),
    ("served", "/model_served"),
    ("streamed", "/is_stream"),
    ("strategy", "/strategy"),
    ("circuit", "/circuit"),
    ("stop reason", "/stop_reason"),
    ("error", "/error"),
    ("head ms", "/head_ms"),
    ("first content ms", "/first_content_ms"),
    ("relay's own ms", "/own_ms"),
    ("bytes received", "/bytes_received"),
    ("bytes sent", "/bytes_sent"),
    ("input tokens", "/usage/input_tokens"),
    ("output tokens", "/usage/output_tokens"),
    ("cache read", "/usage/cache_read_tokens"),
    ("cache write 5 min", "/usage/cache_write_5m_tokens"),
    ("cache write 1 h", "/usage/cache_write_1h_tokens"),
    ("web searches", "/usage/web_search_requests"),
    ("estimated", "/is_estimated"),
];

fn facts(value: &Value) -> Vec<(&'static str, String)> {
    let shown = |(name, path): (&'static str, &str)| {
        let text = match value.pointer(path)? {
            Value::String(text) => clean(text),
            Value::Bool(true) => "yes".to_owned(),
            Value::Number(number) if number.as_f64() != Some(0.0) => number.to_string(),
            _ => return None,
        };
        Some((name, text))
    };
    FACTS.into_iter().filter_map(shown).collect()
}

impl Attempt {
    fn of(value: &Value) -> Self {
        Self {
            provider: text(&value["provider"]),
            key: text(&value["credential"]),
            model: text(&value["model"]),
            status: value["status"].as_u64(),
            result: text(&value["result"]),
            error: optional(&value["error"]),
            started_ms: millis(&value["started_ms"]).unwrap_or(0),
            latency_ms: millis(&value["latency_ms"]).unwrap_or(0),
        }
    }
}

impl Series {
    pub(super) fn of(value: &Value) -> Self {
        let step_ms = number(&value["step_ms"]).max(1);
        Self { step_ms, points: list(&value["points"]).map(Point::of).collect() }
    }

    /// The points of the last minute.
    pub(super) fn last_minute(&self) -> &[Point] {
        let count = usize::try_from(60_000 / self.step_ms.max(1)).unwrap_or(1).max(1);
        &self.points[self.points.len().saturating_sub(count)..]
    }
}

impl Point {
    fn of(value: &Value) -> Self {
        let by_provider = value["by_provider"].as_object().into_iter().flatten();
        Self {
            requests: number(&value["requests"]),
            errors: number(&value["errors"]),
            rate_limited: number(&value["rate_limited"]),
            head_p50_ms: millis(&value["head_p50_ms"]),
            head_p95_ms: millis(&value["head_p95_ms"]),
            content_p50_ms: millis(&value["content_p50_ms"]),
            content_p95_ms: millis(&value["content_p95_ms"]),
            input_tokens: number(&value["input_tokens"]),
            output_tokens: number(&value["output_tokens"]),
            cache_read_tokens: number(&value["cache_read_tokens"]),
            cache_write_tokens: number(&value["cache_write_tokens"]),
            cost_usd: value["cost_usd"].as_f64(),
            unpriced: number(&value["unpriced_requests"]),
            by_provider: by_provider.map(|(name, count)| (clean(name), number(count))).collect(),
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

fn number(value: &Value) -> u64 {
    millis(value).unwrap_or(0)
}

/// Returns a number without its fraction.
fn millis(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64))
}

fn text(value: &Value) -> String {
    optional(value).unwrap_or_default()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(clean)
}

/// Replaces the characters in `text` that would change a terminal or the order of its text, and bounds its length. Names and
/// messages may come from clients and upstreams.
pub(super) fn clean(text: &str) -> String {
    printable(&text[..text.floor_char_boundary(LONGEST)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn control_characters_and_changes_of_direction_are_replaced() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c\n中é"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}中é");
        assert!(clean(&"x".repeat(1 << 20)).len() == LONGEST);
    }

    #[test]
    fn an_answer_of_any_shape_is_read() {
        assert_eq!(State::of(&json!({"error": {}})), None);
        assert_eq!(State::of(&json!({"providers": [1, null, {"keys": 3}]})).unwrap().providers.len(), 3);
        let request = Request::of(&json!({"id": 7, "attempts": [null, {"started_ms": -1.5}], "usage": []}));
        assert_eq!((request.id.as_str(), request.attempts.len()), ("", 2));
        assert_eq!(Series::of(&json!(null)).last_minute().len(), 0);
        let limit = Limit { per_minute: 0, remaining: u64::MAX, ..Limit::default() };
        assert_eq!(limit.percent(), 100);
    }
}
