//! Azure AI Foundry.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use relay_config::{AzureAuth, AzureConfig, BaseUrl, Config, EntraConfig, ProviderConfig, ProviderKind};
use relay_tests::fakes::azure::{
    self, CLIENT, CLIENT_SECRET, FEDERATED_TOKEN, IDENTITY_HEADER, PREFIX, TENANT,
};
use relay_tests::fakes::{Reply, anthropic};
use relay_tests::{Answer, Call, Client, End, PROVIDER_KEY, Relay, Upstream, in_turn, provider};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":8, "temperature":1.0,"messages":[]}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[],"stream":true}"#;
const TOKEN: &str = "token-of-entra";

fn azure(name: &str, upstream: &Upstream) -> Value {
    provider(name, "azure", &format!("{}{PREFIX}", upstream.url()))
}

/// A provider that authenticates with Entra ID instead of a key.
fn with_entra(upstream: &Upstream) -> Value {
    json!({"name": "azure", "type": "azure", "base_url": format!("{}{PREFIX}", upstream.url()), "azure_auth": "entra_id"})
}

async fn relay(providers: &[Value]) -> Relay {
    Relay::start(&json!({"providers": providers})).await
}

async fn foundry() -> Upstream {
    Upstream::builder().require(azure::key_rules(PROVIDER_KEY)).answering(azure::answer).await
}

async fn foundry_with_token() -> Upstream {
    Upstream::builder().require(azure::token_rules(TOKEN)).answering(azure::answer).await
}

#[tokio::test]
async fn a_request_has_the_key_in_both_headers_and_is_otherwise_unchanged() {
    let upstream = foundry().await;
    let relay = relay(&[azure("azure", &upstream)]).await;
    let call = Call::messages(BODY)
        .header("x-api-key", "sk-ant-api03-of-the-client")
        .header("api-key", "of-the-client")
        .header("anthropic-beta", "claude-code-20250219,oauth-2025-04-20,advanced-tool-use-2025-11-20");
    let response = call.send(relay.address()).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.headers.get("apim-request-id"), Some(azure::REQUEST_ID));
    let request = upstream.only_request();
    assert_eq!(request.target, "/anthropic/v1/messages?beta=true");
    assert_eq!(request.body, BODY);
    assert_eq!(request.header("anthropic-version"), "2023-06-01");
    assert_eq!(request.header("anthropic-beta"), "claude-code-20250219,advanced-tool-use-2025-11-20");
}

#[tokio::test]
async fn a_configured_version_is_sent_and_models_are_mapped() {
    let upstream = foundry().await;
    let mut provider = azure("azure", &upstream);
    provider["azure_api_version"] = json!("2024-06-01");
    provider["model_mapping"] = json!({"claude-opus-*": "my-deployment"});
    let relay = relay(&[provider]).await;
    let call = Call::post("/v1/messages/count_tokens").header("anthropic-version", "2023-06-01").json(BODY);
    let response = call.send(relay.address()).await;
    assert_eq!(response.json(), json!({"input_tokens": 2095}));
    let request = upstream.only_request();
    assert_eq!(request.target, "/anthropic/v1/messages/count_tokens?api-version=2024-06-01");
    assert_eq!(request.body, BODY.replace("claude-opus-5-5", "my-deployment"));
}

#[tokio::test]
async fn a_stream_passes_event_by_event() {
    let upstream = Upstream::builder().require(azure::key_rules(PROVIDER_KEY)).manual().await;
    let relay = relay(&[azure("azure", &upstream)]).await;
    let mut client = Client::connect(relay.address()).await;
    client.call(&Call::messages(STREAMED)).await;
    let (mut connection, _) = upstream.exchange().await;
    connection.send_head(&Answer::event_stream()).await;
    for event in Reply::new("claude-opus-5-5").text("one event at a time").events() {
        connection.send_chunk(&event).await;
        if client.end().is_none() && event.starts_with(b"event: message_start") {
            client.head().await;
        }
        client.expect(&event).await;
    }
    connection.send_last_chunk().await;
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.end(), Some(End::Complete));
}

#[tokio::test]
async fn an_error_of_the_model_is_unchanged_and_an_error_of_the_gateway_is_translated() {
    let too_long =
        anthropic::error_with(400, "invalid_request_error", "prompt is too long: 2 tokens > 1 maximum");
    let gateway = azure::gateway_error(404, "DeploymentNotFound", "The API deployment does not exist.");
    let upstream = Upstream::answering(in_turn([too_long, gateway])).await;
    let relay = relay(&[azure("azure", &upstream)]).await;

    let response = Call::messages(BODY).send(relay.address()).await;
    let error =
        json!({"type": "invalid_request_error", "message": "prompt is too long: 2 tokens > 1 maximum"});
    let expected = json!({"type": "error", "error": error, "request_id": anthropic::REQUEST_ID});
    assert_eq!((response.status, response.body()), (400, expected.to_string().into()));

    let response = Call::messages(BODY).send(relay.address()).await;
    let body = response.json();
    assert_eq!((response.status, &body["error"]["type"]), (404, &json!("not_found_error")));
    assert_eq!(body["request_id"], azure::REQUEST_ID);
    let message = body["error"]["message"].as_str().expect("a message");
    assert!(message.contains("`claude-opus-5-5`") && message.contains("model_mapping"), "{message}");
}

#[tokio::test]
async fn errors_of_the_deployment_or_credentials_lead_to_the_next_provider() {
    for (status, code) in [
        (401, "401"),
        (403, "AuthorizationFailed"),
        (401, "invalid_model_endpoint_authentication"),
        (404, "DeploymentNotFound"),
        (400, "api_not_supported"),
        (429, "RateLimitReached"),
    ] {
        let first = Upstream::answering(in_turn([azure::gateway_error(status, code, "no")])).await;
        let second = Upstream::answering(anthropic::answer).await;
        let relay = relay(&[azure("azure", &first), provider("next", "anthropic", &second.url())]).await;
        let response = Call::messages(BODY).send(relay.address()).await;
        assert_eq!(response.status, 200, "{code}: {:?}", response.body());
        assert_eq!((first.requests().len(), second.requests().len()), (1, 1), "{code}");
    }
}

#[tokio::test]
async fn a_client_secret_is_exchanged_for_one_token() {
    let entra = Upstream::answering(|request| azure::entra(request, TOKEN, 3600)).await;
    let upstream = foundry_with_token().await;
    let authority = entra.url();
    let environment = azure::client_secret(&authority);
    let relay = Relay::start_with_env(&environment, &json!({"providers": [with_entra(&upstream)]})).await;
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let address = relay.address();
            tokio::spawn(async move { Call::messages(BODY).send(address).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 200);
    }
    assert_eq!((entra.requests().len(), upstream.requests().len()), (1, 8));
}

#[tokio::test]
async fn a_workload_identity_reads_its_file_again_for_each_token() {
    let entra = Upstream::answering(|request| azure::entra(request, TOKEN, 3600)).await;
    let upstream = foundry_with_token().await;
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let (authority, path) = (entra.url(), file.path().to_str().expect("a path").to_owned());
    let environment = [
        ("AZURE_AUTHORITY_HOST", &*authority),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_FEDERATED_TOKEN_FILE", &*path),
    ];
    let config = json!({"providers": [with_entra(&upstream)]});
    let relay = Relay::start_with_env(&environment, &config).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    assert_eq!(response.status, 502);
    let message = response.json()["error"]["message"].to_string();
    assert!(message.contains("holds no subject token"), "{message}");

    std::fs::write(file.path(), format!("{FEDERATED_TOKEN}\n")).expect("a file");
    let relay = Relay::start_with_env(&environment, &config).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
}

#[tokio::test]
async fn a_managed_identity_uses_the_endpoint_of_its_hosting_service() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let service = Upstream::answering(move |request| azure::app_service(request, TOKEN, now + 3600)).await;
    let upstream = foundry_with_token().await;
    let endpoint = format!("{}/msi/token", service.url());
    let environment = [
        ("IDENTITY_ENDPOINT", &*endpoint),
        ("IDENTITY_HEADER", IDENTITY_HEADER),
        ("AZURE_CLIENT_ID", CLIENT),
    ];
    let relay = Relay::start_with_env(&environment, &json!({"providers": [with_entra(&upstream)]})).await;
    for _ in 0..2 {
        assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    }
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn the_instance_metadata_service_is_the_default_token_endpoint() {
    let service = Upstream::answering(|request| azure::instance_metadata(request, TOKEN, 86_400)).await;
    let upstream = foundry_with_token().await;
    let endpoint = format!("{}/metadata/identity/oauth2/token", service.url());
    let entra =
        EntraConfig::managed_identity().with_endpoint(BaseUrl::parse(&endpoint).expect("a URL"), None);
    let base_url = BaseUrl::parse(&format!("{}{PREFIX}", upstream.url())).expect("a URL");
    let kind = ProviderKind::Azure(AzureConfig::new(base_url, AzureAuth::EntraId(entra)));
    let relay = Relay::serve(Config::new([ProviderConfig::new("azure", kind)])).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let entra = Upstream::answering(move |request| {
        let number = tokens.fetch_add(1, Ordering::Relaxed);
        azure::entra(request, &format!("token-{number}"), 3600)
    });
    let entra = entra.await;
    let revoked = Arc::new(Mutex::new("Bearer token-0".to_owned()));
    let upstream = {
        let revoked = Arc::clone(&revoked);
        Upstream::answering(move |request| {
            let sent = request.header("authorization");
            match sent == *revoked.lock().expect("no panic") || revoked.lock().expect("no panic").is_empty() {
                true => azure::gateway_error(401, "401", "The token is expired"),
                false => azure::answer(request),
            }
        })
    };
    let upstream = upstream.await;
    let authority = entra.url();
    let environment = azure::client_secret(&authority);
    let relay = Relay::start_with_env(&environment, &json!({"providers": [with_entra(&upstream)]})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    assert_eq!((entra.requests().len(), upstream.requests().len()), (2, 2));

    // Every token is refused now: the relay retries once, and keeps the new token for a while.
    revoked.lock().expect("no panic").clear();
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 502);
    assert_eq!((entra.requests().len(), upstream.requests().len()), (2, 4));
}

#[tokio::test]
async fn a_refused_credential_appears_in_no_error_and_the_next_provider_answers() {
    let entra = Upstream::answering(|request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        Answer::json(
            401,
            &json!({"error": "invalid_client", "error_description": format!("AADSTS7000215: {form} {CLIENT_SECRET}")}),
        )
    });
    let entra = entra.await;
    let upstream = foundry_with_token().await;
    let authority = entra.url();
    let environment = azure::client_secret(&authority);
    let relay = Relay::start_with_env(&environment, &json!({"providers": [with_entra(&upstream)]})).await;
    let response = Call::messages(BODY).send(relay.address()).await;
    let message = response.json()["error"]["message"].to_string();
    assert_eq!((response.status, response.headers.get("x-should-retry")), (502, Some("false")));
    assert!(message.contains("401") && message.contains("invalid_client"), "{message}");
    assert!(!message.contains(CLIENT_SECRET), "{message}");

    let second = Upstream::answering(anthropic::answer).await;
    let providers = [with_entra(&upstream), provider("next", "anthropic", &second.url())];
    let relay = Relay::start_with_env(&environment, &json!({"providers": providers})).await;
    assert_eq!(Call::messages(BODY).send(relay.address()).await.status, 200);
    assert_eq!((upstream.requests().len(), second.requests().len()), (0, 1));
}
