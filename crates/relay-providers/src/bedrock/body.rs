//! Writes a Messages body as `InvokeModel` expects it.
//!
//! The version, the betas and the user profile, which the client sends as headers, become members before its own.

use bytes::Bytes;
use http::HeaderMap;
use relay_messages::{MessagesBody, Payload};
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::endpoint;
use crate::request::Attempt;

/// The `anthropic_version` that every model accepts.
const VERSION: &str = "bedrock-2023-05-31";
/// The `anthropic_version` that only newer models accept.
const NEW_VERSION: &str = "2026-10-21";
/// The text before the base64 of an `InvokeModel` body in a `CountTokens` body, and the text after it.
const BEFORE_INVOKE: &[u8] = br#"{"input":{"invokeModel":{"body":""#;
const AFTER_INVOKE: &[u8] = br#""}}}"#;

/// Returns the body of `InvokeModel` and `InvokeModelWithResponseStream`.
pub(super) fn for_invoke(attempt: &Attempt) -> Payload {
    write(attempt, None)
}

/// Returns the body of `CountTokens`, which contains the `InvokeModel` body whose tokens are counted.
pub(super) fn for_count(attempt: &Attempt) -> Payload {
    let body = attempt.request().body();
    // A token count has no `max_tokens`, but an `InvokeModel` body requires it.
    let max_tokens = body.get("max_tokens").is_none().then(|| thinking_budget(body) + 1);
    in_count(&write(attempt, max_tokens)).into()
}

/// Returns the body of `CountTokens` for `invoke`, in one allocation of exactly its size.
fn in_count(invoke: &Payload) -> Bytes {
    let length = base64_simd::STANDARD.encoded_length(invoke.remaining());
    let mut body = Vec::with_capacity(BEFORE_INVOKE.len() + length + AFTER_INVOKE.len());
    body.extend_from_slice(BEFORE_INVOKE);
    append_base64(invoke, &mut body);
    body.extend_from_slice(AFTER_INVOKE);
    body.into()
}

/// Appends the base64 of `payload` to `text` piece by piece. Up to two bytes are carried to the next piece, because base64
/// encodes three bytes at a time.
fn append_base64(payload: &Payload, text: &mut Vec<u8>) {
    let mut carried = SmallVec::<[u8; 3]>::new();
    for piece in payload.pieces() {
        let missing = (3 - carried.len()) % 3;
        let (head, piece) = piece.split_at(missing.min(piece.len()));
        carried.extend_from_slice(head);
        if carried.len() < 3 && !carried.is_empty() {
            continue;
        }
        let (whole, rest) = piece.split_at(piece.len() - piece.len() % 3);
        base64_simd::STANDARD.encode_append(&carried, text);
        base64_simd::STANDARD.encode_append(whole, text);
        carried.clear();
        carried.extend_from_slice(rest);
    }
    base64_simd::STANDARD.encode_append(&carried, text);
}

fn write(attempt: &Attempt, max_tokens: Option<u64>) -> Payload {
    let request = attempt.request();
    let (headers, body) = (request.headers(), request.body());
    let mut edits = attempt.edits().clone();
    // The path names the model, and the operation determines if the answer is a stream.
    edits.retain(body, |name| !["model", "stream", "anthropic_version", "anthropic_beta"].contains(&name));
    edits.insert(body, "anthropic_version", &json!(version(headers, attempt.model())).to_string());
    let betas = attempt.betas();
    if !betas.is_empty() {
        edits.insert(body, "anthropic_beta", &json!(betas).to_string());
    }
    if let Some(id) = text(headers, "anthropic-user-profile-id") {
        edits.insert(body, "user_profile_id", &json!(id).to_string());
    }
    if let Some(max_tokens) = max_tokens {
        edits.insert(body, "max_tokens", &max_tokens.to_string());
    }
    edits.apply(body)
}

/// Returns the newer version if the client requests it and the model accepts it, or else the older one. The older
/// version is a safe fallback, since the newer one only refuses more.
fn version(headers: &HeaderMap, model: &str) -> &'static str {
    let is_requested = text(headers, "anthropic-version") == Some(NEW_VERSION);
    if is_requested && endpoint::is_new_generation(model) { NEW_VERSION } else { VERSION }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// Returns `thinking.budget_tokens`, which `max_tokens` has to exceed, or 0 without a budget.
fn thinking_budget(body: &MessagesBody) -> u64 {
    let thinking = body.get("thinking").and_then(|value| serde_json::from_slice::<Value>(&value).ok());
    // The bound is above the limit of every model, and adding one to it cannot overflow.
    thinking.and_then(|thinking| thinking["budget_tokens"].as_u64()).unwrap_or(0).min(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use relay_messages::Adapter;

    use super::*;
    use crate::adapt::adapt;
    use crate::request::{Endpoint, RelayRequest};

    const CONTEXT_MANAGEMENT: &str = "context-management-2025-06-27";
    const MODEL: &str = "us.anthropic.claude-opus-4-6-v1";

    fn attempt(model: &str, headers: &[(&'static str, &'static str)], body: &str) -> Attempt {
        let headers = headers
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let body = MessagesBody::parse(body.to_owned().into()).unwrap();
        let mut attempt = Attempt::new(RelayRequest::new(Endpoint::Messages, None, headers, body));
        attempt.set_model(model.into());
        adapt(&Adapter::of("bedrock"), &mut attempt);
        attempt
    }

    fn bytes(payload: &Payload) -> Vec<u8> {
        payload.pieces().flat_map(|piece| piece.to_vec()).collect()
    }

    #[track_caller]
    fn check(attempt: &Attempt, expected: &str) {
        assert_eq!(String::from_utf8(bytes(&for_invoke(attempt))).unwrap(), expected);
    }

    #[test]
    fn model_stream_and_foreign_fields_are_removed_and_other_fields_stay_unchanged() {
        check(
            &attempt(
                MODEL,
                &[("anthropic-version", "2023-06-01")],
                r#"{ "model":"claude-x", "max_tokens" : 1.0e3, "stream":true, "service_tier":"auto", "speed":"fast",
  "messages":[{"role":"user","content":"h\u00e9"}], "container":"c", "mcp_servers":[], "cache_control":{},
  "metadata":{"user_id":"u"}, "inference_geo":"us", "anthropic_version":"x", "anthropic_beta":["x"], "output_format":{} }"#,
            ),
            "{\"anthropic_version\":\"bedrock-2023-05-31\", \"max_tokens\" : 1.0e3, \
             \"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9\"}], \"metadata\":{\"user_id\":\"u\"} }",
        );
        check(&attempt(MODEL, &[], r#"{"model":"m"}"#), r#"{"anthropic_version":"bedrock-2023-05-31"}"#);
    }

    #[test]
    fn betas_and_user_profile_move_from_the_headers_into_the_body() {
        let headers = [
            ("anthropic-beta", "effort-2025-11-24, claude-code-20250219"),
            ("anthropic-user-profile-id", "up_1"),
        ];
        check(
            &attempt(MODEL, &headers, r#"{"model":"m","max_tokens":1}"#),
            r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["effort-2025-11-24"],"user_profile_id":"up_1","max_tokens":1}"#,
        );
    }

    #[test]
    fn the_newer_version_is_sent_if_the_client_requests_it_and_the_model_accepts_it() {
        #[track_caller]
        fn check_version(model: &str, requested: &'static str, expected: &str) {
            let attempt = attempt(model, &[("anthropic-version", requested)], r#"{"model":"m"}"#);
            check(&attempt, &format!(r#"{{"anthropic_version":"{expected}"}}"#));
        }
        check_version("anthropic.claude-opus-4-7", "2026-10-21", "2026-10-21");
        check_version("us.anthropic.claude-sonnet-5", "2026-10-21", "2026-10-21");
        check_version("anthropic.claude-opus-4-7", "2023-06-01", "bedrock-2023-05-31");
        check_version("anthropic.claude-sonnet-4-5-20250929-v1:0", "2026-10-21", "bedrock-2023-05-31");
    }

    #[test]
    fn context_edits_that_bedrock_refuses_are_removed_with_their_beta() {
        #[track_caller]
        fn check_context(value: &str, expected: Option<&str>) {
            let headers = [("anthropic-beta", CONTEXT_MANAGEMENT)];
            let body = format!(r#"{{"model":"m","context_management":{value}}}"#);
            let expected = match expected {
                Some(value) => format!(
                    r#"{{"anthropic_version":"{VERSION}","anthropic_beta":["{CONTEXT_MANAGEMENT}"],"context_management":{value}}}"#
                ),
                None => format!(r#"{{"anthropic_version":"{VERSION}"}}"#),
            };
            check(&attempt(MODEL, &headers, &body), &expected);
        }
        check_context(r#"{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}"#, None);
        let kept = r#"{"type":"clear_tool_uses_20250919","trigger":{"value":1.50}}"#;
        check_context(
            &format!(r#"{{"edits": [{{"type":"clear_thinking_20251015"}}, {kept}]}}"#),
            Some(&format!(r#"{{"edits": [{kept}]}}"#)),
        );
        let untouched = format!(r#"{{ "edits" : [ {kept} ] }}"#);
        check_context(&untouched, Some(&untouched));
        for odd in ["null", "7", r#"{"edits":{}}"#, "{}"] {
            check_context(odd, Some(odd));
        }
    }

    #[test]
    fn a_count_contains_the_body_of_an_invocation() {
        #[track_caller]
        fn check_count(body: &str, expected: &str) {
            let count = bytes(&for_count(&attempt(MODEL, &[], body)));
            let count: Value = serde_json::from_slice(&count).unwrap();
            let inner = count["input"]["invokeModel"]["body"].as_str().unwrap();
            let inner = base64_simd::STANDARD.decode_to_vec(inner).unwrap();
            assert_eq!(String::from_utf8(inner).unwrap(), expected);
        }
        check_count(
            r#"{"model":"m","messages":[]}"#,
            r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[]}"#,
        );
        check_count(
            r#"{"model":"m","max_tokens":5}"#,
            r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":5}"#,
        );
        let thinking = r#""thinking":{"type":"enabled","budget_tokens":1024}"#;
        check_count(
            &format!(r#"{{"model":"m",{thinking}}}"#),
            &format!(r#"{{"anthropic_version":"bedrock-2023-05-31","max_tokens":1025,{thinking}}}"#),
        );
    }

    #[test]
    fn a_count_is_written_into_one_allocation_of_its_size() {
        for length in [0, 1, 2, 3, 1022, 1023, 1024, 1025, 1_000_000, 1_000_001] {
            for model in ["m", "mm", "mmm"] {
                let text = "x".repeat(length);
                let body = format!(
                    r#"{{"model":"{model}","max_tokens":5,"a":"{text}","stream":true,"b":"{text}"}}"#
                );
                let attempt = attempt(MODEL, &[], &body);
                let payload = write(&attempt, None);
                let mut encoded =
                    Vec::with_capacity(base64_simd::STANDARD.encoded_length(payload.remaining()));
                let (capacity, start) = (encoded.capacity(), encoded.as_ptr());
                append_base64(&payload, &mut encoded);
                assert_eq!((encoded.len(), encoded.capacity()), (capacity, capacity));
                assert_eq!(encoded.as_ptr(), start, "the text has not moved");
                let decoded = base64_simd::STANDARD.decode_to_vec(&encoded).unwrap();
                assert_eq!(decoded, bytes(&payload), "{length}");
                let (count, counted) = (for_count(&attempt), bytes(&for_count(&attempt)));
                assert_eq!(count.pieces().count(), 1);
                assert_eq!(counted.len(), BEFORE_INVOKE.len() + capacity + AFTER_INVOKE.len());
            }
        }
    }
}
