//! Requests with content that not every upstream accepts: the provider chosen, and the error if there is none.

use relay_tests::fakes::{anthropic, ollama, zai};
use relay_tests::{Call, Relay, Upstream, provider};
use serde_json::{Value, json};

fn body(block: &Value) -> String {
    let message = json!({"role": "user", "content": [{"type": "text", "text": "what is this?"}, block]});
    json!({"model": "claude-opus-5-5", "max_tokens": 8, "messages": [message]}).to_string()
}

fn pdf() -> Value {
    json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}})
}

/// Configures an Ollama provider with the highest priority.
fn first(upstream: &Upstream) -> Value {
    json!({"name": "local", "type": "ollama", "base_url": upstream.url(), "priority": 9,
           "model_mapping": {"*": "qwen3-coder:30b"}})
}

#[tokio::test]
async fn a_pdf_is_not_sent_to_ollama_while_another_provider_can_serve_it() {
    let local = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let other = Upstream::answering(anthropic::answer).await;
    let relay =
        Relay::start(&json!({"providers": [first(&local), provider("a", "anthropic", &other.url())]})).await;
    for block in [pdf(), json!({"type": "tool_result", "tool_use_id": "t", "content": [pdf()]})] {
        let response = Call::messages(body(&block)).send(relay.address()).await;
        assert_eq!(response.status, 200);
    }
    assert_eq!((local.requests().len(), other.requests().len()), (0, 2));
    let text = json!({"type": "text", "text": "no document"});
    let response = Call::messages(body(&text)).send(relay.address()).await;
    assert_eq!((response.status, local.requests().len()), (200, 1));
}

#[tokio::test]
async fn a_400_names_each_missing_feature_if_no_text_can_take_its_place() {
    let (local, other) = (Upstream::answering(ollama::answer).await, Upstream::answering(zai::answer).await);
    let mut zai = provider("glm", "zai", &format!("{}{}", other.url(), zai::PREFIX));
    let mut ollama = first(&local);
    for provider in [&mut zai, &mut ollama] {
        provider["capabilities"] = json!({"*": {"fields": {"tools": "refuse"}}});
    }
    let relay = Relay::start(&json!({"providers": [ollama, zai]})).await;
    let mut body: Value = serde_json::from_str(&body(&pdf())).unwrap();
    body["tools"] = json!([{"name": "t", "input_schema": {"type": "object"}}]);
    let response = Call::messages(body.to_string()).send(relay.address()).await;
    assert_eq!(response.status, 400);
    let error = &response.json()["error"];
    assert_eq!(error["type"], "invalid_request_error");
    assert_eq!(
        error["message"],
        "no provider can serve this request: `local` takes no field `tools`; `glm` takes no field `tools`"
    );
    assert_eq!((local.connections(), other.connections()), (0, 0));
}

#[tokio::test]
async fn no_image_is_fetched_from_the_relays_own_machine() {
    let local = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let private = Upstream::answering(anthropic::answer).await;
    let mut fetching = first(&local);
    fetching["fetch_images"] = json!(true);
    let relay = Relay::start(&json!({"providers": [fetching]})).await;
    let url = format!("https://{}/cat.png", private.address());
    let block = json!({"type": "image", "source": {"type": "url", "url": url},
                       "cache_control": {"type": "ephemeral"}});
    let response = Call::messages(body(&block)).send(relay.address()).await;
    assert_eq!(response.status, 200, "{:?}", response.body());
    assert_eq!(response.headers.get("x-cc-relay-replaced"), Some("image (1)"));
    let received = local.only_request().json();
    let text = format!("[an image that could not be loaded] ({url})");
    let expected = json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}});
    assert!(received["messages"].to_string().contains(&expected.to_string()), "{received}");
    assert_eq!(private.connections(), 0);
}

#[tokio::test]
async fn an_image_that_cannot_be_fetched_becomes_a_text_if_the_other_provider_has_failed() {
    let local = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let other = Upstream::answering(|_| anthropic::error(529)).await;
    let mut fetching = first(&local);
    fetching["fetch_images"] = json!(true);
    fetching["priority"] = json!(1);
    let mut preferred = provider("a", "anthropic", &other.url());
    preferred["priority"] = json!(9);
    let relay = Relay::start(&json!({"providers": [fetching, preferred]})).await;
    let sent = body(&json!({"type": "image", "source": {"type": "url", "url": "https://10.0.0.1/cat.png"}}));
    let response = Call::messages(sent).send(relay.address()).await;
    assert_eq!(response.status, 200, "{:?}", response.body());
    assert_eq!((local.requests().len(), other.requests().len()), (1, 1));
}

#[tokio::test]
async fn an_image_that_cannot_be_fetched_goes_to_a_provider_that_accepts_its_url() {
    let local = Upstream::builder().require(ollama::rules()).answering(ollama::answer).await;
    let other = Upstream::answering(anthropic::answer).await;
    let mut fetching = first(&local);
    fetching["fetch_images"] = json!(true);
    let providers = json!([fetching, provider("a", "anthropic", &other.url())]);
    let relay = Relay::start(&json!({"providers": providers})).await;
    let sent = body(&json!({"type": "image", "source": {"type": "url", "url": "http://10.0.0.1/cat.png"}}));
    let response = Call::messages(sent.clone()).send(relay.address()).await;
    assert_eq!(response.status, 200);
    assert_eq!(other.only_request().body, sent);
    assert_eq!(local.connections(), 0);
}
