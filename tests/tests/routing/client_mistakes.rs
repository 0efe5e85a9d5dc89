//! A client's own mistake changes nothing for other requests: no circuit opens and no key rests, at every kind, for every
//! status and form of the refusal.

use relay_tests::fakes::anthropic;
use relay_tests::{Answer, Call, Relay, Request, Upstream, minimal_provider};
use serde_json::json;

const KINDS: [&str; 8] =
    ["anthropic", "zai", "ollama", "minimax", "moonshot", "deepseek", "openrouter", "anthropic_compatible"];
const STATUSES: [u16; 8] = [400, 405, 409, 412, 413, 414, 415, 422];
const GOOD: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[]}"#;

/// The forms of a refusal with this status.
fn refusals(status: u16) -> [Answer; 5] {
    let message = "messages.0: \"your credit balance is too low\" is not valid here";
    [
        anthropic::error_with(status, "invalid_request_error", message),
        Answer::json(status, &json!({"error": {"message": message, "code": "invalid_parameter"}})),
        Answer::json(status, &json!({ "detail": message })),
        Answer::text(status, "text/html", "<html><title>No</title></html>"),
        Answer::new(status),
    ]
}

#[tokio::test]
async fn a_refused_request_leaves_circuit_and_key_as_they_were() {
    for kind in KINDS {
        let upstream = Upstream::answering(move |request: &Request| {
            let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
            let Some((status, form)) = model.strip_prefix("bad-").and_then(|rest| rest.split_once('-'))
            else {
                return anthropic::answer_with("good")(request);
            };
            let [status, form] = [status, form].map(|number| number.parse::<u16>().expect("a number"));
            refusals(status)[usize::from(form)].clone()
        })
        .await;
        let mut only = minimal_provider("only", kind, &upstream.url());
        if kind != "ollama" {
            only["keys"] = json!([{"key": "key-1"}]);
        }
        let breaker = json!({"failure_threshold": 1, "open_duration_ms": 3_600_000});
        let health = json!({"circuit_breaker": breaker, "health_check": {"enabled": false}});
        let relay = Relay::start(&json!({"providers": [only], "health": health})).await;
        for status in STATUSES {
            for form in 0..refusals(status).len() {
                let body = GOOD.replace("claude-opus-5-5", &format!("bad-{status}-{form}"));
                let refused = Call::messages(body).send(relay.address()).await;
                assert_eq!(refused.status, status, "{kind}, form {form}: {:?}", refused.body());
                assert_eq!(refused.json()["type"], "error", "{kind} {status}, form {form}");
            }
            let good = Call::messages(GOOD).send(relay.address()).await;
            assert_eq!((good.status, good.text().as_str()), (200, "good"), "{kind} after {status}");
        }
    }
}
