//! The examples, as they are in the documentation.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

#[allow(dead_code)]
#[path = "../examples/custom_provider.rs"]
mod custom_provider;
#[allow(dead_code)]
#[path = "../examples/embed_axum.rs"]
mod embed_axum;
#[allow(dead_code)]
#[path = "../examples/reload.rs"]
mod reload;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use relay_config::{Config, Format, Loader};
use relay_server::{RecordHandle, Relay, Reloadable, RequestRecord};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceExt;

const BODY: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
const MESSAGE: &str =
    r#"{"type":"message","role":"assistant","content":[],"model":"m","stop_reason":"end_turn"}"#;

fn load(text: &str) -> Config {
    let loader = Loader::new().with_text("c", Format::Yaml, text).with_added_providers(["acme"]);
    loader.load().unwrap().config
}

fn message() -> http::Request<Full<Bytes>> {
    let request = http::Request::post("/v1/messages").header("cookie", "a=b").header("x-app", "cli");
    request.header("authorization", "Bearer client").body(Full::from(BODY)).unwrap()
}

async fn get(relay: &Relay, path: &str) -> Value {
    let request = http::Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let response = relay.clone().oneshot(request).await.unwrap();
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// An upstream whose quota is used up while the flag is set. Its requests are kept.
async fn acme(is_spent: Arc<AtomicBool>) -> (SocketAddr, Arc<Mutex<Vec<HeaderMap>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    let respond = move |request: Request| {
        kept.lock().unwrap().push(request.headers().clone());
        let is_spent = is_spent.load(Ordering::Relaxed);
        async move { if is_spent { spent() } else { MESSAGE.into_response() } }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(respond)).await });
    (address, requests)
}

fn spent() -> Response {
    (http::StatusCode::BAD_REQUEST, r#"{"error":{"code":"QUOTA","message":"come back tomorrow"}}"#)
        .into_response()
}

#[tokio::test]
async fn a_custom_provider_takes_part_in_routing_health_limits_and_lists() {
    let is_spent = Arc::new(AtomicBool::new(false));
    let (address, requests) = acme(Arc::clone(&is_spent)).await;
    let config = load(
        "providers: [{ name: backup, type: mock }]\n\
         routing: { strategy: model_based, default_provider: acme, debug: true }",
    );
    let relay = custom_provider::relay(config, &format!("http://{address}"), "secret").unwrap();

    let response = relay.clone().oneshot(message()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-cc-relay-provider"], "acme");
    // The record stays in the extensions of the response.
    let record = response.extensions().get::<RecordHandle>().unwrap().snapshot();
    assert_eq!(record.provider.as_ref().map(relay_config::ProviderName::as_str), Some("acme"));
    response.into_body().collect().await.unwrap();
    let headers = requests.lock().unwrap()[0].clone();
    assert_eq!([&headers["x-acme-key"], &headers["x-app"]], ["secret", "cli"]);
    assert!(!headers.contains_key("cookie") && !headers.contains_key("authorization"), "{headers:?}");

    let explained = relay.explain(http::HeaderMap::new(), Bytes::from_static(BODY.as_bytes())).unwrap();
    assert_eq!((explained.order[0].provider.as_str(), explained.order[0].kind), ("acme", "custom"));
    let providers = get(&relay, "/v1/providers").await;
    assert_eq!(providers["data"][1]["name"], "acme");

    is_spent.store(true, Ordering::Relaxed);
    let response = relay.clone().oneshot(message()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-cc-relay-provider"], "backup");
    response.into_body().collect().await.unwrap();
    let state = relay.state();
    let pool = state.providers[1].pool.as_ref().unwrap();
    assert!(pool.keys[0].cooldown.is_some(), "{state:?}");
    // The key rests: no further request reaches the upstream.
    relay.clone().oneshot(message()).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_error_of_a_custom_provider_is_the_one_that_its_rules_state() {
    let (address, _) = acme(Arc::new(AtomicBool::new(true))).await;
    let relay = custom_provider::relay(Config::default(), &format!("http://{address}"), "secret").unwrap();
    let response = relay.oneshot(message()).await.unwrap();
    assert_eq!(response.status(), 429);
    let body: Value =
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(body["error"]["type"], "rate_limit_error");
    assert_eq!(body["error"]["message"], "Acme's quota is used up: come back tomorrow");
}

#[tokio::test]
async fn an_invented_subscription_token_does_not_spend_the_credential_of_a_custom_provider() {
    let (address, requests) = acme(Arc::default()).await;
    let config = load("server: { auth: { allow_subscription: true } }");
    let relay = custom_provider::relay(config, &format!("http://{address}"), "secret").unwrap();
    let mut request = message();
    request.headers_mut().insert("authorization", "Bearer sk-ant-oat01-invented".parse().unwrap());
    assert!(relay.oneshot(request).await.unwrap().status().is_client_error());
    assert!(requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_service_with_its_own_authentication_observes_the_requests_of_the_relay() {
    let records = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&records);
    let service = embed_axum::service(move |record: &Arc<RequestRecord>| {
        kept.lock().unwrap().push(Arc::clone(record));
    });
    let service = service.unwrap();
    let request = |team: Option<&str>| {
        let request = http::Request::post("/relay/v1/messages").header("host", "localhost");
        let request = team.into_iter().fold(request, |request, team| request.header("x-team", team));
        request.body(axum::body::Body::from(BODY)).unwrap()
    };
    assert_eq!(service.clone().oneshot(request(None)).await.unwrap().status(), 403);
    let response = service.oneshot(request(Some("blue"))).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-team"], "blue");
    response.into_body().collect().await.unwrap();
    assert_eq!(records.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_changed_file_is_used_and_a_wrong_one_is_not() {
    let file = std::env::temp_dir().join(format!("relay-reload-{}.yaml", std::process::id()));
    let relay = Relay::builder(load("providers: [{ name: a, type: mock }]")).build().unwrap();
    let relay = Reloadable::new(relay);
    std::fs::write(&file, "providers: [{ name: b, type: mock }]").unwrap();
    let loader = Loader::new().with_file(&file); // without the variables of the test run
    let changes = reload::reload(&relay, &loader).unwrap();
    assert_eq!((changes.added.len(), changes.removed.len()), (1, 1));
    std::fs::write(&file, "providers: [{ name: b, type: nonesuch }]").unwrap();
    assert!(reload::reload(&relay, &loader).is_err());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(get(&relay.relay(), "/v1/providers").await["data"][0]["name"], "b");
    assert_eq!(relay.oneshot(message()).await.unwrap().status(), 200);
}
