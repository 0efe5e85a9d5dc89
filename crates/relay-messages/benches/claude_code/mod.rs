//! Requests of the shape that Claude Code sends, the same ones in each run.

use std::fmt::Write;

use serde_json::{Value, json};

const PROSE: &str =
    "The relay reads the request once and keeps the places of the values that later stages need. ";
const FOREIGN: &str = "Größe, naïveté, 中文字符, и немного кириллицы. ";
const CODE: &str = "fn main() {\n\tlet path = \"C:\\\\temp\\\\cache\";\n    println!(\"hello, {}\", name);\n    // [1, 2, {3}]: ok\n}\n";

/// A generator of numbers that look random (Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Returns about `size` bytes of text: mostly code, some prose, a little beyond ASCII.
    fn text(&mut self, size: usize) -> String {
        let mut text = String::with_capacity(size + 200);
        while text.len() < size {
            match self.below(20) {
                0 => text.push_str(FOREIGN),
                1..8 => text.push_str(PROSE),
                _ => text.push_str(CODE),
            }
            write!(text, "{} ", self.below(10_000)).expect("a string takes all text");
        }
        text
    }

    fn token(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..length).map(|_| char::from(ALPHABET[self.below(ALPHABET.len())])).collect()
    }
}

/// Returns a request of about `size` bytes: a tenth of it is the system prompt, up to a third are tools, and the rest is a
/// conversation with tool calls, results and thinking. `stream` is its last member.
pub(crate) fn request(size: usize) -> String {
    let mut numbers = Numbers(7);
    let tools: Vec<Value> = (0..(size / 3000).min(20)).map(|index| tool(index, &mut numbers)).collect();
    let system = json!([
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330"},
        {"type": "text", "text": numbers.text(size / 20), "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": numbers.text(size / 20), "cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}},
    ]);
    let user_id =
        json!({"device_id": numbers.token(64), "account_uuid": "", "session_id": numbers.token(36)});
    let end = json!({
        "metadata": {"user_id": user_id.to_string()},
        "max_tokens": 64000,
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
    });
    let (system, tools, end) = (system.to_string(), Value::from(tools).to_string(), end.to_string());
    let messages = messages(size.saturating_sub(system.len() + tools.len() + end.len()), &mut numbers);
    let end = &end[1..end.len() - 1];
    format!(
        r#"{{"model":"claude-opus-5-5","messages":[{messages}],"system":{system},"tools":{tools},{end},"stream":true}}"#
    )
}

fn tool(index: usize, numbers: &mut Numbers) -> Value {
    json!({
        "name": format!("Tool{index}"),
        "description": numbers.text(1500),
        "input_schema": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {
                "file_path": {"type": "string", "description": "The absolute path to the file to modify"},
                "edits": {"type": "array", "items": {"type": "object", "properties": {
                    "old_string": {"type": "string", "description": "The text to replace"},
                    "replace_all": {"type": "boolean", "default": false},
                }}},
                "limit": {"type": "number", "exclusiveMinimum": 0, "description": "The number of lines to read"},
            },
            "required": ["file_path"],
            "additionalProperties": false,
        },
    })
}

/// Returns messages of about `size` bytes, separated by commas.
fn messages(size: usize, numbers: &mut Numbers) -> String {
    let mut text = json!({"role": "user", "content": [
        {"type": "text", "text": "<system-reminder>\nBe brief.\n</system-reminder>"},
        {"type": "text", "text": numbers.text(size.min(400)), "cache_control": {"type": "ephemeral"}},
    ]})
    .to_string();
    while text.len() < size {
        let (id, thinking, call, result) =
            (numbers.token(24), numbers.below(800), numbers.below(1200), numbers.below(6000));
        let turn = [
            json!({"role": "assistant", "content": [
                {"type": "thinking", "thinking": numbers.text(thinking), "signature": numbers.token(400)},
                {"type": "text", "text": numbers.text(80)},
                {"type": "tool_use", "id": format!("toolu_{id}"), "name": "Edit",
                 "input": {"file_path": "/home/user/src/main.rs", "old_string": numbers.text(call)}},
            ]}),
            json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": format!("toolu_{id}"),
                 "content": [{"type": "text", "text": numbers.text(result)}]},
            ]}),
        ];
        turn.iter().for_each(|message| write!(text, ",{message}").expect("a string takes all text"));
    }
    text
}
