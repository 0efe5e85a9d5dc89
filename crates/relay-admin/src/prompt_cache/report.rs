//! The sessions as values to show.

use relay_messages::PromptChange;
use relay_routing::Usd;
use serde::Serialize;
use utoipa::ToSchema;

use super::verdict::CacheVerdict;

/// A session and the cache reads of its latest turns.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct SessionReport {
    /// The session that the client names.
    pub session: String,
    /// The name of the client key; `null` for a client without a name.
    pub client: Option<String>,
    /// The number of requests that were answered.
    pub turns: u64,
    /// The start of the first request, in milliseconds since the Unix epoch.
    pub first_unix_ms: u64,
    /// The start of the latest request, in milliseconds since the Unix epoch.
    pub last_unix_ms: u64,
    /// The model of the latest answer.
    pub model: String,
    /// Input tokens that were neither read from a cache nor written to one.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens that were read from a cache.
    pub cache_read_tokens: u64,
    /// Input tokens that were written to a cache.
    pub cache_write_tokens: u64,
    /// The cost, without attempts whose price is unknown; null if no price is known.
    #[schema(value_type = Option<f64>)]
    pub cost_usd: Option<Usd>,
    /// True if the cost is at least `cost_usd`, since the prices of some attempts are unknown.
    pub is_cost_partial: bool,
    /// Attempts with tokens whose price is unknown.
    pub unpriced_requests: u64,
    /// True if the latest turn should have read its prompt from the cache and did not.
    pub is_cache_lost: bool,
    /// The latest turns, the newest last; at most 20.
    pub recent: Vec<TurnReport>,
}

/// One turn of a session.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct TurnReport {
    /// The number of the turn in its session, from 1.
    pub turn: u64,
    /// The number of the conversation in its session, from 1. Subagents and side requests have conversations of their own.
    pub conversation: u64,
    /// The start of the request, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// The relay's id of the request.
    pub request_id: String,
    /// The result of the comparison with the turn before.
    pub verdict: CacheVerdict,
    /// The share of the input tokens that were read from a cache, from 0 to 1; `null` for an empty prompt.
    pub cache_read_share: Option<f64>,
    /// The first part of the prompt that differs; `null` if no part does.
    #[serde(rename = "break")]
    pub broken: Option<PrefixBreak>,
    /// A sentence about the reason; `null` for a turn that read its prompt from the cache.
    pub detail: Option<String>,
}

/// The place at which a cached prefix ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct PrefixBreak {
    /// The member of the request: `tools`, `system`, `messages`, or the name of a setting such as `model` or `thinking`.
    pub part: &'static str,
    /// The index of the tool, of the block of the system prompt, or of the message; 0 for a setting.
    pub index: usize,
    /// The index of the block in the message; `null` for other parts.
    pub block: Option<usize>,
    /// The difference, such as `system[1] changed`.
    pub detail: String,
}

impl From<PromptChange> for PrefixBreak {
    fn from(change: PromptChange) -> Self {
        let PromptChange { part, index, block, .. } = change;
        Self { part: part.as_str(), index, block, detail: change.to_string() }
    }
}
