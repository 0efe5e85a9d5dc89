//! The record of a request: the facts it holds for each kind of end.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod common;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Full};
use relay_config::{Format, Loader, ProviderName};
use relay_providers::Endpoint;
use relay_routing::{AttemptRecord, CredentialId};
use relay_server::{AnswerBodyError, Body, Builder, RecordHandle, Relay, RequestEnd, RequestRecord};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

const STREAMED: &str = r#"{"model":"claude-x","max_tokens":8,"messages":[],"stream":true}"#;

/// A relay of mock providers, and the records that it has finished.
struct Recorded {
    relay: Relay,
    records: Arc<Mutex<Vec<Arc<RequestRecord>>>>,
}

impl Recorded {
    fn new() -> Self {
        Self::of(common::relay())
    }

    fn of(relay: Builder) -> Self {
        let records = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&records);
        let relay = relay
            .on_finished(|_: &Arc<RequestRecord>| panic!("a subscriber fails"))
            .on_finished(move |record: &Arc<RequestRecord>| kept.lock().unwrap().push(Arc::clone(record)))
            .build();
        Self { relay: relay.unwrap(), records }
    }

    async fn call<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<tower::BoxError>,
    {
        self.relay.clone().oneshot(request).await.unwrap()
    }

    /// The only record that has been finished.
    #[track_caller]
    fn only(&self) -> Arc<RequestRecord> {
        match &self.records.lock().unwrap()[..] {
            [record] => Arc::clone(record),
            records => panic!("{records:?}"),
        }
    }

    #[track_caller]
    fn is_empty(&self) -> bool {
        self.records.lock().unwrap().is_empty()
    }
}

fn request(fault: &str) -> Request<Full<Bytes>> {
    let request = Request::post("/v1/messages?beta=true")
        .header("x-api-key", "relay-a")
        .header("x-request-id", "from-the-client")
        .header("x-cc-relay-mock", fault);
    request.body(Full::from(STREAMED)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_record_of_an_answered_request_holds_every_fact() {
    let recorded = Recorded::new();
    let response = recorded.call(request("first=529")).await;
    let handle = response.extensions().get::<RecordHandle>().unwrap().clone();
    let upstream_id = response.headers()["request-id"].to_str().unwrap().to_owned();
    let open = handle.snapshot();
    assert_eq!((open.attempts.len(), open.end, open.ended), (2, None, None));
    assert!(recorded.is_empty());

    let body = response.into_body().collect().await.unwrap().to_bytes();
    let record = recorded.only();
    assert!(Arc::ptr_eq(&record, &handle.snapshot()));
    assert_eq!(record.id, *handle.id());
    assert_eq!(record.client_request_id.as_deref(), Some("from-the-client"));
    assert_eq!(record.upstream_request_id.as_deref(), Some(&*upstream_id));
    assert_eq!(record.client.as_deref(), Some("alice"));
    assert_eq!((&record.method, &*record.path), (&Method::POST, "/v1/messages"));
    assert_eq!((record.endpoint, record.is_stream), (Some(Endpoint::Messages), true));
    assert_eq!(record.model_requested.as_deref(), Some("claude-x"));
    assert_eq!(record.model_served.as_deref(), Some("mapped"));
    assert_eq!(record.provider.as_ref().map(ProviderName::as_str), Some("second"));
    let attempts = record.attempts.iter().map(|attempt| (attempt.provider.as_str(), attempt.status));
    assert_eq!(attempts.collect::<Vec<_>>(), [("first", Some(529)), ("second", Some(200))]);
    assert!(record.usage.input_tokens.is_some() && record.usage.output_tokens.is_some_and(|count| count > 0));
    assert_eq!(record.stop_reason.as_deref(), Some("end_turn"));
    assert_eq!((record.bytes_received, record.bytes_sent), (STREAMED.len() as u64, body.len() as u64));
    assert_eq!((record.status.map(|status| status.as_u16()), &record.error), (Some(200), &None));
    assert_eq!(record.end, Some(RequestEnd::Complete));
    let started = record.attempts.last().map(|attempt| attempt.started);
    let times = [started, record.head, record.first_content, record.ended];
    assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{times:?}");
    assert!(record.duration() > record.head.unwrap());
}

#[tokio::test]
async fn a_refused_request_has_an_error_and_no_model() {
    let recorded = Recorded::new();
    let request = Request::post("/v1/messages").header("x-api-key", "wrong").body(Full::from(STREAMED));
    let response = recorded.call(request.unwrap()).await;
    let id = response.headers()["request-id"].to_str().unwrap().to_owned();
    drop(response.into_body().collect().await.unwrap());
    let record = recorded.only();
    assert_eq!((record.id.as_str(), &record.upstream_request_id), (&*id, &None));
    assert_eq!(
        (record.status.map(|status| status.as_u16()), record.end),
        (Some(401), Some(RequestEnd::Complete))
    );
    assert!(record.error.as_deref().is_some_and(|error| error.contains("credential")), "{record:?}");
    assert_eq!((&record.client, &record.model_requested, &record.strategy), (&None, &None, &None));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_leaves_before_the_head_is_abandoned() {
    let recorded = Recorded::new();
    let call = recorded.call(request("stall"));
    let left = tokio::time::timeout(std::time::Duration::from_secs(1), call).await;
    assert!(left.is_err());
    let record = recorded.only();
    assert_eq!((record.end, record.status, record.head), (Some(RequestEnd::Abandoned), None, None));
    assert_eq!(record.model_requested.as_deref(), Some("claude-x"));
    assert_eq!(record.duration(), std::time::Duration::from_secs(1));
    let attempts = record.attempts.iter().map(|attempt| {
        (attempt.provider.as_str(), attempt.status, attempt.result, attempt.latency.as_millis())
    });
    assert_eq!(attempts.collect::<Vec<_>>(), [("first", None, AttemptRecord::UNFINISHED, 1000)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_leaves_during_a_failover_has_every_attempt() {
    let recorded = Recorded::new();
    let call = recorded.call(request("first=529,second=stall"));
    let left = tokio::time::timeout(std::time::Duration::from_secs(1), call).await;
    assert!(left.is_err());
    let record = recorded.only();
    let attempts =
        record.attempts.iter().map(|attempt| (attempt.provider.as_str(), attempt.status, attempt.result));
    assert_eq!(
        attempts.collect::<Vec<_>>(),
        [("first", Some(529), "overloaded"), ("second", None, AttemptRecord::UNFINISHED)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_leaves_within_the_body_is_abandoned() {
    let recorded = Recorded::new();
    let mut response = recorded.call(request("")).await;
    let sent = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().len();
    drop(response);
    let record = recorded.only();
    assert_eq!((record.end, record.bytes_sent), (Some(RequestEnd::Abandoned), sent as u64));
    assert!(record.status.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_off_is_broken() {
    let recorded = Recorded::new();
    let response = recorded.call(request("cut")).await;
    assert!(matches!(response.into_body().collect().await, Err(AnswerBodyError::Scripted)));
    let record = recorded.only();
    assert_eq!(
        (record.end, record.status.map(|status| status.as_u16())),
        (Some(RequestEnd::Broken), Some(200))
    );
}

/// Accepts one connection, answers it with `status`, and returns the URL.
async fn answer_once(status: u16) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    url
}

#[tokio::test]
async fn a_forwarded_request_has_its_attempt() {
    #[track_caller]
    fn check(record: &RequestRecord, expected: (Option<u16>, &str)) {
        let attempts: Vec<_> =
            record.attempts.iter().map(|attempt| (attempt.status, attempt.result)).collect();
        assert_eq!(attempts, [expected]);
        assert_eq!(record.attempts[0].provider.as_str(), "a");
        assert!(matches!(record.attempts[0].credential, CredentialId::Key(_)));
    }
    for (url, expected) in [
        (answer_once(200).await, (Some(200), "success")),
        (answer_once(404).await, (Some(404), "refused")),
        (answer_once(500).await, (Some(500), "failed")),
        ("http://127.0.0.1:1".to_owned(), (None, "connect")),
    ] {
        let config =
            format!("providers: [{{ name: a, type: anthropic, base_url: '{url}', keys: [{{ key: k }}] }}]");
        let config = Loader::new().with_text("test.yaml", Format::Yaml, config).load().unwrap().config;
        let recorded = Recorded::of(Relay::builder(config).without_proxy());
        let request = Request::get("/v1/files").body(Full::<Bytes>::default()).unwrap();
        drop(recorded.call(request).await.into_body().collect().await);
        check(&recorded.only(), expected);
    }
}

/// The body of an embedding service's own, with a defect.
struct Panicking;

impl HttpBody for Panicking {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        panic!("the request body has a defect")
    }
}

#[tokio::test]
async fn a_panic_is_answered_with_an_error_and_recorded() {
    let recorded = Recorded::new();
    let request = Request::post("/v1/messages").header("x-api-key", "relay-a").body(Panicking).unwrap();
    let response = recorded.call(request).await;
    assert_eq!(response.status(), 500);
    let id = response.headers()["request-id"].to_str().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["type"], &body["error"]["type"]), (&"error".into(), &"api_error".into()));
    assert_eq!(body["request_id"], *id);
    let record = recorded.only();
    assert_eq!((record.id.as_str(), record.end), (&*id, Some(RequestEnd::Complete)));
    assert_eq!(record.error.as_deref(), body["error"]["message"].as_str());

    // The relay goes on.
    let response = recorded.call(self::request("")).await;
    assert_eq!(response.status(), 200);
}
