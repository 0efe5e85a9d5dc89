//! A relay inside another service opens no configured key to an invented subscription token, unless its caller states that only
//! this machine can reach it.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use relay_config::{
    BaseUrl, ClientAuth, ClientKey, Config, Format, KeyConfig, ListenAddress, Loader, ProviderConfig,
    ProviderKind, Secret, ServerConfig,
};
use relay_server::Relay;
use relay_tests::fakes::anthropic;
use relay_tests::{PROVIDER_KEY, Upstream, provider};
use serde_json::{Value, json};
use tower::ServiceExt;

const BODY: &str = r#"{"model":"m","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
const INVENTED: &str = "Bearer sk-ant-oat01-invented";

/// Sends `request` to `relay` with the invented token, and returns the status.
async fn send(relay: &Relay, request: http::request::Builder, body: &'static str) -> u16 {
    let request = request.header("authorization", INVENTED).header("host", "localhost");
    let response = relay.clone().oneshot(request.body(Full::from(body)).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let _: Bytes = response.into_body().collect().await.unwrap().to_bytes();
    status
}

/// Asserts the use of the configured keys with every spelling of `auth`, the setting, the listener, and the statement.
async fn check(auth_in_file: Value, auth: ClientAuth) {
    let upstream = Upstream::answering(anthropic::answer).await;
    for setting in [None, Some(true), Some(false)] {
        // The listener of the configuration has no influence: the service has its own.
        let (listen, other) = (("127.0.0.1", 8787), ("0.0.0.0", 8787));
        let in_file = from_file(&auth_in_file, setting, listen, &upstream.url());
        let auth = setting.into_iter().fold(auth.clone(), ClientAuth::with_subscription_may_use_keys);
        let in_code = from_code(auth.clone(), other, &upstream.url());
        for (config, stated) in [&in_file, &in_code]
            .into_iter()
            .flat_map(|config| [None, Some(false), Some(true)].map(|stated| (config, stated)))
        {
            let builder = Relay::builder(config.clone()).without_proxy();
            let relay = match stated {
                Some(stated) => builder.reachable_from_loopback_only(stated),
                None => builder,
            };
            let relay = relay.build().unwrap();
            let before = upstream.requests().len();
            let status = send(&relay, Request::post("/v1/messages"), BODY).await;
            // Another route of Anthropic's API, which is forwarded with a key.
            send(&relay, Request::get("/v1/files"), "").await;
            let is_expected = setting.unwrap_or(stated == Some(true) && !auth.has_keys());
            let case = format!("{auth_in_file} {setting:?} stated {stated:?}");
            assert_eq!(status == 200, is_expected, "{case}: {status}");
            let sent = upstream.requests().len() - before;
            assert_eq!(sent, if is_expected { 2 } else { 0 }, "{case}");
        }
    }
}

fn from_file(auth: &Value, setting: Option<bool>, (host, port): (&str, u16), url: &str) -> Config {
    let mut file = json!({"server": {"listen": format!("{host}:{port}"), "auth": auth},
                          "providers": [provider("a", "anthropic", url)]});
    if let Some(setting) = setting {
        file["server"]["auth"]["subscription_may_use_keys"] = json!(setting);
    }
    Loader::new().with_text("c", Format::Yaml, file.to_string()).load().unwrap().config
}

fn from_code(auth: ClientAuth, (host, port): (&str, u16), url: &str) -> Config {
    let kind = ProviderKind::anthropic(BaseUrl::parse(url).unwrap());
    let provider = ProviderConfig::new("a", kind).with_key(KeyConfig::new(Secret::new(PROVIDER_KEY)));
    let server = ServerConfig::default().with_listen([ListenAddress::new(host, port)]).with_auth(auth);
    Config::new([provider]).with_server(server)
}

#[tokio::test]
async fn without_client_auth_an_invented_token_spends_a_key_only_on_stated_loopback() {
    check(json!({}), ClientAuth::default()).await;
}

#[tokio::test]
async fn a_subscription_that_is_allowed_spends_a_key_only_on_stated_loopback() {
    let auth = ClientAuth::default().with_allow_subscription(true);
    check(json!({"allow_subscription": true}), auth).await;
}

#[tokio::test]
async fn beside_a_client_key_an_invented_token_spends_no_key() {
    let key = ClientKey::new("default", Secret::new("client-key"));
    let auth = ClientAuth::default().with_key(key).with_allow_subscription(true);
    check(json!({"allow_subscription": true, "api_key": "client-key"}), auth).await;
}

#[tokio::test]
async fn beside_a_bearer_secret_an_invented_token_spends_no_key() {
    let secret = Secret::new("client-key");
    let auth = ClientAuth::default().with_bearer_secret(secret).with_allow_subscription(true);
    check(json!({"allow_subscription": true, "bearer_secret": "client-key"}), auth).await;
}

#[test]
fn a_configuration_without_a_listener_counts_as_reachable() {
    let mut config = Config::default();
    config.server.listen.clear();
    assert!(!config.server.is_loopback_only());
}
