//! Amazon Bedrock's runtime: InvokeModel, InvokeModelWithResponseStream and CountTokens.
//!
//! # Source
//! botocore `bedrock-runtime/service-2`; the Event Stream format of AWS; public reports of refused requests.

use bytes::{Bytes, BytesMut};
use relay_stream::bedrock;
use relay_stream::frame::{HeaderValue, write_message};
use serde_json::{Value, json};

use super::{Reply, content};
use crate::answer::Answer;
use crate::request::Request;
use crate::rule::{self, Rule};

/// The `x-amzn-requestid` of every answer.
pub const REQUEST_ID: &str = "3b8a2d9e-8f6c-4c8e-9a49-1f1f0f9d7c11";

/// The access key id of [`provider`].
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
/// The secret access key of [`provider`].
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// The region of [`provider`].
pub const REGION: &str = "eu-west-1";

/// The top-level fields that Bedrock accepts. Any other field is a 400.
const FIELDS: [&str; 17] = [
    "anthropic_beta",
    "anthropic_version",
    "context_management",
    "max_tokens",
    "messages",
    "metadata",
    "output_config",
    "safeguards",
    "stop_sequences",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
];

/// The prefixes of the betas that Bedrock accepts. Any other beta is a 400 "invalid beta flag".
const BETAS: [&str; 17] = [
    "compact-",
    "computer-use-",
    "context-1m-",
    "context-management-",
    "dev-full-thinking-",
    "effort-",
    "fine-grained-tool-streaming-",
    "interleaved-thinking-",
    "mid-conversation-output-config-",
    "mid-conversation-tool-changes-",
    "output-128k-",
    "thinking-binding-controls-",
    "thinking-display-updates-",
    "thinking-token-count-",
    "token-efficient-tools-2025",
    "tool-examples-",
    "tool-search-tool-",
];

/// Returns the configuration of a provider that signs with static keys and maps every model to `model`.
#[must_use]
pub fn provider(upstream: &str, model: &str) -> Value {
    json!({
        "name": "bedrock", "type": "bedrock", "base_url": upstream, "aws_region": REGION,
        "aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "model_mapping": {"*": model},
    })
}

/// Returns the rules for every request: a JSON body with Bedrock's fields and betas, no header of the Messages API, and the
/// path of a model.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let mut rules = vec![
        rule::header("content-type", "application/json"),
        Rule::new(|request| {
            let foreign = |name: &str| {
                ["anthropic-", "x-stainless-", "x-forwarded-"]
                    .iter()
                    .any(|prefix| name.to_ascii_lowercase().starts_with(prefix))
            };
            match request.headers.iter().find(|(name, _)| foreign(name)) {
                None => Ok(()),
                Some((name, _)) => Err(format!("{name} was sent")),
            }
        }),
        Rule::new(|request| {
            let model = request.target.strip_prefix("/model/").and_then(|rest| rest.rsplit_once('/'));
            let Some((model, operation)) = model else { return Err("not the path of a model".to_owned()) };
            let known = ["invoke", "invoke-with-response-stream", "count-tokens"].contains(&operation);
            if !known || model.is_empty() || model.contains(['/', '?']) {
                return Err("not the path of a model".to_owned());
            }
            Ok(())
        }),
        Rule::new(|request| check_body(&invoke_body(request))),
        Rule::new(|request| {
            let body = invoke_body(request);
            content::without_scope(&body)?;
            content::without_urls(&body)?;
            content::for_generation(request.target.split('/').nth(2).unwrap_or_default(), &body)
        }),
    ];
    rules.extend(["x-api-key", "cookie", "accept-encoding"].map(rule::without));
    rules.push(content::no_safeguards());
    rules
}

fn check_body(body: &Value) -> Result<(), String> {
    let Some(members) = body.as_object() else { return Err("the body is not an object".to_owned()) };
    if let Some(name) = members.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("{name}: Extra inputs are not permitted"));
    }
    if !matches!(body["anthropic_version"].as_str(), Some("bedrock-2023-05-31" | "2026-10-21")) {
        return Err(format!("anthropic_version: {}", body["anthropic_version"]));
    }
    if !body["max_tokens"].is_u64() {
        return Err("max_tokens: Field required".to_owned());
    }
    let betas = body["anthropic_beta"].as_array().into_iter().flatten();
    let is_known = |beta: &str| BETAS.iter().any(|known| beta.starts_with(known));
    if let Some(beta) = betas.filter_map(Value::as_str).find(|beta| !is_known(beta)) {
        return Err(format!("invalid beta flag {beta}"));
    }
    let mut edits = body["context_management"]["edits"].as_array().into_iter().flatten();
    if edits.any(|edit| edit["type"] == "clear_thinking_20251015") {
        return Err("context_management: Extra inputs are not permitted".to_owned());
    }
    Ok(())
}

/// Returns the body of InvokeModel. For CountTokens, returns the InvokeModel body that it contains.
#[must_use]
pub fn invoke_body(request: &Request) -> Value {
    let body = request.json();
    match body["input"]["invokeModel"]["body"].as_str() {
        None => body,
        Some(inner) => base64_simd::STANDARD
            .decode_to_vec(inner)
            .ok()
            .and_then(|inner| serde_json::from_slice(&inner).ok())
            .unwrap_or(Value::Null),
    }
}

/// Requires a SigV4 signature with this credential scope over the required headers and no others.
#[must_use]
pub fn signed_by(access_key: &'static str, region: &'static str, service: &'static str) -> Rule {
    Rule::new(move |request| {
        let date = request.headers.get("x-amz-date").unwrap_or_default();
        let day = date.get(..8).unwrap_or_default();
        let token =
            if request.headers.contains("x-amz-security-token") { ";x-amz-security-token" } else { "" };
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{day}/{region}/{service}/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date{token}, Signature="
        );
        let found: Vec<_> = request.headers.all("authorization").collect();
        match found.as_slice() {
            [found] if found.strip_prefix(&expected).is_some_and(|signature| signature.len() == 64) => Ok(()),
            found => Err(format!("authorization is {found:?}")),
        }
    })
}

/// Answers like Bedrock: a message (streamed if the path requires it), or a token count.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    let reply = Reply::new("claude-opus-4-6").text("Hello! How can I help you today?");
    message(request, &reply)
}

/// Returns `reply` as JSON or as an Event Stream, depending on the path; for CountTokens returns a token count.
#[must_use]
pub fn message(request: &Request, reply: &Reply) -> Answer {
    match request.target.rsplit('/').next() {
        Some("invoke") => success(Answer::json(200, &reply.json())),
        Some("invoke-with-response-stream") => stream(events(reply).iter().map(|event| chunk(event))),
        Some("count-tokens") => success(Answer::json(200, &json!({"inputTokens": 2095}))),
        _ => error(404, "UnknownOperationException", ""),
    }
}

/// Returns the events of `reply` that the relay's client receives. Bedrock sends no pings.
#[must_use]
pub fn events(reply: &Reply) -> Vec<Bytes> {
    let ping = crate::sse::ping();
    reply.events().into_iter().filter(|event| *event != ping).collect()
}

/// Returns an Event Stream of `frames`, one chunk and one write each.
#[must_use]
pub fn stream(frames: impl IntoIterator<Item = Bytes>) -> Answer {
    success(Answer::pieces(200, frames).with_header("content-type", "application/vnd.amazon.eventstream"))
        .with_header("x-amzn-bedrock-content-type", "application/json")
}

/// Returns the head of an Event Stream, for [`Connection::send_head`](crate::Connection::send_head).
#[must_use]
pub fn event_stream() -> Answer {
    stream([])
}

fn success(answer: Answer) -> Answer {
    answer.with_header("x-amzn-requestid", REQUEST_ID).with_header("x-amzn-bedrock-input-token-count", "25")
}

/// Encodes a server-sent event as the frame of a chunk.
/// # Panics
/// If `event` is not exactly one event.
#[must_use]
pub fn chunk(event: &[u8]) -> Bytes {
    let [event] = <[_; 1]>::try_from(crate::sse::parse(event)).expect("one event");
    let mut frame = BytesMut::new();
    let padding = &"abcdefghijklmnopqrstuvwxyz"[..event.data.len() % 26];
    bedrock::write_chunk(event.data.as_bytes(), padding, &mut frame).expect("an event fits into a frame");
    frame.freeze()
}

/// Encodes a message whose `:event-type` the API does not have as a frame.
/// # Panics
/// If the message does not fit into a frame.
#[must_use]
pub fn unknown_event() -> Bytes {
    let headers =
        [(":event-type", "metrics"), (":content-type", "application/json"), (":message-type", "event")]
            .map(|(name, value)| (name, HeaderValue::String(value)));
    let mut frame = BytesMut::new();
    write_message(headers, b"{\"n\":1}", &mut frame).expect("a message fits into a frame");
    frame.freeze()
}

/// Encodes an exception as a frame.
/// # Panics
/// If name and message do not fit into a frame.
#[must_use]
pub fn exception(name: &str, message: &str) -> Bytes {
    let mut frame = BytesMut::new();
    bedrock::write_exception(name, message, &mut frame).expect("an exception fits into a frame");
    frame.freeze()
}

/// Returns an error with its name in `x-amzn-ErrorType`, in the form that the service uses.
#[must_use]
pub fn error(status: u16, name: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"message": message}))
        .with_header("x-amzn-requestid", REQUEST_ID)
        .with_header(
            "x-amzn-ErrorType",
            format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),
        )
}
