//! Request bodies of the shape that Claude Code sends, from a seed.
//!
//! `model` is the first key and `stream` the last. The text has escapes, code and characters outside of ASCII, since
//! these, not the size alone, determine the time of a scan.

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Value, json};

/// The model that every request names.
pub(crate) const MODEL: &str = "claude-sonnet-4-5-20250929";

const SEED: u64 = 0x00C0_FFEE;
/// Sizes below this have neither tools nor a long system prompt.
const SMALL: usize = 8 * 1024;

const PHRASES: [&str; 12] = [
    "The build fails with \"undefined reference to `relay_start'\" in src/main.rs:42.\n",
    "fn main() {\n\tlet path = \"C:\\\\temp\\\\α.txt\";\n\tprintln!(\"{path}\");\n}\n",
    "Grüße aus Zürich – die Prüfung läuft noch, bitte warten …\n",
    "error[E0308]: mismatched types\n  --> crates/x/src/lib.rs:7:5\n   |\n",
    "日本語のコメントも残します。変更はありません。\n",
    "{\"name\": \"tool\", \"input\": {\"command\": \"ls -la | grep '\\\\.rs$'\"}}\n",
    "I will read the file first, then change the two call sites and run the tests again.\n",
    "    if let Some(value) = map.get(\"key\") {\n        return Ok(value.clone());\n    }\n",
    "diff --git a/src/a.rs b/src/a.rs\n@@ -1,4 +1,4 @@\n-\tlet a = 1;\n+\tlet a = 2;\n",
    "Done ✅ — 212 tests passed, 0 failed 🎉\n",
    "for (const [key, value] of Object.entries(config)) { console.log(`${key}=${value}`); }\n",
    "See https://example.com/docs/page?query=1&other=%20two for the details of the format.\n",
];

/// Returns a body of exactly `size` bytes, or a few more if `size` is less than the smallest body.
pub(crate) fn of_size(size: usize, stream: bool) -> Bytes {
    let mut random = Rng::with_seed(SEED);
    let large = size >= SMALL;
    let head = format!(r#"{{"model":"{MODEL}","messages":["#);
    let tail = tail(&mut random, size, large, stream);
    let mut text = head;
    let question = if large { "Find the defect and repair it." } else { "Say hello." };
    text.push_str(&user(&json!([{"type": "text", "text": question}])));
    let mut turn = 0;
    loop {
        let next = if large { exchange(&mut random, turn) } else { String::new() };
        // The last exchange is filled up to the size.
        let room = size.saturating_sub(text.len() + tail.len());
        if next.is_empty() || room < next.len() + 512 {
            text.push_str(&filler(room));
            break;
        }
        text.push_str(&next);
        turn += 1;
    }
    text.push_str(&tail);
    Bytes::from(text)
}

/// Returns a body of 1 KB for a request with a streamed answer.
pub(crate) fn small_stream() -> Bytes {
    of_size(1024, true)
}

/// Returns the members after the messages: `system`, `tools`, the settings and `stream`.
fn tail(random: &mut Rng, size: usize, large: bool, stream: bool) -> String {
    let ephemeral = json!({"type": "ephemeral"});
    let identity = "You are Claude Code, Anthropic's official CLI for Claude.";
    let mut system = vec![json!({"type": "text", "text": identity, "cache_control": ephemeral})];
    let mut tools = Vec::new();
    if large {
        let share = (size / 12).min(13_000);
        system.push(json!({"type": "text", "text": prose(random, share), "cache_control": ephemeral}));
        tools = (0..20).map(|number| tool(random, number, (size / 70).min(2_000))).collect();
    }
    let session =
        r#"{"device_id":"6f1e","account_uuid":"","session_id":"0b1c2d3e-4f50-4162-8738-495a6b7c8d9e"}"#;
    let members = [
        ("system", Value::Array(system)),
        ("tools", Value::Array(tools)),
        ("metadata", json!({"user_id": session})),
        ("max_tokens", json!(32_000)),
        ("stream", json!(stream)),
    ];
    let members: Vec<_> = members.iter().filter(|(_, value)| *value != json!([])).collect();
    members.iter().fold(String::from("]"), |text, (name, value)| text + &format!(r#","{name}":{value}"#))
        + "}"
}

fn user(content: &Value) -> String {
    json!({"role": "user", "content": content}).to_string()
}

/// Returns a turn of the assistant with a tool call, and the turn of the user with its result, each after a comma.
fn exchange(random: &mut Rng, turn: usize) -> String {
    let id = format!("toolu_01{turn:022}");
    let command = format!("rg -n \"fn \\w+\" crates/{turn} | head -{}", random.u32(5..50));
    let text = prose_between(random, 40, 400);
    let call = json!({"type": "tool_use", "id": id, "name": "Tool00", "input": {"command": command}});
    let mut answer = vec![json!({"type": "text", "text": text}), call];
    if turn.is_multiple_of(3) {
        let signature: String = (0..400).map(|_| random.alphanumeric()).collect();
        let thinking = prose_between(random, 100, 600);
        answer.insert(0, json!({"type": "thinking", "thinking": thinking, "signature": signature}));
    }
    let assistant = json!({"role": "assistant", "content": answer});
    let output = prose_between(random, 500, 6_000);
    let result = json!([{"type": "tool_result", "tool_use_id": id, "content": output}]);
    format!(",{assistant},{}", user(&result))
}

/// Returns two further turns of exactly `room` bytes, or nothing if they do not fit.
fn filler(room: usize) -> String {
    let with = |text: &str| {
        let assistant = json!({"role": "assistant", "content": "Go on."});
        format!(",{assistant},{}", user(&json!(text)))
    };
    let Some(length) = room.checked_sub(with("").len()) else { return String::new() };
    with(&"x".repeat(length))
}

fn tool(random: &mut Rng, number: usize, length: usize) -> Value {
    let field = |text: &str| json!({"type": "string", "description": text});
    json!({
        "name": format!("Tool{number:02}"),
        "description": prose(random, length),
        "input_schema": {
            "type": "object",
            "properties": {
                "command": field("The command to execute"),
                "file_path": field("The absolute path; \"~\" is not expanded"),
                "timeout": {"type": "number", "minimum": 0, "maximum": 600_000},
                "edits": {"type": "array", "items": {"type": "object", "properties": {"old": field("Text")}}},
            },
            "required": ["command"],
            "additionalProperties": false,
        },
    })
}

fn prose_between(random: &mut Rng, least: usize, most: usize) -> String {
    let length = random.usize(least..most);
    prose(random, length)
}

/// Returns text of at least `length` bytes, by less than a phrase more.
fn prose(random: &mut Rng, length: usize) -> String {
    let mut text = String::with_capacity(length + 128);
    while text.len() < length {
        text.push_str(PHRASES[random.usize(..PHRASES.len())]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_of_the_exact_size_with_model_first_and_stream_last() {
        for size in [1_024, 150_000, 1_000_000] {
            for stream in [false, true] {
                let body = of_size(size, stream);
                assert_eq!(body.len(), size);
                let text = std::str::from_utf8(&body).unwrap();
                assert!(text.starts_with(r#"{"model":"claude-"#), "{}", &text[..40]);
                assert!(text.ends_with(&format!(r#","stream":{stream}}}"#)));
                let value: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(value["messages"][0]["role"], "user");
            }
        }
    }

    #[test]
    fn a_large_body_has_the_parts_of_a_session_of_claude_code() {
        let body = of_size(150_000, true);
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["tools"].as_array().unwrap().len(), 20);
        assert_eq!(value["system"][1]["cache_control"]["type"], "ephemeral");
        let messages = value["messages"].as_array().unwrap();
        let kinds = |kind: &str| {
            let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
            blocks.filter(|block| block["type"] == kind).count()
        };
        assert!(kinds("tool_use") > 5 && kinds("tool_use") == kinds("tool_result"));
        assert!(kinds("thinking") > 1);
        let roles = messages.iter().map(|message| message["role"].as_str().unwrap());
        assert!(roles.enumerate().all(|(index, role)| role == ["user", "assistant"][index % 2]));
    }

    #[test]
    fn a_large_body_has_escapes_and_characters_outside_of_ascii() {
        let body = of_size(150_000, true);
        let share = |test: fn(&u8) -> bool| body.iter().filter(|byte| test(byte)).count() as f64 / 150_000.0;
        assert!(share(|byte| *byte == b'\\') > 0.02);
        assert!(share(|byte| !byte.is_ascii()) > 0.02);
    }

    #[test]
    fn the_same_size_gives_the_same_bytes() {
        assert_eq!(of_size(20_000, false), of_size(20_000, false));
    }
}
