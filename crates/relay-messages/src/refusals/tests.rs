//! Tests with requests in an upstream's own form and refusals in its own words.

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Value, json};

use super::*;
use crate::body::{Edits, MessagesBody};
use crate::headers::ANTHROPIC_BETA;

const M: RefusalScope<'_> = RefusalScope { model: "m", is_count: false };

fn refusals(base_url: Option<&str>) -> RefusalMemory {
    let base_url = base_url.map(|url| BaseUrl::parse(url).unwrap());
    RefusalMemory::new(
        base_url.as_ref(),
        &Adapter::of("anthropic"),
        SignatureOwner::CLAUDE,
        ThinkingProvenance::default(),
    )
}

fn request(betas: Option<&'static str>, body: &Value) -> Request<Payload> {
    let mut request = Request::new(Payload::from(Bytes::from(body.to_string())));
    if let Some(betas) = betas {
        request.headers_mut().insert(ANTHROPIC_BETA, HeaderValue::from_static(betas));
    }
    request
}

fn parts(request: &Request<Payload>) -> (Option<&str>, Value) {
    let betas = request.headers().get(ANTHROPIC_BETA).map(|value| value.to_str().unwrap());
    (betas, serde_json::from_slice(&request.body().to_bytes()).unwrap())
}

#[track_caller]
fn check(message: &str, betas: &'static str, body: &Value, expected: Option<(Option<&str>, Value)>) {
    let retry = refusals(None).retry_without(&request(Some(betas), body), &[message]);
    assert_eq!(retry.as_ref().map(|retry| parts(&retry.request)), expected, "{message}");
}

#[test]
fn a_refused_part_is_removed_with_its_companion() {
    let body = json!({"a": 1, "context_management": {"edits": []}, "output_config": {"effort": "low"}});
    check(
        "context_management: Extra inputs are not permitted",
        "x-2025-01-01,context-management-2025-06-27",
        &body,
        Some((Some("x-2025-01-01"), json!({"a": 1, "output_config": {"effort": "low"}}))),
    );
    check(
        "Unexpected value(s) `effort-2025-11-24` for the `anthropic-beta` header.",
        "effort-2025-11-24",
        &body,
        Some((None, json!({"a": 1, "context_management": {"edits": []}}))),
    );
    check(
        "This model does not support the effort parameter.",
        "effort-2025-11-24,interleaved-thinking-2025-05-14",
        &body,
        Some((Some("interleaved-thinking-2025-05-14"), json!({"a": 1, "context_management": {"edits": []}}))),
    );
}

#[test]
fn companions_are_removed_but_only_the_named_part_is_remembered() {
    let tools = json!([{"name": "t", "defer_loading": true, "input_examples": [1]}]);
    let sent = request(Some("advanced-tool-use-2025-11-20,effort-2025-11-24"), &json!({ "tools": tools }));
    let refusal = "tools.0.custom.defer_loading: Extra inputs are not permitted";
    let retry = refusals(None).retry_without(&sent, &[refusal]).unwrap();
    let expected = (Some("effort-2025-11-24"), json!({"tools": [{"name": "t"}]}));
    assert_eq!(parts(&retry.request), expected);
    assert_eq!(refusals(None).remember(M, &retry, Instant::now()), ["field tools[custom].defer_loading"]);
}

#[test]
fn a_beta_stays_while_an_object_of_another_type_has_its_field() {
    let tools =
        json!([{"name": "t", "defer_loading": true}, {"type": "bash_20250124", "defer_loading": true}]);
    let sent = request(Some("advanced-tool-use-2025-11-20"), &json!({ "tools": tools }));
    let refusal = "tools.0.custom.defer_loading: Extra inputs are not permitted";
    let retry = refusals(None).retry_without(&sent, &[refusal]).unwrap();
    let left = json!({"tools": [{"name": "t"}, {"type": "bash_20250124", "defer_loading": true}]});
    assert_eq!(parts(&retry.request), (Some("advanced-tool-use-2025-11-20"), left));
}

#[test]
fn a_refusal_without_a_beta_name_removes_all_betas_but_the_one_accepted_everywhere() {
    let tools = json!([{"name": "t", "defer_loading": true}]);
    let betas =
        json!(["interleaved-thinking-2025-05-14", "tool-search-tool-2025-10-19", "effort-2025-11-24"]);
    let body = json!({"anthropic_beta": betas, "tools": tools, "last": 1});
    let retry = refusals(None).retry_without(&request(None, &body), &["invalid beta flag"]).unwrap();
    let expected =
        json!({"anthropic_beta": ["interleaved-thinking-2025-05-14"], "tools": [{"name": "t"}], "last": 1});
    assert_eq!(parts(&retry.request), (None, expected));

    let body = json!({"speed": "fast", "anthropic_beta": ["fast-mode-2026-02-01"]});
    let retry = refusals(None).retry_without(&request(None, &body), &["invalid beta flag"]).unwrap();
    assert_eq!(parts(&retry.request), (None, json!({})));
    assert!(refusals(None).remember(M, &retry, Instant::now()).is_empty(), "no beta was named");
    let alone = json!({"anthropic_beta": ["interleaved-thinking-2025-05-14"]});
    assert!(refusals(None).retry_without(&request(None, &alone), &["invalid beta flag"]).is_none());
}

#[test]
fn a_refusal_that_names_no_part_of_the_request_is_not_retried() {
    let body = json!({"messages": [{"role": "user", "content": "hi", "name": "x"}], "speed": "fast"});
    for message in [
        "messages: at least one message is required",
        "context_management: Extra inputs are not permitted",
        "messages: Extra inputs are not permitted",
        "messages.0.content: Extra inputs are not permitted",
        "messages.0.name: Extra inputs are not permitted",
        "Unexpected value(s) `y-2025-01-01` for the `anthropic-beta` header.",
        "prompt is too long: 250000 tokens > 200000 maximum",
    ] {
        check(message, "x-2025-01-01", &body, None);
    }
    let speed = "speed: Extra inputs are not permitted";
    assert!(refusals(None).retry_without(&request(None, &body), &[speed]).is_some());
    assert!(
        refusals(Some("https://gateway.example")).retry_without(&request(None, &body), &[speed]).is_some()
    );
    let anthropic = refusals(Some("https://api.anthropic.com"));
    assert!(
        anthropic.retry_without(&request(None, &body), &[speed]).is_none(),
        "the API that the client wrote for"
    );
}

#[test]
fn fields_removed_by_a_successful_retry_are_removed_from_later_requests_for_that_model() {
    let (refusals, now) = (refusals(None), Instant::now());
    let sent = || request(Some("fast-mode-2026-02-01"), &json!({"speed": "fast", "max_tokens": 1}));
    let retry = refusals.retry_without(&sent(), &["speed: Extra inputs are not permitted"]).unwrap();
    let mut next = sent();
    assert!(refusals.strip_known(M, &mut next, now).is_none());
    assert_eq!(parts(&next), parts(&sent()), "no field is remembered before a retry has succeeded");
    assert_eq!(refusals.remember(M, &retry, now), ["field speed"]);
    assert!(refusals.remember(M, &retry, now).is_empty());
    let whole = refusals.strip_known(M, &mut next, now).unwrap();
    assert_eq!(parts(&next), (None, json!({"max_tokens": 1})), "the beta is removed with its field");
    assert_eq!(parts(whole.request()), parts(&sent()));
    for scope in [RefusalScope { model: "n", ..M }, RefusalScope { is_count: true, ..M }] {
        let mut other = sent();
        assert!(refusals.strip_known(scope, &mut other, now).is_none());
        assert_eq!(parts(&other), parts(&sent()));
    }
    assert_eq!(refusals.known(now).len(), 1);
    assert_eq!(refusals.forget(M, &whole, now), ["field speed"]);
    assert!(refusals.forget(M, &whole, now).is_empty() && refusals.known(now).is_empty());
    let mut last = sent();
    assert!(refusals.strip_known(M, &mut last, now).is_none());
}

/// Learns from `refusal` of a request with `betas` and `body`, then checks the next request of another client.
#[track_caller]
fn check_next(
    (betas, body, refusal): (Option<&'static str>, &Value, &str),
    (next_betas, next): (Option<&'static str>, &Value),
    expected: (Option<&str>, &Value),
) {
    let (refusals, now) = (refusals(None), Instant::now());
    let retry = refusals.retry_without(&request(betas, body), &[refusal]).expect(refusal);
    refusals.remember(M, &retry, now);
    let mut next = request(next_betas, next);
    refusals.strip_known(M, &mut next, now);
    assert_eq!(parts(&next), (expected.0, expected.1.clone()), "{refusal}");
}

#[test]
fn a_refusal_changes_no_correct_request_of_another_client() {
    let thinking = |kind: &str| json!({"thinking": {"type": kind, "budget_tokens": 1024}});
    let extra = |path: &str| format!("{path}: Extra inputs are not permitted");
    let adaptive = extra("thinking.adaptive.budget_tokens");
    let wrong = (None, &thinking("adaptive"), adaptive.as_str());
    check_next(wrong, (None, &thinking("enabled")), (None, &thinking("enabled")));
    check_next(wrong, (None, &thinking("adaptive")), (None, &json!({"thinking": {"type": "adaptive"}})));

    // The field is refused because its beta is missing.
    let (beta, body) =
        (Some("context-management-2025-06-27"), json!({"a": 1, "context_management": {"edits": []}}));
    let refusal = extra("context_management");
    check_next((None, &body, &refusal), (beta, &body), (beta, &body));
    check_next((None, &body, &refusal), (None, &body), (None, &json!({"a": 1})));
    check_next((beta, &body, &refusal), (None, &body), (None, &json!({"a": 1})));

    // The field is refused in one version of the API.
    let version = |version: &str| json!({"temperature": 1, "anthropic_version": version});
    let refusal = extra("temperature");
    let new = version("2026-10-21");
    check_next(
        (None, &new, &refusal),
        (None, &version("bedrock-2023-05-31")),
        (None, &version("bedrock-2023-05-31")),
    );
    check_next((None, &new, &refusal), (None, &new), (None, &json!({"anthropic_version": "2026-10-21"})));

    let tools = json!({"tools": [{"type": "custom", "x": 1}, {"type": "web_search_20250305", "x": 1}]});
    let left = json!({"tools": [{"type": "custom", "x": 1}, {"type": "web_search_20250305"}]});
    let refusal = extra("tools.1.web_search_20250305.x");
    check_next((None, &tools, &refusal), (None, &tools), (None, &left));

    let block = |kind: &str| json!({"type": kind, "cache_control": {"type": "ephemeral"}});
    let body = json!({"messages": [{"role": "user", "content": [block("text"), block("tool_result")]}]});
    let left = json!({"messages": [{"role": "user", "content": [block("text"), {"type": "tool_result"}]}]});
    let refusal = extra("messages.0.content.1.tool_result.cache_control");
    check_next((None, &body, &refusal), (None, &body), (None, &left));

    // Bedrock names the object by its place only.
    let refusal = "Malformed input request: #/tools/1: extraneous key [x] is not permitted, please reformat your input.";
    let left = json!({"tools": [{"type": "custom", "x": 1}, {"type": "web_search_20250305"}]});
    check_next((None, &tools, refusal), (None, &tools), (None, &left));
}

#[test]
fn a_named_beta_is_removed_from_the_header_and_from_the_body() {
    let refusal = "Unexpected value(s) `effort-2025-11-24` for the `anthropic-beta` header.";
    let sent = Some("effort-2025-11-24,fast-mode-2026-02-01");
    let next = Some("a-2025-01-01,effort-2025-11-24");
    check_next((sent, &json!({}), refusal), (next, &json!({})), (Some("a-2025-01-01"), &json!({})));
    let list = json!({"anthropic_beta": ["effort-2025-11-24", "a-2025-01-01"]});
    let left = json!({"anthropic_beta": ["a-2025-01-01"]});
    check_next((None, &list, "invalid beta flag: effort-2025-11-24"), (None, &list), (None, &left));
}

#[test]
fn thinking_of_another_owner_stays_once_a_vendor_has_accepted_it() {
    let (url, now) = (BaseUrl::parse("https://vendor.example").unwrap(), Instant::now());
    let (owner, provenance) = (SignatureOwner::at(&url), ThinkingProvenance::default());
    let vendor = RefusalMemory::new(Some(&url), &Adapter::of("vendor"), owner, provenance.clone());
    let id = ThinkingId::of(b"sig");
    provenance.record_signature(id, SignatureOwner::CLAUDE, now);
    let turn = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": "t", "signature": "sig"}, {"type": "text", "text": "x"}]});
    let sent = || request(None, &json!({"messages": [turn, {"role": "user", "content": "go on"}]}));
    let mut next = sent();
    let whole = vendor.strip_known(M, &mut next, now).expect("the thinking is removed");
    assert_ne!(parts(&next), parts(&sent()));
    assert!(vendor.forget(M, &whole, now).is_empty());
    let mut next = sent();
    assert!(vendor.strip_known(M, &mut next, now).is_none());
    assert_eq!(parts(&next), parts(&sent()));
    provenance.record_refusal(id, owner, now);
    assert!(vendor.strip_known(M, &mut next, now).is_some(), "until it refuses a signature");
}

#[test]
fn an_effort_beside_disabled_thinking_stays_in_requests_with_thinking() {
    let body = |kind: &str| json!({"thinking": {"type": kind}, "output_config": {"effort": "max"}});
    let refusal = "thinking options type cannot be disabled when reasoning_effort is set";
    let (disabled, adaptive) = (body("disabled"), body("adaptive"));
    let left = json!({"thinking": {"type": "disabled"}});
    check_next((None, &disabled, refusal), (None, &disabled), (None, &left));
    check_next((None, &disabled, refusal), (None, &adaptive), (None, &adaptive));
}

#[test]
fn thinking_is_disabled_if_a_tool_call_has_none_to_pass_back() {
    let refusal = "The `content[].thinking` in the thinking mode must be passed back to the API.";
    let disabled = json!({"type": "disabled"});
    let body = json!({"a": 1, "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015"}]}});
    check(refusal, "x", &body, Some((Some("x"), json!({"a": 1, "thinking": disabled}))));
    let by_default = json!({"a": 1, "output_config": {"effort": "max", "format": {}}});
    let left = json!({"a": 1, "output_config": {"format": {}}, "thinking": disabled});
    check(refusal, "x", &by_default, Some((Some("x"), left)));
    check(refusal, "x", &json!({"thinking": disabled}), None);
}

/// The number of bytes of `payload` that are no slices of `original`.
fn copied_bytes(payload: &Payload, original: &Bytes) -> usize {
    let original = original.as_ptr_range();
    let is_slice = |piece: &&Bytes| original.contains(&piece.as_ptr());
    payload.pieces().filter(|piece| !is_slice(piece)).map(Bytes::len).sum()
}

#[test]
fn a_body_of_several_pieces_is_changed_without_a_lasting_copy() {
    let text = "x".repeat(1_000_000);
    let thinking = json!({"type": "thinking", "thinking": "t", "signature": "s"});
    let body = json!({
        "model": "m",
        "context_management": {"edits": []},
        "messages": [
            {"role": "user", "content": text},
            {"role": "assistant", "content": [thinking, {"type": "text", "text": text}]},
            {"role": "user", "content": text},
        ],
        "speed": "fast",
    });
    let body = MessagesBody::parse(Bytes::from(body.to_string())).unwrap();
    let mut edits = Edits::default();
    edits.set_model(&body, "other");
    let edited = edits.apply(&body);
    assert!(edited.pieces().count() > 1);
    let sent = |betas: &'static str| {
        let mut request = Request::new(edited.clone());
        request.headers_mut().insert(ANTHROPIC_BETA, HeaderValue::from_static(betas));
        request
    };
    for refusal in [
        "context_management: Extra inputs are not permitted",
        "speed: Extra inputs are not permitted",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ] {
        let memory = refusals(None);
        let request = sent("context-management-2025-06-27");
        let retry = memory.retry_without(&request, &[refusal]).expect(refusal);
        assert!(retry.request.body().remaining() < edited.remaining(), "{refusal}");
        assert!(serde_json::from_slice::<Value>(&retry.request.body().to_bytes()).is_ok(), "{refusal}");
        let copied = copied_bytes(retry.request.body(), body.bytes());
        assert!(copied < 10_000, "{refusal}: {copied} bytes are copies");
        // The next request loses the same part before it is sent.
        memory.remember(M, &retry, Instant::now());
        let mut next = sent("context-management-2025-06-27");
        let whole = memory.strip_known(M, &mut next, Instant::now());
        let copied = copied_bytes(next.body(), body.bytes());
        assert!(copied < 10_000, "{refusal}: {copied} bytes are copies");
        assert!(whole.is_none_or(|whole| copied_bytes(whole.request().body(), body.bytes()) < 10_000));
    }
}

#[test]
fn only_a_block_of_thinking_looks_like_thinking() {
    #[track_caller]
    fn check(body: &'static str, expected: bool) {
        assert_eq!(holds_thinking(&Payload::from(Bytes::from_static(body.as_bytes()))), expected, "{body}");
    }
    check(r#"{"model":"m","thinking":{"type":"enabled"},"messages":[]}"#, false);
    check(r#"{ "thinking" : {"type":"adaptive"}}"#, false);
    check(r#"{"messages":[{"content":"say \"thinking\": now"}]}"#, false);
    check(r#"{"messages":[{"content":[{"type":"thinking","thinking":""}]}],"thinking":{}}"#, true);
    check(r#"{"messages":[{"content":[{"type" : "redacted_thinking","data":""}]}]}"#, true);
    check(r#""thinking""#, true);
}
