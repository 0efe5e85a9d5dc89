//! A text in the form of a subscription token opens no configured credential where other machines may send it.

use relay_config::{Format, Loader};
use relay_tests::fakes::anthropic;
use relay_tests::{Call, PROVIDER_KEY, Relay, Upstream, passthrough, provider};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"m","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
const MADE_UP: &str = "Bearer sk-ant-oat01-made-up";

/// Returns a provider of every kind that sends a credential of the operator, at `url`.
fn providers_with_credentials(url: &str) -> Vec<Value> {
    vec![
        provider("anthropic", "anthropic", url),
        provider("zai", "zai", url),
        provider("moonshot", "moonshot", url),
        json!({"name": "compatible", "type": "anthropic_compatible", "base_url": url, "keys": [{"key": PROVIDER_KEY}]}),
        provider("azure", "azure", url),
        json!({"name": "bedrock", "type": "bedrock", "base_url": url, "aws_region": "us-east-1",
               "aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}),
        json!({"name": "bedrock-bearer", "type": "bedrock", "base_url": url, "aws_region": "us-east-1",
               "aws_bearer_token": "token"}),
        json!({"name": "vertex", "type": "vertex", "base_url": url, "gcp_project_id": "p",
               "credentials_file": "/nonexistent"}),
    ]
}

async fn relay_with(auth: Value, providers: Vec<Value>) -> Relay {
    Relay::start(&json!({"server": {"auth": auth}, "providers": providers})).await
}

/// Sends the made-up token, and returns the status.
async fn send_made_up_token(relay: &Relay) -> u16 {
    Call::messages(BODY).header("authorization", MADE_UP).send(relay.address()).await.status
}

#[tokio::test]
async fn a_made_up_token_opens_no_configured_credential_beside_a_client_key() {
    let upstream = Upstream::answering(anthropic::answer).await;
    for client_key in [
        json!({"api_key": "client-key"}),
        json!({"api_keys": [{"name": "a", "key": "client-key"}]}),
        json!({"bearer_secret": "client-key"}),
    ] {
        let mut auth = client_key;
        auth["allow_subscription"] = json!(true);
        for provider in providers_with_credentials(&upstream.url()) {
            let relay = relay_with(auth.clone(), vec![provider.clone()]).await;
            assert!(send_made_up_token(&relay).await >= 400, "{provider}");
            let files = Call::get("/v1/files").header("authorization", MADE_UP).send(relay.address()).await;
            assert!(files.status >= 400, "{provider}");
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_made_up_token_reaches_only_pass_through_beside_a_client_key() {
    let first = Upstream::answering(|_| anthropic::error(503)).await;
    let second = Upstream::answering(anthropic::answer).await;
    let auth = json!({"api_key": "client-key", "allow_subscription": true});
    let providers = vec![passthrough("first", &first.url()), provider("second", "zai", &second.url())];
    let relay = relay_with(auth, providers).await;
    assert_eq!(send_made_up_token(&relay).await, 503);
    assert_eq!((first.requests().len(), second.connections()), (1, 0));
    // The same client with a key of the relay may use the keys.
    let call = Call::messages(BODY).header("authorization", MADE_UP).header("x-api-key", "client-key");
    assert_eq!(call.send(relay.address()).await.status, 200);
}

#[tokio::test]
async fn a_subscription_alone_on_loopback_fails_over_to_keys() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let keyed = || vec![provider("a", "zai", &upstream.url())];
    let alone = relay_with(json!({"allow_subscription": true}), keyed()).await;
    assert_eq!(send_made_up_token(&alone).await, 200);
    let explicit = json!({"api_key": "k", "allow_subscription": true, "subscription_may_use_keys": true});
    assert_eq!(send_made_up_token(&relay_with(explicit, keyed()).await).await, 200);
}

#[test]
fn an_address_outside_of_loopback_or_a_client_key_closes_the_keys() {
    #[track_caller]
    fn check(server: &str, expected: bool) {
        let text = format!("server: {{ {server} }}\nproviders: [{{ name: a, type: mock }}]");
        let config = Loader::new().with_text("c", Format::Yaml, text).load().unwrap().config;
        assert_eq!(config.server.subscription_may_use_keys(), expected, "{server}");
    }
    check("auth: { allow_subscription: true }", true);
    check("listen: ['127.0.0.1:1', '[::1]:1', 'localhost:2'], auth: { allow_subscription: true }", true);
    check("listen: ['127.0.0.1:1', '0.0.0.0:1'], auth: { allow_subscription: true }", false);
    check("listen: '[::]:1', auth: { allow_subscription: true }", false);
    check("auth: { allow_subscription: true, api_key: k }", false);
    check("auth: { allow_subscription: true, api_keys: [{ name: a, key: k }] }", false);
    check("auth: { allow_subscription: true, bearer_secret: k }", false);
    check("auth: { allow_subscription: true, api_key: k, subscription_may_use_keys: true }", true);
    check("auth: { allow_subscription: true, subscription_may_use_keys: false }", false);
}

#[tokio::test]
async fn an_embedded_relay_opens_no_keys_to_a_subscription_unless_it_is_set() {
    let upstream = Upstream::answering(anthropic::answer).await;
    for (setting, is_served) in [(None, false), (Some(true), true)] {
        let mut config = json!({"server": {"auth": {"allow_subscription": true}},
                                "providers": [provider("a", "zai", &upstream.url())]});
        if let Some(setting) = setting {
            config["server"]["auth"]["subscription_may_use_keys"] = json!(setting);
        }
        let loaded = Loader::new().with_text("c", Format::Yaml, config.to_string()).load().unwrap();
        // The service that embeds the relay owns the listener, so the relay cannot know its address.
        let relay = relay_server::Relay::builder(loaded.config).without_proxy().build().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(relay_server::serve(listener, relay, std::future::pending()));
        let response = Call::messages(BODY).header("authorization", MADE_UP).send(address).await;
        assert_eq!(response.status == 200, is_served, "{setting:?}: {}", response.status);
    }
}

#[tokio::test]
async fn a_header_with_two_credentials_is_refused_before_any_upstream_is_called() {
    let upstream = Upstream::answering(anthropic::answer).await;
    for auth in [json!({}), json!({"api_key": "k", "allow_subscription": true})] {
        let relay = relay_with(auth, vec![passthrough("a", &upstream.url())]).await;
        for call in [
            Call::messages(BODY).header("x-api-key", "k").header("x-api-key", "k"),
            Call::messages(BODY).header("x-api-key", "k,sk-ant-oat01-x"),
            Call::messages(BODY).header("authorization", "Bearer k").header("Authorization", MADE_UP),
            Call::messages(BODY).header("authorization", "Bearer k, Bearer sk-ant-oat01-x"),
            Call::messages(BODY).header("authorization", "Basic eDp5, Bearer k"),
            Call::messages(BODY).header("authorization", "Bearer sk-ant-oat01-x Basic eDp5"),
            Call::get("/v1/models").header("authorization", "Bearer k,Bearer k"),
        ] {
            let response = call.send(relay.address()).await;
            assert_eq!(response.status, 401, "{call:?}");
            assert_eq!(response.json()["error"]["type"], "authentication_error");
            assert_eq!(response.headers.get("x-should-retry"), Some("false"));
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_text_that_only_starts_like_a_subscription_token_is_refused() {
    let upstream = Upstream::answering(anthropic::answer).await;
    let relay =
        relay_with(json!({"allow_subscription": true}), vec![passthrough("a", &upstream.url())]).await;
    let long = "x".repeat(4096);
    for token in
        ["sk-ant-oat", "sk-ant-oat01", "sk-ant-oat01-", "sk-ant-oat-x", "sk-ant-oat01-a.b", "sk-ant-oatx1-a"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("sk-ant-oat01-{long}")])
    {
        let call = Call::messages(BODY).header("authorization", format!("Bearer {token}"));
        assert_eq!(call.send(relay.address()).await.status, 401, "{token}");
    }
    assert_eq!(upstream.connections(), 0);
}
