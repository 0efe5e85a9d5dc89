//! Tests with requests in an upstream's own form and refusals in its own words.

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Value, json};

use super::*;

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
fn companions_are_removed_but_only_parts_that_were_sent_are_remembered() {
    let tools = json!([{"name": "t", "defer_loading": true, "input_examples": [1]}]);
    let sent = request(Some("advanced-tool-use-2025-11-20,effort-2025-11-24"), &json!({ "tools": tools }));
    let refusal = "tools.0.custom.defer_loading: Extra inputs are not permitted";
    let retry = refusals(None).retry_without(&sent, &[refusal]).unwrap();
    let expected = (Some("effort-2025-11-24"), json!({"tools": [{"name": "t"}]}));
    assert_eq!(parts(&retry.request), expected);
    let names: Vec<_> = retry.fields.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["field tools[].defer_loading", "beta advanced-tool-use-2025-11-20", "field tools[].input_examples"]
    );
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
    refusals.strip_known("m", &mut next, now);
    assert_eq!(parts(&next), parts(&sent()), "no field is remembered before a retry has succeeded");
    let news = refusals.remember("m", &retry, now);
    assert_eq!(news, ["field speed", "beta fast-mode-2026-02-01"]);
    assert!(refusals.remember("m", &retry, now).is_empty());
    refusals.strip_known("m", &mut next, now);
    assert_eq!(parts(&next), (None, json!({"max_tokens": 1})));
    let mut other = sent();
    refusals.strip_known("n", &mut other, now);
    assert_eq!(parts(&other), parts(&sent()));
    let dropped: Vec<_> = refusals.known(now).into_iter().map(|lesson| lesson.dropped).collect();
    assert_eq!(dropped, ["beta fast-mode-2026-02-01", "field speed"]);
}
