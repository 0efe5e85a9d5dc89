//! The trace headers of a client, at upstreams of a relay without traces of its own.

use relay_tests::{Answer, Call, Relay, Upstream, provider};
use serde_json::json;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const BODY: &str = r#"{"model":"claude-a","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#;

/// Sends a request with these headers, and returns those of the upstream's with the names of W3C Trace Context.
async fn forwarded(call: Call, headers: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []});
    let upstream = Upstream::answering(move |_| Answer::json(200, &message)).await;
    let mut config = provider("a", "anthropic", &upstream.url());
    config["forward_headers"] = json!(["traceparent"]);
    let relay = Relay::start(&json!({ "providers": [config] })).await;
    let call = headers.iter().fold(call, |call, (name, value)| call.header(name, *value));
    assert_eq!(call.send(relay.address()).await.status, 200);
    let request = upstream.only_request();
    let names = ["traceparent", "tracestate"].into_iter();
    names
        .flat_map(|name| request.headers.all(name).map(|value| (name, value.to_owned())).collect::<Vec<_>>())
        .collect()
}

#[tokio::test]
async fn valid_trace_headers_are_forwarded_unchanged() {
    let sent = [("traceparent", PARENT), ("tracestate", "a=1,b=2")];
    let expected = [("traceparent", PARENT.to_owned()), ("tracestate", "a=1,b=2".to_owned())];
    assert_eq!(forwarded(Call::messages(BODY), &sent).await, expected);
    // A path that is forwarded without reading its body.
    assert_eq!(forwarded(Call::get("/v1/files"), &sent).await, expected);
}

#[tokio::test]
async fn malformed_trace_headers_are_not_forwarded() {
    for sent in [
        vec![("traceparent", "00-0-0-01"), ("tracestate", "a=1")],
        vec![("tracestate", "a=1")],
        vec![("traceparent", PARENT), ("traceparent", PARENT)],
        vec![],
    ] {
        assert_eq!(forwarded(Call::messages(BODY), &sent).await, [], "{sent:?}");
    }
}
