//! The client's headers that reach Amazon Bedrock.

use relay_tests::fakes::bedrock::{self, ACCESS_KEY, REGION};
use relay_tests::{Call, End, Relay, Upstream};
use serde_json::json;

#[tokio::test]
async fn claude_codes_own_headers_reach_bedrock_and_the_signature_stays_valid() {
    let signed = bedrock::signed_by(ACCESS_KEY, REGION, "bedrock");
    let upstream =
        Upstream::builder().require(bedrock::rules()).require([signed]).answering(bedrock::answer).await;
    let provider = bedrock::provider(&upstream.url(), "eu.anthropic.claude-sonnet-4-5-20250929-v1:0");
    let relay = Relay::start(&json!({"providers": [provider]})).await;
    for stream in [false, true] {
        let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 8, "messages": [], "stream": stream});
        let response = Call::messages(body.to_string())
            .header("x-claude-code-session-id", "a-session")
            .header("x-claude-code-agent-id", "an-agent")
            .header("x-app", "cli")
            .header("user-agent", "claude-cli/2.1.330 (external, cli)")
            .header("x-api-key", "sk-ant-api03-of-the-client")
            .header("x-stainless-lang", "js")
            .send(relay.address())
            .await;
        assert_eq!((response.status, response.end), (200, End::Complete));
        let request = upstream.requests().pop().expect("a request");
        for (name, value) in [
            ("x-claude-code-session-id", "a-session"),
            ("x-claude-code-agent-id", "an-agent"),
            ("x-app", "cli"),
            ("user-agent", "claude-cli/2.1.330 (external, cli)"),
        ] {
            assert_eq!(request.headers.get(name), Some(value));
        }
        let signed = request.headers.get("authorization").expect("a signature");
        assert!(!signed.contains("x-claude-code") && !signed.contains("x-app"), "{signed}");
        assert!(!request.mentions("sk-ant-api03"));
    }
}
