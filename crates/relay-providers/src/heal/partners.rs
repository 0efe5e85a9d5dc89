//! Which betas and fields go together: with one of them refused, the other says nothing, or is refused next.
//!
//! # Source
//! Anthropic's documentation of each beta; what Claude Code 2.1.330 sends together.

use super::place::Place;

/// The start of a beta's name, up to its date, and a field that needs it.
const PARTNERS: [(&str, &str); 20] = [
    ("advanced-tool-use-", "tools[].defer_loading"),
    ("advanced-tool-use-", "tools[].input_examples"),
    ("cache-diagnosis-", "diagnostics"),
    ("compact-", "compaction"),
    ("context-management-", "context_management"),
    ("dangerous-tool-use-", "safeguards"),
    ("effort-", "output_config.effort"),
    ("extended-cache-ttl-", "*.cache_control.ttl"),
    ("fast-mode-", "speed"),
    ("fine-grained-tool-streaming-", "tools[].eager_input_streaming"),
    ("mcp-client-", "mcp_servers"),
    ("mcp-servers-", "mcp_servers"),
    ("mid-conversation-output-config-", "messages[].output_config"),
    ("prompt-caching-scope-", "*.cache_control.scope"),
    ("server-side-fallback-", "fallbacks"),
    ("task-budgets-", "output_config.task_budget"),
    ("thinking-binding-controls-", "thinking.block_binding"),
    ("thinking-display-updates-", "thinking.display"),
    ("tool-examples-", "tools[].input_examples"),
    ("tool-search-tool-", "tools[].defer_loading"),
];

/// The fields that leave with `beta`.
pub(super) fn fields_of(beta: &str) -> impl Iterator<Item = Place> {
    PARTNERS.iter().filter(move |(start, _)| beta.starts_with(start)).map(|(_, field)| Place::known(field))
}

/// Whether `beta` leaves with the field at `place`.
pub(super) fn leaves_with(beta: &str, place: &Place) -> bool {
    fields_of(beta).any(|field| field == *place)
}
