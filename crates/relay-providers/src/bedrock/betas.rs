//! Which of a client's betas Bedrock takes, and under which name.

use http::HeaderMap;
use http::header::HeaderName;

pub(super) const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// The beta of `context_management`, which goes where its field goes.
pub(super) const CONTEXT_MANAGEMENT: &str = "context-management-2025-06-27";

/// What InvokeModel accepts; any other flag is a 400 "invalid beta flag". From AWS's list of betas and from what other
/// gateways send to it; which model takes which of them is not documented.
const ACCEPTED: [&str; 18] = [
    "compact-2026-01-12",
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    CONTEXT_MANAGEMENT,
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "mid-conversation-output-config-2026-07-01",
    "mid-conversation-tool-changes-2026-07-01",
    "output-128k-2025-02-19",
    "thinking-binding-controls-2026-08-01",
    "thinking-display-updates-2026-08-18",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
    "tool-search-tool-2025-10-19",
];

/// What the Messages endpoint refuses for certain. It has Anthropic's format, so that everything else passes.
const REFUSED: [&str; 7] = [
    "extended-cache-ttl-2025-04-11",
    "fast-mode-2026-02-01",
    "mcp-servers-2025-12-04",
    "oauth-2025-04-20",
    "prompt-caching-scope-2026-01-05",
    "redact-thinking-2026-02-12",
    "token-efficient-tools-2026-03-28",
];

/// Anthropic's name, and Bedrock's for the same.
const RENAMED: [(&str, &str); 1] = [("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19")];

/// The betas for the body of InvokeModel, each once, in the client's order.
pub(super) fn for_invoke(headers: &HeaderMap) -> Vec<&str> {
    collect(headers, |beta| ACCEPTED.contains(&beta))
}

/// The betas for the header of the Messages endpoint, each once, in the client's order.
pub(super) fn for_messages(headers: &HeaderMap) -> Vec<&str> {
    collect(headers, |beta| !REFUSED.contains(&beta))
}

fn collect(headers: &HeaderMap, accept: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut betas = Vec::new();
    let values = headers.get_all(ANTHROPIC_BETA).iter().filter_map(|value| value.to_str().ok());
    for beta in values.flat_map(|value| value.split(',')).map(str::trim).filter(|beta| !beta.is_empty()) {
        let beta = RENAMED.iter().find(|(from, _)| *from == beta).map_or(beta, |(_, to)| to);
        if accept(beta) && !betas.contains(&beta) {
            betas.push(beta);
        }
    }
    betas
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ANTHROPIC_BETA, HeaderValue::from_static(value));
        }
        headers
    }

    /// As Claude Code 2.1.330 sends it.
    const CLAUDE_CODE: &str = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,\
        per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,\
        advanced-tool-use-2025-11-20,effort-2025-11-24";

    #[test]
    fn invoke_gets_what_it_knows() {
        assert_eq!(
            for_invoke(&headers(&[CLAUDE_CODE])),
            [
                "interleaved-thinking-2025-05-14",
                "context-management-2025-06-27",
                "mid-conversation-tool-changes-2026-07-01",
                "tool-search-tool-2025-10-19",
                "effort-2025-11-24",
            ]
        );
        assert!(for_invoke(&headers(&[])).is_empty());
    }

    #[test]
    fn betas_are_read_from_every_line_and_sent_once() {
        let lines = headers(&[
            " effort-2025-11-24 ,, tool-search-tool-2025-10-19",
            "advanced-tool-use-2025-11-20,effort-2025-11-24",
        ]);
        assert_eq!(for_invoke(&lines), ["effort-2025-11-24", "tool-search-tool-2025-10-19"]);
    }

    #[test]
    fn the_messages_endpoint_gets_all_but_what_it_refuses() {
        let headers = headers(&["claude-code-20250219,oauth-2025-04-20,advanced-tool-use-2025-11-20"]);
        assert_eq!(for_messages(&headers), ["claude-code-20250219", "tool-search-tool-2025-10-19"]);
    }
}
