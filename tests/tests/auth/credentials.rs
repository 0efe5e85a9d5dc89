//! The credentials that each upstream receives, and those that it must not receive.

use relay_tests::fakes::anthropic::{self, Credential};
use relay_tests::fakes::{ollama, zai};
use relay_tests::{Call, PROVIDER_KEY, Relay, Response, Rule, Upstream, passthrough, provider, rule};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"glm-5.3","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
const CLIENTS_KEY: &str = "sk-ant-api03-of-the-client";
const SUBSCRIPTION: &str = "sk-ant-oat01-of-the-client";
const RELAY_KEY: &str = "key-for-using-the-relay";

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A rule that forbids the client's credentials and its key for the relay anywhere in the request.
fn nothing_of_the_clients() -> Rule {
    Rule::new(|request| {
        let secrets = [CLIENTS_KEY, SUBSCRIPTION, RELAY_KEY, "sk-ant-oat", "managed-by-cc-relay"];
        match secrets.into_iter().find(|secret| request.mentions(secret)) {
            None => Ok(()),
            Some(secret) => Err(format!("{secret} was sent")),
        }
    })
}

async fn upstream_with(credential: Credential) -> Upstream {
    Upstream::builder().require(anthropic::rules(credential)).answering(anthropic::answer).await
}

/// An upstream that requires the relay's own key and refuses every credential of the client.
async fn upstream_for_our_key() -> Upstream {
    let rules = anthropic::rules(Credential::Key(PROVIDER_KEY)).into_iter().chain([nothing_of_the_clients()]);
    Upstream::builder().require(rules).answering(anthropic::answer).await
}

async fn relay_with(auth: Value, providers: Vec<Value>) -> Relay {
    Relay::start(&json!({"server": {"auth": auth}, "providers": providers})).await
}

#[track_caller]
fn assert_refused(response: &Response) {
    assert_eq!(response.status, 401);
    let body = response.json();
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&json!("error"), &json!("authentication_error")),
        "{body}"
    );
    assert_eq!(body["request_id"], response.headers.get("request-id").expect("a request id"));
    // Without this header, Claude Code retries for three minutes.
    assert_eq!(response.headers.get("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn our_key_replaces_both_headers_of_the_client() {
    let upstream = upstream_for_our_key().await;
    let relay = relay_with(json!({}), vec![provider("a", "anthropic", &upstream.url())]).await;
    for call in [
        Call::messages(BODY),
        Call::messages(BODY).header("x-api-key", CLIENTS_KEY),
        Call::messages(BODY).header("Authorization", bearer(CLIENTS_KEY)),
        Call::messages(BODY).header("X-Api-Key", CLIENTS_KEY).header("authorization", bearer("another")),
        Call::messages(BODY).header("x-api-key", "managed-by-cc-relay"),
        Call::messages(BODY).header("authorization", bearer("managed-by-cc-relay")),
        Call::messages(BODY).header("cookie", format!("session={CLIENTS_KEY}")),
        Call::messages(BODY).header("proxy-authorization", bearer(CLIENTS_KEY)),
    ] {
        assert_eq!(call.send(relay.address()).await.status, 200, "{call:?}");
    }
    assert_eq!(upstream.requests().len(), 8);
    upstream.assert_clean();
}

#[tokio::test]
async fn the_clients_key_for_the_relay_is_accepted_in_either_header_and_not_forwarded() {
    let upstream = upstream_for_our_key().await;
    let auth = json!({"api_key": RELAY_KEY});
    let relay = relay_with(auth, vec![provider("a", "anthropic", &upstream.url())]).await;
    for call in [
        Call::messages(BODY).header("x-api-key", RELAY_KEY),
        Call::messages(BODY).header("authorization", bearer(RELAY_KEY)),
        Call::messages(BODY).header("x-api-key", RELAY_KEY).header("authorization", bearer("something else")),
        Call::messages(BODY).header("x-api-key", "something else").header("authorization", bearer(RELAY_KEY)),
    ] {
        assert_eq!(call.send(relay.address()).await.status, 200, "{call:?}");
    }
    upstream.assert_clean();
}

#[tokio::test]
async fn a_client_without_a_valid_key_is_refused_before_any_upstream_is_called() {
    let upstream = upstream_for_our_key().await;
    let auth = json!({"api_key": RELAY_KEY});
    let relay = relay_with(auth, vec![provider("a", "anthropic", &upstream.url())]).await;
    let prefix = &RELAY_KEY[..RELAY_KEY.len() - 1];
    for call in [
        Call::messages(BODY),
        Call::messages(BODY).header("x-api-key", ""),
        Call::messages(BODY).header("x-api-key", prefix),
        Call::messages(BODY).header("x-api-key", format!("{RELAY_KEY}x")),
        Call::messages(BODY).header("authorization", RELAY_KEY),
        Call::messages(BODY).header("authorization", bearer("wrong")),
        Call::messages(BODY).header("authorization", bearer(SUBSCRIPTION)),
        Call::messages(BODY).header("cookie", format!("x-api-key={RELAY_KEY}")),
        Call::get("/v1/models"),
        Call::get("/v1/providers"),
        Call::post("/v1/messages/count_tokens").json(BODY),
        Call::get("/v1/files"),
    ] {
        let response = call.send(relay.address()).await;
        assert_refused(&response);
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn named_keys_and_the_bearer_secret_are_accepted() {
    let upstream = upstream_for_our_key().await;
    let auth = json!({"api_keys": [{"name": "one", "key": "key-one"}, {"name": "two", "key": "key-two"}],
                      "bearer_secret": "a-bearer-secret"});
    let relay = relay_with(auth, vec![provider("a", "anthropic", &upstream.url())]).await;
    for (header, value, status) in [
        ("x-api-key", "key-one".to_owned(), 200),
        ("authorization", bearer("key-two"), 200),
        ("authorization", bearer("a-bearer-secret"), 200),
        ("x-api-key", "key-three".to_owned(), 401),
    ] {
        let response = Call::messages(BODY).header(header, &value).send(relay.address()).await;
        assert_eq!(response.status, status, "{header}: {value}");
    }
}

#[tokio::test]
async fn the_subscription_beta_is_sent_only_with_a_subscription_token() {
    let betas = "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14";
    let call =
        || Call::messages(BODY).header("authorization", bearer(SUBSCRIPTION)).header("anthropic-beta", betas);

    let upstream = upstream_for_our_key().await;
    let relay = relay_with(json!({}), vec![provider("a", "anthropic", &upstream.url())]).await;
    assert_eq!(call().send(relay.address()).await.status, 200);
    let ours = upstream.only_request();
    assert_eq!(ours.header("anthropic-beta"), "claude-code-20250219,interleaved-thinking-2025-05-14");

    let upstream = upstream_with(Credential::Bearer(SUBSCRIPTION)).await;
    let relay =
        relay_with(json!({"allow_subscription": true}), vec![passthrough("a", &upstream.url())]).await;
    assert_eq!(call().send(relay.address()).await.status, 200);
    assert_eq!(upstream.only_request().header("anthropic-beta"), betas);
}

#[tokio::test]
async fn a_subscription_token_passes_through_unchanged_if_allowed() {
    let upstream = upstream_with(Credential::Bearer(SUBSCRIPTION)).await;
    let auth = json!({"api_key": RELAY_KEY, "allow_subscription": true});
    let relay = relay_with(auth, vec![passthrough("a", &upstream.url())]).await;

    let call = Call::messages(BODY).header("authorization", bearer(SUBSCRIPTION));
    assert_eq!(call.send(relay.address()).await.status, 200);
    upstream.assert_clean();
}

#[tokio::test]
async fn a_subscription_token_is_preferred_to_the_keys_of_its_provider() {
    let upstream = upstream_with(Credential::Bearer(SUBSCRIPTION)).await;
    let mut both = provider("a", "anthropic", &upstream.url());
    both["passthrough"] = json!(true);
    let relay = relay_with(json!({"allow_subscription": true}), vec![both]).await;

    let call = Call::messages(BODY).header("authorization", bearer(SUBSCRIPTION));
    assert_eq!(call.send(relay.address()).await.status, 200);
    upstream.assert_clean();
}

#[tokio::test]
async fn client_credentials_pass_through_without_client_auth_and_keys() {
    for (header, value, credential) in [
        ("x-api-key", CLIENTS_KEY.to_owned(), Credential::Key(CLIENTS_KEY)),
        ("authorization", bearer(CLIENTS_KEY), Credential::Bearer(CLIENTS_KEY)),
        ("authorization", bearer(SUBSCRIPTION), Credential::Bearer(SUBSCRIPTION)),
    ] {
        let upstream = upstream_with(credential).await;
        let relay = relay_with(json!({}), vec![passthrough("a", &upstream.url())]).await;
        let response = Call::messages(BODY).header(header, &value).send(relay.address()).await;
        assert_eq!(response.status, 200, "{header}: {value}");
        upstream.assert_clean();
    }
}

#[tokio::test]
async fn a_key_for_the_relay_does_not_pass_through() {
    let rules = || [nothing_of_the_clients()];
    let upstream = Upstream::builder().require(rules()).answering(anthropic::answer).await;
    let relay = relay_with(json!({"api_key": RELAY_KEY}), vec![passthrough("a", &upstream.url())]).await;
    for call in [
        Call::messages(BODY).header("x-api-key", RELAY_KEY),
        Call::messages(BODY).header("authorization", bearer(RELAY_KEY)),
        // One header admits the client. The other is not a subscription token, and clients are authenticated here.
        Call::messages(BODY).header("x-api-key", RELAY_KEY).header("authorization", bearer(CLIENTS_KEY)),
    ] {
        let response = call.send(relay.address()).await;
        assert!(response.status >= 400, "{call:?}: {}", response.status);
    }
    upstream.assert_clean();
}

#[tokio::test]
async fn the_placeholder_does_not_pass_through() {
    let upstream = Upstream::builder().require([nothing_of_the_clients()]).answering(anthropic::answer).await;
    let relay = relay_with(json!({}), vec![passthrough("a", &upstream.url())]).await;
    for call in [
        Call::messages(BODY).header("x-api-key", "managed-by-cc-relay"),
        Call::messages(BODY).header("authorization", bearer("managed-by-cc-relay")),
    ] {
        assert!(call.send(relay.address()).await.status >= 400);
    }
    upstream.assert_clean();
}

#[tokio::test]
async fn a_subscription_token_reaches_only_a_pass_through_provider() {
    let cases: [(&str, &str, Vec<Rule>); 8] = [
        ("anthropic", "", anthropic::rules(Credential::Key(PROVIDER_KEY))),
        ("zai", zai::PREFIX, zai::rules(PROVIDER_KEY)),
        ("ollama", "", ollama::rules()),
        ("minimax", "", anthropic::rules(Credential::Bearer(PROVIDER_KEY))),
        ("moonshot", "", anthropic::rules(Credential::Bearer(PROVIDER_KEY))),
        ("deepseek", "", anthropic::rules(Credential::Key(PROVIDER_KEY))),
        ("openrouter", "", anthropic::rules(Credential::Bearer(PROVIDER_KEY))),
        ("anthropic_compatible", "", anthropic::rules(Credential::Key(PROVIDER_KEY))),
    ];
    for (kind, prefix, rules) in cases {
        let rules = rules.into_iter().chain([nothing_of_the_clients()]);
        let upstream = Upstream::builder().require(rules).answering(move |request| match kind {
            "zai" => zai::answer(request),
            "ollama" => ollama::answer(request),
            _ => anthropic::answer(request),
        });
        let upstream = upstream.await;
        let url = format!("{}{prefix}", upstream.url());
        let relay = relay_with(json!({"allow_subscription": true}), vec![provider("a", kind, &url)]).await;
        for call in [
            Call::messages(BODY).header("authorization", bearer(SUBSCRIPTION)),
            Call::messages(BODY).header("x-api-key", SUBSCRIPTION),
        ] {
            let response = call.send(relay.address()).await;
            assert_eq!(response.status, 200, "{kind}: {:?}", response.body());
        }
        upstream.assert_clean();
    }
}

#[tokio::test]
async fn a_subscription_token_is_not_sent_to_the_next_provider() {
    let first = Upstream::builder().require(anthropic::rules(Credential::Bearer(SUBSCRIPTION)));
    let first = first.answering(|_| anthropic::error(503)).await;
    let rules = zai::rules(PROVIDER_KEY).into_iter().chain([nothing_of_the_clients()]);
    let second = Upstream::builder().require(rules).answering(zai::answer).await;
    let mut first_provider = passthrough("first", &first.url());
    first_provider["priority"] = json!(2);
    let second_provider = provider("second", "zai", &format!("{}{}", second.url(), zai::PREFIX));
    let relay = relay_with(json!({"allow_subscription": true}), vec![first_provider, second_provider]).await;

    let call = Call::messages(BODY).header("authorization", bearer(SUBSCRIPTION));
    assert_eq!(call.send(relay.address()).await.status, 200);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    second.assert_clean();
}

#[tokio::test]
async fn a_subscription_token_uses_no_keys_if_that_is_forbidden() {
    let upstream = upstream_for_our_key().await;
    let auth = json!({"allow_subscription": true, "subscription_may_use_keys": false});
    let relay = relay_with(auth, vec![provider("a", "anthropic", &upstream.url())]).await;

    let call = Call::messages(BODY).header("authorization", bearer(SUBSCRIPTION));
    let response = call.send(relay.address()).await;
    assert!(response.status >= 400, "{}", response.status);
    assert_eq!(response.json()["type"], "error");
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_compatible_endpoint_receives_its_key_as_configured() {
    let cases = [
        ("x-api-key", anthropic::rules(Credential::Key(PROVIDER_KEY))),
        ("bearer", anthropic::rules(Credential::Bearer(PROVIDER_KEY))),
        ("none", vec![rule::without("x-api-key"), rule::without("authorization")]),
    ];
    for (auth, rules) in cases {
        let upstream = Upstream::builder().require(rules).answering(anthropic::answer).await;
        let mut provider = provider("a", "anthropic_compatible", &upstream.url());
        provider["auth"] = json!(auth);
        if auth == "none" {
            provider["keys"] = json!([]);
        }
        let relay = relay_with(json!({}), vec![provider]).await;
        let response = Call::messages(BODY).header("x-api-key", CLIENTS_KEY).send(relay.address()).await;
        assert_eq!(response.status, 200, "{auth}");
        upstream.assert_clean();
    }
}
