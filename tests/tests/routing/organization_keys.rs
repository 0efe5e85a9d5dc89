//! Keys of one organization: an account without money is a failure of all of them, a rejected key only of itself.

use relay_tests::fakes::{anthropic, zai};
use relay_tests::{Answer, Call, Relay, Request, Upstream, provider};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"m","max_tokens":8,"messages":[]}"#;

/// Answers requests with a key that begins with `poor` by `answer`, and others well.
fn poor(answer: Answer) -> impl Fn(&Request) -> Answer + Send + Sync {
    move |request| {
        let is_poor = ["x-api-key", "authorization"]
            .iter()
            .any(|name| request.headers.get(name).is_some_and(|value| value.contains("poor")));
        if is_poor { answer.clone() } else { anthropic::answer_with("hello")(request) }
    }
}

/// Starts a relay whose provider has two keys of `organization` and a third key of another one.
async fn relay(kind: &str, upstream: &Upstream, organization: Option<&str>) -> Relay {
    let key = |key: &str, priority: u32, organization: Option<&str>| {
        let mut key = json!({"key": key, "priority": priority});
        if let Some(organization) = organization {
            key["organization"] = json!(organization);
        }
        key
    };
    let mut provider = provider("p", kind, &upstream.url());
    provider["keys"] = Value::from(vec![
        key("poor-1", 9, organization),
        key("poor-2", 8, organization),
        key("rich", 1, Some("other")),
    ]);
    Relay::start(&json!({"providers": [provider]})).await
}

async fn send(relay: &Relay) -> u16 {
    Call::messages(BODY).send(relay.address()).await.status
}

#[tokio::test]
async fn keys_of_an_organization_without_money_rest_together() {
    let credit = "Your credit balance is too low to access the Anthropic API.";
    for (kind, answer) in [
        ("anthropic", anthropic::error_with(400, "invalid_request_error", credit)),
        ("anthropic", Answer::sse([relay_tests::sse::error("invalid_request_error", credit)])),
        ("anthropic", anthropic::error(402)),
        ("zai", zai::error(429, "1113", "Insufficient balance or no resource package.")),
        ("minimax", anthropic::error_with(500, "api_error", "insufficient balance (1008)")),
        ("deepseek", Answer::json(402, &json!({"error": {"message": "Insufficient Balance"}}))),
    ] {
        let upstream = Upstream::answering(poor(answer)).await;
        let relay = relay(kind, &upstream, Some("ours")).await;
        assert_eq!(send(&relay).await, 200, "{kind}");
        assert_eq!(upstream.requests().len(), 2, "{kind}: the second key of the organization is not tried");
        assert_eq!(send(&relay).await, 200, "{kind}");
        assert_eq!(upstream.requests().len(), 3, "{kind}: both keys rest");
    }
}

#[tokio::test]
async fn keys_without_an_organization_and_rejected_keys_rest_alone() {
    let no_money = anthropic::error_with(400, "invalid_request_error", "Your credit balance is too low.");
    for (answer, organization) in [(no_money, None), (anthropic::error(401), Some("ours"))] {
        let upstream = Upstream::answering(poor(answer)).await;
        let relay = relay("anthropic", &upstream, organization).await;
        assert_eq!(send(&relay).await, 200);
        assert_eq!(upstream.requests().len(), 3, "each key is tried");
        assert_eq!(send(&relay).await, 200);
        assert_eq!(upstream.requests().len(), 4, "both keys rest");
    }
}
