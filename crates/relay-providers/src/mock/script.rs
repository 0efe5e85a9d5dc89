//! Writes the responses of the mock upstream.

use bytes::Bytes;
use http::StatusCode;
use relay_config::ProviderName;
use relay_messages::{error_body, error_type};
use serde_json::{Value, json};

/// One assistant message: a text and, if the request offers tools, a call.
pub(super) struct Message {
    id: String,
    model: String,
    text: String,
    call: Option<Call>,
    input_tokens: u64,
}

struct Call {
    id: String,
    name: String,
    input: Value,
}

impl Message {
    /// Returns the answer to a request. It calls a tool if the request offers one. After the result of a tool it has
    /// only text.
    pub(super) fn answer_to(request: &[u8], model: &str, provider: &ProviderName, input_tokens: u64) -> Self {
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let last = request["messages"].as_array().and_then(|messages| messages.last());
        let result = last.is_some_and(has_tool_result);
        let call = if result { None } else { Call::of(&request) };
        let text = match (&call, result) {
            (Some(call), _) => {
                format!("This is `{provider}`, a mock upstream. Let me use {} first.", call.name)
            }
            (None, true) => {
                format!("The tool has answered. This is `{provider}`, a mock upstream: the round trip works.")
            }
            (None, false) => format!(
                "Hello! This is `{provider}`, a mock upstream of cc-relay, answering as {model}. No network was used."
            ),
        };
        Self { id: id("msg_mock"), model: model.to_owned(), text, call, input_tokens }
    }

    fn stop_reason(&self) -> &'static str {
        if self.call.is_some() { "tool_use" } else { "end_turn" }
    }

    fn output_tokens(&self) -> usize {
        self.text.split(' ').count() + if self.call.is_some() { 20 } else { 0 }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut content = vec![json!({ "type": "text", "text": self.text })];
        if let Some(call) = &self.call {
            content
                .push(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.input }));
        }
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": self.stop_reason(), "stop_sequence": null,
            "usage": { "input_tokens": self.input_tokens, "output_tokens": self.output_tokens() },
        })
    }

    pub(super) fn to_events(&self) -> Vec<Bytes> {
        let mut events = vec![
            event(json!({ "type": "message_start", "message": {
                "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": [],
                "stop_reason": null, "stop_sequence": null,
                "usage": { "input_tokens": self.input_tokens, "output_tokens": 1 },
            } })),
            event(
                json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
            ),
            event(json!({ "type": "ping" })),
        ];
        for word in self.text.split_inclusive(' ') {
            events.push(event(
                json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word } }),
            ));
        }
        events.push(event(json!({ "type": "content_block_stop", "index": 0 })));
        if let Some(call) = &self.call {
            events.extend([
                event(json!({ "type": "content_block_start", "index": 1, "content_block": {
                    "type": "tool_use", "id": call.id, "name": call.name, "input": {} } })),
                event(json!({ "type": "content_block_delta", "index": 1, "delta": {
                    "type": "input_json_delta", "partial_json": call.input.to_string() } })),
                event(json!({ "type": "content_block_stop", "index": 1 })),
            ]);
        }
        events.push(event(json!({
            "type": "message_delta",
            "delta": { "stop_reason": self.stop_reason(), "stop_sequence": null },
            "usage": { "output_tokens": self.output_tokens() },
        })));
        events.push(event(json!({ "type": "message_stop" })));
        events
    }
}

impl Call {
    /// Returns a call of Claude Code's `Bash` with a harmless `echo`, or else of the tool with the fewest required
    /// parameters. Returns `None` if the request offers no tool that can be called.
    fn of(request: &Value) -> Option<Self> {
        if request["tool_choice"]["type"] == "none" {
            return None;
        }
        let callable = |tool: &&Value| {
            tool["input_schema"].is_object() && tool["name"].is_string() && tool["defer_loading"] != true
        };
        let required = |tool: &&Value| tool["input_schema"]["required"].as_array().map_or(0, Vec::len);
        let tools = || request["tools"].as_array().into_iter().flatten().filter(callable);
        let tool = tools().find(|tool| tool["name"] == "Bash").or_else(|| tools().min_by_key(required))?;
        let name = tool["name"].as_str()?.to_owned();
        let input = if name == "Bash" {
            json!({ "command": "echo hello from the mock upstream", "description": "Say hello" })
        } else {
            example(&tool["input_schema"], 0)
        };
        Some(Self { id: id("toolu_mock"), name, input })
    }
}

/// Returns a value that is valid for a simple JSON schema, with at most eight levels of objects.
fn example(schema: &Value, depth: usize) -> Value {
    if let Some(value) = schema["enum"].get(0).or_else(|| schema.get("const")) {
        return value.clone();
    }
    match schema["type"].as_str() {
        Some("object") if depth < 8 => schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|key| key.as_str())
            .map(|key| (key.to_owned(), example(&schema["properties"][key], depth + 1)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!("example"),
    }
}

fn has_tool_result(message: &Value) -> bool {
    message["content"]
        .as_array()
        .is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"))
}

/// Returns the body of an error with `status`, in Anthropic's form.
pub(super) fn error(status: StatusCode) -> Bytes {
    error_body(error_type(status), "The mock upstream failed on request.", None)
}

/// Returns a stream that reports an overload after its status 200.
pub(super) fn overloaded_events() -> Vec<Bytes> {
    vec![event(json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } }))]
}

fn event(data: Value) -> Bytes {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default()).into()
}

/// Returns `prefix` with twelve random hexadecimal digits.
pub(super) fn id(prefix: &str) -> String {
    format!("{prefix}_{:012x}", fastrand::u64(..) >> 16)
}
