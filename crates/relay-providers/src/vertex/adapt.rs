//! A request in Vertex's dialect.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderName;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::body::{Edits, MessagesBody, Payload};
use crate::headers;
use crate::request::{Attempt, Endpoint};

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The dialect that goes with Anthropic's versions of 2023.
const DIALECT: &str = "vertex-2023-10-16";
const VERSIONS_OF_2023: [&str; 2] = ["2023-01-01", "2023-06-01"];

/// What becomes of the betas that Vertex does not take under their own name: `None` drops one. A `*` at the end stands
/// for the rest of a name. Every other beta passes, `effort-2025-11-24` among them, which Claude Code itself sends to
/// Vertex.
///
/// # Source
/// litellm 1.109, `vertex_ai` in its table of betas; Claude Code 2.1.330 in its own Vertex mode.
const BETAS: [(&str, Option<&str>); 13] = [
    ("advanced-tool-use-2025-11-20", Some("tool-search-tool-2025-10-19")),
    ("advisor-tool-*", None),
    ("code-execution-*", None),
    ("fast-mode-2026-02-01", None),
    ("files-api-*", None),
    ("fine-grained-tool-streaming-2025-05-14", None),
    ("mcp-*", None),
    ("output-128k-2025-02-19", None),
    ("prompt-caching-scope-2026-01-05", None),
    ("skills-*", None),
    ("structured-outputs-2025-11-13", None),
    ("token-efficient-tools-2025-02-19", None),
    ("web-fetch-*", None),
];

/// Fields of what Vertex does not serve. They leave with their betas.
const DROPPED: [&str; 4] = ["container", "mcp_servers", "service_tier", "speed"];

/// The headers, without the version, which is in the body, and with the betas that Vertex takes.
pub(super) fn headers(headers: &mut HeaderMap) {
    headers.remove(ANTHROPIC_VERSION);
    headers::map_betas(headers, |beta| match BETAS.iter().find(|(pattern, _)| fits(pattern, beta)) {
        Some((_, known_as)) => *known_as,
        None => Some(beta),
    });
}

fn fits(pattern: &str, beta: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => beta.starts_with(start),
        None => pattern == beta,
    }
}

/// The body: `model` leaves (but for a count, whose path does not name it), `anthropic_version` comes, `stream` stays.
pub(super) fn body(attempt: &Attempt) -> Payload {
    let body = attempt.request().body();
    let mut edits = attempt.edits().clone();
    match attempt.request().endpoint() {
        Endpoint::Messages => {
            edits.remove(body, "model");
        }
        Endpoint::CountTokens => edits.set_model(body, without_date(attempt.model())),
    }
    edits.retain(body, |name| !DROPPED.contains(&name));
    edits.remove(body, "anthropic_version");
    edits.insert(body, "anthropic_version", &Value::from(dialect(attempt.request().headers())).to_string());
    fold_output_format(&mut edits, body);
    edits.apply(body)
}

/// The version of the header in the body's words. One that is not known yet is the client's to answer for.
fn dialect(headers: &HeaderMap) -> &str {
    match headers.get(ANTHROPIC_VERSION).and_then(|value| value.to_str().ok()) {
        Some(version) if !VERSIONS_OF_2023.contains(&version) => version,
        _ => DIALECT,
    }
}

/// Tokens are counted for a model, not for one of its dates: `…@20260101` is "not supported for token counting".
fn without_date(model: &str) -> &str {
    model.split_once('@').map_or(model, |(model, _)| model)
}

/// `output_format` was the name of `output_config.format` while it was a beta, and Vertex knows the new one alone.
fn fold_output_format(edits: &mut Edits, body: &MessagesBody) {
    let Some(format) = body.get("output_format") else { return };
    edits.remove(body, "output_format");
    let config = body.get("output_config");
    let old = config.as_deref().unwrap_or(b"{}");
    // What is no object is the upstream's to refuse.
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(old) else { return };
    if members.contains_key("format") {
        return;
    }
    let comma: &[u8] = if members.is_empty() { b"" } else { b"," };
    let folded = [b"{\"format\":", &format[..], comma, &old[1..]].concat();
    match config {
        Some(_) => edits.replace(body, "output_config", &Bytes::from(folded)),
        None => edits.insert(body, "output_config", &String::from_utf8_lossy(&folded)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::request::RelayRequest;

    fn adapted(endpoint: Endpoint, version: Option<&'static str>, body: &str) -> String {
        let body = MessagesBody::parse(Bytes::from(body.to_owned())).unwrap();
        let headers = version
            .map(|version| (ANTHROPIC_VERSION, HeaderValue::from_static(version)))
            .into_iter()
            .collect();
        let mut attempt = Attempt::new(RelayRequest::new(endpoint, None, headers, body));
        attempt.set_model("mapped@20260101".into());
        String::from_utf8(super::body(&attempt).pieces().flat_map(|piece| piece.to_vec()).collect()).unwrap()
    }

    #[test]
    fn a_body_keeps_everything_but_what_vertex_has_no_use_for() {
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
            r#"{"anthropic_version":"vertex-2023-10-16","output_config":{"format":{"type":"json_schema"}},"x":1}"#,
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
    fn betas_are_those_that_vertex_takes() {
        #[track_caller]
        fn check(before: &'static str, after: &str) {
            let name = HeaderName::from_static("anthropic-beta");
            let mut map = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(before))]);
            headers(&mut map);
            assert_eq!(map.get(name).map_or("", |value| value.to_str().unwrap()), after);
        }
        // Claude Code 2.1.330 before an upstream of Anthropic's format.
        check(
            "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,\
             per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,\
             advanced-tool-use-2025-11-20,effort-2025-11-24",
            "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,\
             per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,\
             tool-search-tool-2025-10-19,effort-2025-11-24",
        );
        check("mcp-client-2025-11-20,skills-2025-10-02,web-search-2025-03-05", "web-search-2025-03-05");
        check("fast-mode-2026-02-01", "");
        check("new-2027-01-01", "new-2027-01-01");
    }
}
