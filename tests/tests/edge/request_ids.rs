//! The ids of requests over a listener.

use relay_tests::fakes::anthropic;
use relay_tests::{Call, Relay, Upstream, provider};
use serde_json::json;

#[tokio::test]
async fn a_client_gets_its_own_id_back_and_does_not_choose_the_relays() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay = Relay::start(&json!({"providers": [provider("a", "anthropic", &upstream.url())]})).await;
    let refused = Call::messages("{").header("x-request-id", "mine").send(relay.address()).await;
    let (id, body) = (refused.headers.get("request-id"), refused.json());
    assert!(id.is_some_and(|id| id.starts_with("req_")), "{id:?}");
    assert_eq!((refused.status, body["request_id"].as_str()), (400, id));
    assert_eq!(refused.headers.get("x-request-id"), Some("mine"));

    let message = r#"{"model":"m","max_tokens":8,"messages":[]}"#;
    let served = Call::messages(message).header("x-request-id", "mine").send(relay.address()).await;
    assert_eq!(served.headers.get("request-id"), Some(anthropic::REQUEST_ID));
    assert_eq!(served.headers.get("x-request-id"), Some("mine"));
    let plain = Call::messages(message).send(relay.address()).await;
    assert_eq!(plain.headers.get("x-request-id"), None);
}
