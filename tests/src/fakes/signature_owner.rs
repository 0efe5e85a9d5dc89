//! Owners of thinking signatures, and the conversations that each of them accepts.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::Reply;

/// A group of upstreams that accept each other's thinking blocks and no others. The checks are those of the strictest known
/// upstream.
///
/// # Source
/// platform.claude.com/docs, "Errors" and "Extended thinking"; public reports of refused conversations, verbatim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureOwner {
    /// Anthropic, Bedrock, Vertex and Foundry.
    Claude,
    /// Z.AI.
    Zai,
    /// Ollama, which signs nothing.
    Ollama,
}

impl SignatureOwner {
    /// Adds a unique thinking block of this owner to `reply`.
    pub fn with_thinking(self, reply: Reply) -> Reply {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        match self.signature_prefix() {
            Some(prefix) => reply.thinking(format!("thought {count}"), format!("{prefix}/{count:08}==")),
            None => reply.unsigned_thinking(format!("thought {count}")),
        }
    }

    /// Returns the prefix of the signatures.
    fn signature_prefix(self) -> Option<&'static str> {
        match self {
            Self::Claude => Some("EqQBCkYIAxgC"),
            Self::Zai => Some("Z2xtLTUuMw"),
            Self::Ollama => None,
        }
    }

    /// Returns the message of the 400 for the conversation in `body`, or `None` if it is accepted.
    #[must_use]
    pub fn refusal(self, body: &Value) -> Option<String> {
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        if messages.is_empty() {
            return Some("messages: at least one message is required".to_owned());
        }
        let numbered = messages.iter().enumerate();
        let problem = numbered.clone().find_map(|(index, message)| self.problem_in(index, message));
        let orphan = || {
            numbered.clone().find_map(|(index, message)| {
            let before = index.checked_sub(1).map(|before| &messages[before]);
            orphan(message, before).map(|id| {
                format!(
                    "messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                     `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
            })
        })
        };
        problem.or_else(orphan).or_else(|| self.missing_thinking(body))
    }

    fn problem_in(self, index: usize, message: &Value) -> Option<String> {
        if message["content"] == "" || message["content"].as_array().is_some_and(Vec::is_empty) {
            return Some(format!("messages.{index}: all messages must have non-empty content"));
        }
        blocks(message).iter().enumerate().find_map(|(at, block)| match block["type"].as_str() {
            Some("text") if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) => {
                Some("messages: text content blocks must contain non-whitespace text".to_owned())
            }
            Some("thinking") if !self.has_signed(block) => {
                Some(format!("messages.{index}.content.{at}: Invalid `signature` in `thinking` block"))
            }
            _ => None,
        })
    }

    fn has_signed(self, block: &Value) -> bool {
        let signature = block["signature"].as_str().unwrap_or_default();
        match self.signature_prefix() {
            Some(prefix) => signature.starts_with(prefix),
            None => signature.is_empty(),
        }
    }

    /// Returns the refusal of a last assistant turn with tool calls that does not start with thinking, although thinking
    /// has a fixed budget.
    fn missing_thinking(self, body: &Value) -> Option<String> {
        let messages = body["messages"].as_array()?;
        let last = messages.iter().rposition(|message| message["role"] == "assistant")?;
        let first = blocks(&messages[last]).first()?;
        let is_missing = self == Self::Claude
            && body["thinking"]["type"] == "enabled"
            && !matches!(first["type"].as_str(), Some("thinking" | "redacted_thinking"))
            && blocks(&messages[last]).iter().any(|block| block["type"] == "tool_use");
        is_missing.then(|| {
            format!(
                "messages.{last}.content.0.type: Expected `thinking` or `redacted_thinking`, but found {}. When `thinking` \
                 is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of \
                 `tool_use` and `tool_result` blocks).",
                first["type"].to_string().replace('"', "`")
            )
        })
    }
}

/// Returns the id of a tool result in `message` without a tool call in the previous message.
fn orphan<'a>(message: &'a Value, before: Option<&Value>) -> Option<&'a str> {
    let calls = before.map(blocks).unwrap_or_default();
    let has_call = |id: &str| calls.iter().any(|block| block["type"] == "tool_use" && block["id"] == id);
    blocks(message)
        .iter()
        .filter(|block| block["type"] == "tool_result")
        .filter_map(|block| block["tool_use_id"].as_str())
        .find(|id| !has_call(id))
}

fn blocks(message: &Value) -> &[Value] {
    message["content"].as_array().map(Vec::as_slice).unwrap_or_default()
}
