//! The address of the upstream in the record of each attempt.

use relay_tests::{Answer, Call, Records, Relay, Upstream, minimal_provider, within_limit};
use serde_json::json;

use super::kinds::{KINDS, OneKind, both_ways};

/// Returns the address of each attempt at the next request that ends.
async fn addresses(records: &mut Records) -> Vec<Option<(String, u16)>> {
    let record = within_limit("end of a request", records.recv()).await.expect("a record");
    let addresses = record.attempts.iter().map(|attempt| attempt.address.as_ref());
    addresses.map(|address| address.map(|address| (address.host().to_owned(), address.port()))).collect()
}

fn loopback(port: u16) -> Option<(String, u16)> {
    Some(("127.0.0.1".to_owned(), port))
}

#[tokio::test]
async fn attempts_at_every_kind_of_provider_have_the_address_of_the_upstream() {
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    let good = json!({"type": "message", "content": [], "model": "m"});
    let answers = vec![Answer::json(529, &overloaded), Answer::json(200, &good)];
    for kind in KINDS {
        let mut one = OneKind::new(kind, answers.clone(), false).await;
        let expected = loopback(one.upstream.address().port());
        for _ in one.send_cases(both_ways(answers.len())).await {
            let found = addresses(&mut one.records).await;
            assert!(!found.is_empty() && found.iter().all(|found| *found == expected), "{kind}: {found:?}");
        }
    }
}

#[tokio::test]
async fn an_attempt_without_a_connection_and_a_forwarded_request_have_the_address_too() {
    let (_socket, refusing) = Upstream::refusing();
    let busy = Upstream::answering(|_| Answer::new(503)).await;
    let mut first = minimal_provider("a", "anthropic", &busy.url());
    first["priority"] = json!(2);
    let second = minimal_provider("b", "anthropic", &format!("http://{refusing}"));
    let (relay, mut records) = Relay::start_recorded(&json!({"providers": [first, second]})).await;

    let body = r#"{"model":"claude-a","max_tokens":8,"messages":[]}"#;
    Call::messages(body).send(relay.address()).await;
    let expected = [loopback(busy.address().port()), loopback(refusing.port())];
    assert_eq!(addresses(&mut records).await, expected);

    Call::get("/v1/files").send(relay.address()).await;
    assert_eq!(addresses(&mut records).await, expected[..1]);
}

#[tokio::test]
async fn an_attempt_whose_request_was_not_sent_has_no_address() {
    let upstream = Upstream::answering(|_| Answer::new(200)).await;
    let mut provider = minimal_provider("a", "anthropic", &upstream.url());
    // Without a key, only a credential of the client could be sent.
    (provider["keys"], provider["passthrough"]) = (json!([]), json!(true));
    let (relay, mut records) = Relay::start_recorded(&json!({"providers": [provider]})).await;
    let body = r#"{"model":"claude-a","max_tokens":8,"messages":[]}"#;
    let response = Call::messages(body).send(relay.address()).await;
    assert!(response.status >= 400, "{response:?}");
    assert!(addresses(&mut records).await.iter().all(Option::is_none));
    assert!(upstream.requests().is_empty());
}
