//! Layers, upstreams in the same process, and connectors of a program.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod common;

#[cfg(feature = "serve")]
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use bytes::Bytes;
use common::relay;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use relay_config::{Config, Format, Loader};
use relay_providers::Attempt;
use relay_server::auth::Client;
use relay_server::{AnswerBodyError, LayerBody, RecordHandle, Relay, RequestRecord};
use tokio::net::{TcpListener, TcpStream};
use tower::layer::layer_fn;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower::{BoxError, ServiceExt, service_fn};

const BODY: &str = r#"{"model":"claude-x","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;
const MESSAGE: &str =
    r#"{"type":"message","role":"assistant","content":[],"model":"m","stop_reason":"end_turn"}"#;

fn message() -> Request<Full<Bytes>> {
    let request = Request::post("/v1/messages").header("x-api-key", "relay-a");
    request.body(Full::from(BODY)).unwrap()
}

fn load(text: &str) -> Config {
    Loader::new().with_text("c", Format::Yaml, text).load().unwrap().config
}

async fn read(response: Response<relay_server::Body>) -> (StatusCode, Bytes) {
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn layers_around_requests_see_admitted_clients_in_the_order_in_which_they_were_added() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = |name: &'static str| {
        let seen = Arc::clone(&seen);
        MapRequestLayer::new(move |request: Request<LayerBody>| {
            assert!(!request.headers().contains_key("x-api-key"));
            assert!(request.extensions().get::<RecordHandle>().is_some());
            let client = request.extensions().get::<Client>().and_then(Client::name).map(str::to_owned);
            seen.lock().unwrap().push((name, request.uri().path().to_owned(), client));
            request
        })
    };
    let marked = MapResponseLayer::new(|mut response: Response<LayerBody>| {
        response.headers_mut().insert("x-layer", HeaderValue::from_static("1"));
        response
    });
    let relay = relay().layer_requests(see("outer")).layer_requests(see("inner")).layer_requests(marked);
    let relay = relay.build().unwrap();
    let response = relay.clone().oneshot(message()).await.unwrap();
    assert_eq!(response.headers()["x-layer"], "1");
    assert_eq!(read(response).await.0, 200);
    // An unknown client and the health check reach no layer.
    let health = Request::get("/health").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(relay.clone().oneshot(health).await.unwrap().status(), 200);
    let mut unknown = message();
    unknown.headers_mut().remove("x-api-key");
    assert_eq!(relay.oneshot(unknown).await.unwrap().status(), 401);
    let alice = || Some("alice".to_owned());
    let path = || "/v1/messages".to_owned();
    assert_eq!(*seen.lock().unwrap(), [("outer", path(), alice()), ("inner", path(), alice())]);
}

#[tokio::test]
async fn an_answer_of_a_layer_is_recorded_and_an_error_is_a_500() {
    let records = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&records);
    let teapot = layer_fn(|_| {
        service_fn(|request: Request<LayerBody>| async move {
            match request.uri().path() {
                "/v1/models" => Err::<_, BoxError>("a secret detail".into()),
                _ => {
                    let mut response = Response::new(Full::<Bytes>::from("short and stout"));
                    *response.status_mut() = StatusCode::IM_A_TEAPOT;
                    Ok(response)
                }
            }
        })
    });
    let relay = relay().layer_requests(teapot).on_finished(move |record: &Arc<RequestRecord>| {
        kept.lock().unwrap().push(record.status);
    });
    let relay = relay.build().unwrap();
    let (status, body) = read(relay.clone().oneshot(message()).await.unwrap()).await;
    assert_eq!((status, &body[..]), (StatusCode::IM_A_TEAPOT, &b"short and stout"[..]));
    let models = Request::get("/v1/models").header("x-api-key", "relay-a");
    let (status, body) =
        read(relay.oneshot(models.body(Full::<Bytes>::default()).unwrap()).await.unwrap()).await;
    assert_eq!(status, 500);
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(body.contains("api_error") && !body.contains("secret"), "{body}");
    let statuses: Vec<_> = records.lock().unwrap().iter().flatten().map(StatusCode::as_u16).collect();
    assert_eq!(statuses, [418, 500]);
}

#[tokio::test]
async fn layers_around_attempts_see_every_attempt_with_its_provider_and_the_clients_model() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let relay = relay().layer_attempts(MapRequestLayer::new(move |attempt: Attempt| {
        let provider = attempt.provider().map(ToString::to_string).unwrap_or_default();
        kept.lock().unwrap().push((provider, attempt.model().to_owned()));
        attempt
    }));
    let mut request = message();
    request.headers_mut().insert("x-cc-relay-mock", HeaderValue::from_static("first=529"));
    let response = relay.build().unwrap().oneshot(request).await.unwrap();
    assert_eq!(read(response).await.0, 200);
    let attempt = |provider: &str| (provider.to_owned(), "claude-x".to_owned());
    assert_eq!(*seen.lock().unwrap(), [attempt("first"), attempt("second")]);
}

#[cfg(feature = "serve")]
#[tokio::test]
async fn a_service_of_the_process_takes_the_place_of_the_network_for_a_configured_provider() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let backend = service_fn(move |request: Request<LayerBody>| {
        let key = request.headers().get("x-api-key").cloned();
        kept.lock().unwrap().push((request.uri().path().to_owned(), key));
        async {
            let body = request.into_body().collect().await?.to_bytes();
            assert!(body.starts_with(b"{\"model\":\"glm\""), "{body:?}");
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(MESSAGE)))
        }
    });
    let config =
        load("providers: [{ name: z, type: zai, keys: [{ key: k }], model_mapping: { claude-x: glm } }]");
    let relay = Relay::builder(config).with_upstream("z", backend).build().unwrap();
    assert_eq!(read(relay.clone().oneshot(message()).await.unwrap()).await.0, 200);
    let path = "/api/anthropic/v1/messages".to_owned();
    assert_eq!(*seen.lock().unwrap(), [(path, Some(HeaderValue::from_static("k")))]);
    assert_eq!(relay.state().providers.len(), 1);
}

#[cfg(feature = "serve")]
#[tokio::test]
async fn another_relay_can_be_an_upstream_and_its_stream_passes() {
    let inner = Relay::builder(load("providers: [{ name: a, type: mock }]")).build().unwrap();
    let relay = Relay::builder(Config::default()).with_upstream("inner", inner).build().unwrap();
    let body = BODY.replacen('{', r#"{"stream":true,"#, 1);
    let request = Request::post("/v1/messages").body(Full::<Bytes>::from(body)).unwrap();
    let (status, body) = read(relay.oneshot(request).await.unwrap()).await;
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(status, 200);
    assert!(body.starts_with("event: message_start") && body.contains("event: message_stop"), "{body}");
}

#[cfg(feature = "serve")]
#[tokio::test]
async fn an_error_of_a_service_of_the_process_fails_over() {
    let failing =
        service_fn(|_: Request<LayerBody>| async { Err::<Response<Full<Bytes>>, BoxError>("down".into()) });
    let config = load("providers: [{ name: backup, type: mock }]");
    let settings = relay_server::CustomProvider::new("first").with_priority(9);
    let relay = Relay::builder(config).with_upstream(settings, failing).build().unwrap();
    let response = relay.oneshot(message()).await.unwrap();
    let record = response.extensions().get::<RecordHandle>().unwrap().snapshot();
    let attempts: Vec<_> = record.attempts.iter().map(|attempt| attempt.provider.as_str()).collect();
    assert_eq!(attempts, ["first", "backup"]);
    assert_eq!(read(response).await.0, 200);
}

#[tokio::test]
async fn every_connection_to_an_upstream_is_made_by_the_connector() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(|| async { MESSAGE });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let uris = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&uris);
    let connector = service_fn(move |uri: Uri| {
        kept.lock().unwrap().push(uri.to_string());
        TcpStream::connect(address)
    });
    let config = "providers: [{ name: z, type: zai, base_url: 'http://zai.invalid', keys: [{ key: k }] }]";
    let relay = Relay::builder(load(config)).with_connector(connector).build().unwrap();
    for _ in 0..2 {
        assert_eq!(read(relay.clone().oneshot(message()).await.unwrap()).await.0, 200);
    }
    assert_eq!(*uris.lock().unwrap(), ["http://zai.invalid/"], "the connection is reused");
}

#[tokio::test]
async fn a_connector_that_fails_is_a_failure_to_connect() {
    let connector = service_fn(|_: Uri| async { Err::<TcpStream, _>(std::io::Error::other("no tunnel")) });
    let config = "providers: [{ name: z, type: zai, base_url: 'http://zai.invalid', keys: [{ key: k }] }]";
    let relay = Relay::builder(load(config)).with_connector(connector).build().unwrap();
    let (status, body) = read(relay.oneshot(message()).await.unwrap()).await;
    assert_eq!(status, 502);
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("no tunnel"));
}

#[cfg(feature = "serve")]
#[test]
fn names_of_added_providers_are_unique_like_configured_ones() {
    let service = service_fn(|_: Request<LayerBody>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let relay = Relay::builder(Config::default()).with_upstream("a", service).with_upstream("a", service);
    let error = relay.build().unwrap_err().to_string();
    assert!(error.contains(r#"providers[1].name: "a" is already used"#), "{error}");
    let relay = Relay::builder(Config::default()).with_upstream("", service);
    assert!(relay.build().is_err());
}

#[tokio::test]
async fn the_error_of_a_layer_in_a_body_is_the_source_of_the_bodys_error() {
    let failing = MapResponseLayer::new(|response: Response<LayerBody>| {
        response.map(|body| LayerBody::new(body.with_trailers(fail())))
    });
    let response = relay().layer_requests(failing).build().unwrap().oneshot(message()).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert!(
        matches!(&error, AnswerBodyError::Transport(source) if source.to_string() == "a layer failed"),
        "{error:?}"
    );
}

async fn fail() -> Option<Result<HeaderMap, BoxError>> {
    Some(Err("a layer failed".into()))
}
