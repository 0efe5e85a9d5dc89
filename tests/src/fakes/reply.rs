//! The message of a model, as a stream and as JSON.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::sse::event;

/// A message of an assistant. Its stream and its JSON have the same content.
#[derive(Debug, Clone)]
pub struct Reply {
    model: String,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
enum Block {
    Thinking { thinking: String, signature: Option<String> },
    Text(String),
    ToolUse { id: String, name: String, input: Value },
}

impl Reply {
    /// Creates an empty message of `model`.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), blocks: Vec::new() }
    }

    /// Adds a thinking block with its signature.
    #[must_use]
    pub fn thinking(self, thinking: impl Into<String>, signature: impl Into<String>) -> Self {
        self.with(Block::Thinking { thinking: thinking.into(), signature: Some(signature.into()) })
    }

    /// Adds a thinking block without a signature, as Ollama sends it.
    #[must_use]
    pub fn unsigned_thinking(self, thinking: impl Into<String>) -> Self {
        self.with(Block::Thinking { thinking: thinking.into(), signature: None })
    }

    /// Adds a text block.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.with(Block::Text(text.into()))
    }

    /// Adds a tool call.
    #[must_use]
    pub fn tool_use(self, id: impl Into<String>, name: impl Into<String>, input: Value) -> Self {
        self.with(Block::ToolUse { id: id.into(), name: name.into(), input })
    }

    fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// Returns the events of the stream in Anthropic's order, with a ping after the start of the first block.
    #[must_use]
    pub fn events(&self) -> Vec<Bytes> {
        let mut message = self.envelope();
        message["content"] = json!([]);
        let mut events = vec![event("message_start", &json!({"type": "message_start", "message": message}))];
        for (index, block) in self.blocks.iter().enumerate() {
            let start =
                json!({"type": "content_block_start", "index": index, "content_block": block.start()});
            events.push(event("content_block_start", &start));
            if index == 0 {
                events.push(crate::sse::ping());
            }
            for delta in block.deltas() {
                let delta = json!({"type": "content_block_delta", "index": index, "delta": delta});
                events.push(event("content_block_delta", &delta));
            }
            let stop = json!({"type": "content_block_stop", "index": index});
            events.push(event("content_block_stop", &stop));
        }
        let delta = json!({"stop_reason": self.stop_reason(), "stop_sequence": null});
        let usage = json!({"output_tokens": 42});
        let delta = json!({"type": "message_delta", "delta": delta, "usage": usage});
        events.push(event("message_delta", &delta));
        events.push(event("message_stop", &json!({"type": "message_stop"})));
        events
    }

    /// Returns the message as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut message = self.envelope();
        message["content"] = self.blocks.iter().map(Block::json).collect();
        message["stop_reason"] = json!(self.stop_reason());
        message["usage"]["output_tokens"] = json!(42);
        message
    }

    fn envelope(&self) -> Value {
        json!({
            "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": {
                "input_tokens": 25,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 1,
                "service_tier": "standard",
            },
        })
    }

    fn stop_reason(&self) -> &'static str {
        match self.blocks.last() {
            Some(Block::ToolUse { .. }) => "tool_use",
            _ => "end_turn",
        }
    }
}

impl Block {
    /// Returns the block in `content_block_start`.
    fn start(&self) -> Value {
        match self {
            Self::Thinking { signature: Some(_), .. } => {
                json!({"type": "thinking", "thinking": "", "signature": ""})
            }
            Self::Thinking { signature: None, .. } => json!({"type": "thinking", "thinking": ""}),
            Self::Text(_) => json!({"type": "text", "text": ""}),
            Self::ToolUse { id, name, .. } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": {}})
            }
        }
    }

    /// Returns the deltas of the block. Text comes in two halves. The input of a tool comes in two halves after the empty
    /// piece that Anthropic sends first.
    fn deltas(&self) -> Vec<Value> {
        match self {
            Self::Thinking { thinking, signature } => {
                let mut deltas: Vec<_> =
                    halves(thinking).map(|t| json!({"type": "thinking_delta", "thinking": t})).into();
                let signature = signature.iter();
                deltas.extend(signature.map(|s| json!({"type": "signature_delta", "signature": s})));
                deltas
            }
            Self::Text(text) => halves(text).map(|t| json!({"type": "text_delta", "text": t})).into(),
            Self::ToolUse { input, .. } => {
                let input = input.to_string();
                let [first, second] = halves(&input);
                ["", first, second].map(|p| json!({"type": "input_json_delta", "partial_json": p})).into()
            }
        }
    }

    /// Returns the block in the JSON of the message.
    fn json(&self) -> Value {
        match self {
            Self::Thinking { thinking, signature: Some(signature) } => {
                json!({"type": "thinking", "thinking": thinking, "signature": signature})
            }
            Self::Thinking { thinking, signature: None } => {
                json!({"type": "thinking", "thinking": thinking})
            }
            Self::Text(text) => json!({"type": "text", "text": text}),
            Self::ToolUse { id, name, input } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
        }
    }
}

/// Splits `text` at a character boundary near its middle.
fn halves(text: &str) -> [&str; 2] {
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    [first, second]
}
