//! Writes a body in Vertex's form: the API version is a member of the body, and the path names the model.

use http::HeaderMap;
use http::header::HeaderName;
use relay_messages::Payload;
use serde_json::Value;

use crate::request::{Attempt, Endpoint};

pub(super) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The `anthropic_version` of the body for Anthropic's versions of 2023.
const DIALECT: &str = "vertex-2023-10-16";
const VERSIONS_OF_2023: [&str; 2] = ["2023-01-01", "2023-06-01"];

/// Returns the body with `anthropic_version` and without `model`. A token count keeps its `model`, because its path
/// does not name it.
pub(super) fn body(attempt: &Attempt) -> Payload {
    let body = attempt.request().body();
    let mut edits = attempt.edits().clone();
    match attempt.request().endpoint() {
        Endpoint::Messages => {
            edits.remove(body, "model");
        }
        Endpoint::CountTokens => edits.set_model(body, without_date(attempt.model())),
    }
    edits.remove(body, "anthropic_version");
    edits.insert(body, "anthropic_version", &Value::from(dialect(attempt.request().headers())).to_string());
    edits.apply(body)
}

/// Returns the `anthropic_version` of the body for the version in the header. A version that is unknown here is sent as
/// it is, and Vertex judges it.
fn dialect(headers: &HeaderMap) -> &str {
    match headers.get(ANTHROPIC_VERSION).and_then(|value| value.to_str().ok()) {
        Some(version) if !VERSIONS_OF_2023.contains(&version) => version,
        _ => DIALECT,
    }
}

/// Returns `model` without its date. Vertex answers that `…@20260101` is "not supported for token counting".
fn without_date(model: &str) -> &str {
    model.split_once('@').map_or(model, |(model, _)| model)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use relay_messages::{Adapter, MessagesBody};

    use super::*;
    use crate::adapt::adapt;
    use crate::request::RelayRequest;

    fn adapted(endpoint: Endpoint, version: Option<&'static str>, body: &str) -> String {
        let body = MessagesBody::parse(Bytes::from(body.to_owned())).unwrap();
        let headers = version
            .map(|version| (ANTHROPIC_VERSION, HeaderValue::from_static(version)))
            .into_iter()
            .collect();
        let mut attempt = Attempt::new(RelayRequest::new(endpoint, None, headers, body));
        attempt.set_model("mapped@20260101".into());
        adapt(&Adapter::of("vertex"), &mut attempt);
        String::from_utf8(super::body(&attempt).pieces().flat_map(|piece| piece.to_vec()).collect()).unwrap()
    }

    #[test]
    fn a_body_keeps_every_field_that_vertex_accepts() {
        #[track_caller]
        fn check(version: Option<&'static str>, body: &str, expected: &str) {
            assert_eq!(adapted(Endpoint::Messages, version, body), expected);
        }
        check(
            Some("2023-06-01"),
            r#"{"model":"m", "max_tokens":1.0,"messages":[] ,"stream":true}"#,
            r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":1.0,"messages":[] ,"stream":true}"#,
        );
        let new = r#"{"anthropic_version":"2026-10-21"}"#;
        check(Some("2026-10-21"), r#"{"model":"m"}"#, new);
        check(Some("2026-10-21"), r#"{"model":"m","anthropic_version":"x","speed":"fast"}"#, new);
        check(None, r#"{"model":"m"}"#, r#"{"anthropic_version":"vertex-2023-10-16"}"#);
        check(
            None,
            r#"{"model":"m","output_format":{"type":"json_schema"},"x":1}"#,
            r#"{"output_config":{"format":{"type":"json_schema"}},"anthropic_version":"vertex-2023-10-16","x":1}"#,
        );
        check(
            None,
            r#"{"model":"m","output_format":{"a":1.50},"output_config":{"effort":"low"}}"#,
            r#"{"anthropic_version":"vertex-2023-10-16","output_config":{"format":{"a":1.50},"effort":"low"}}"#,
        );
        check(
            None,
            r#"{"model":"m","output_format":1,"output_config":{"format":2}}"#,
            r#"{"anthropic_version":"vertex-2023-10-16","output_config":{"format":2}}"#,
        );
    }

    #[test]
    fn a_count_names_its_model_without_a_date() {
        assert_eq!(
            adapted(Endpoint::CountTokens, None, r#"{"model":"m","messages":[]}"#),
            r#"{"anthropic_version":"vertex-2023-10-16","model":"mapped","messages":[]}"#
        );
    }

    #[test]
    fn only_betas_that_vertex_accepts_are_sent() {
        #[track_caller]
        fn check(before: &'static str, after: &str) {
            let name = HeaderName::from_static("anthropic-beta");
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(before))]);
            let body = MessagesBody::parse(Bytes::from_static(br#"{"model":"m"}"#)).unwrap();
            let mut attempt = Attempt::new(RelayRequest::new(Endpoint::Messages, None, headers, body));
            adapt(&Adapter::of("vertex"), &mut attempt);
            assert_eq!(attempt.headers().get(name).map_or("", |value| value.to_str().unwrap()), after);
        }
        // The betas of Claude Code 2.1.330 for an upstream of Anthropic's format.
        check(
            "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,\
             per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,\
             advanced-tool-use-2025-11-20,effort-2025-11-24",
            "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,\
             mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,\
             tool-search-tool-2025-10-19,effort-2025-11-24",
        );
        check("mcp-client-2025-11-20,skills-2025-10-02,web-search-2025-03-05", "web-search-2025-03-05");
        check("fast-mode-2026-02-01", "");
        check("new-2027-01-01", "new-2027-01-01");
    }
}
