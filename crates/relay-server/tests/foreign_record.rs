//! The record and the access log of a service of another author.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

mod log;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Full};
use relay_server::access_log::AccessLog;
use relay_server::record::{
    CountedBody, RecordFuture, RecordHandle, RecordLayer, RecordedBody, RequestEnd, RequestRecord,
};
use relay_server::request_id::{RequestId, SetRequestIdLayer};
use relay_server::respond::RespondLayer;
use serde_json::{Value, json};
use tokio_test::assert_ready_ok;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock::{Mock, SendResponse, future::ResponseFuture, spawn_with};

/// A body with another type of data and of error than the relay's.
type Text = Channel<&'static [u8], &'static str>;
type Inner = Mock<Request<CountedBody<Text>>, Response<Text>>;
type Records = Arc<Mutex<Vec<Arc<RequestRecord>>>>;

/// One request on its way through the layer to a service.
struct Exchange {
    /// The future of the client.
    answered: RecordFuture<ResponseFuture<Response<Text>>>,
    /// The request as the service sees it.
    request: Request<CountedBody<Text>>,
    answer: SendResponse<Response<Text>>,
    records: Records,
}

impl Exchange {
    async fn begin(body: Text) -> Self {
        let (layer, records) = recording();
        let (mut service, mut inner) = spawn_with(|inner: Inner| layer.layer(inner));
        assert_ready_ok!(service.poll_ready());
        let answered = service.call(Request::post("/upload?secret=1").body(body).unwrap());
        let (request, answer) = inner.next_request().await.unwrap();
        Self { answered, request, answer, records }
    }

    /// Begins an exchange whose service answers with an open body.
    async fn answered() -> (Response<RecordedBody<Text>>, Sender<&'static [u8], &'static str>, Records) {
        let (sender, body) = Channel::new(4);
        let exchange = Self::begin(Channel::new(1).1).await;
        exchange.answer.send_response(Response::new(body));
        (exchange.answered.await.unwrap(), sender, exchange.records)
    }
}

/// A layer, and the records that it has finished.
fn recording() -> (RecordLayer, Records) {
    let records = Records::default();
    let kept = Arc::clone(&records);
    let layer = RecordLayer::new()
        .with_subscriber(|_: &Arc<RequestRecord>| panic!("a subscriber fails"))
        .with_subscriber(move |record: &Arc<RequestRecord>| {
            kept.lock().unwrap().push(Arc::clone(record));
        });
    (layer, records)
}

/// The only record that has been finished.
#[track_caller]
fn only(records: &Records) -> Arc<RequestRecord> {
    match &records.lock().unwrap()[..] {
        [record] => Arc::clone(record),
        records => panic!("{records:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_has_the_bytes_the_times_and_the_end_of_any_service() {
    let (mut upload, body) = Channel::new(4);
    let exchange = Exchange::begin(body).await;
    upload.send_data(b"upload").await.unwrap();
    drop(upload);
    let id = exchange.request.extensions().get::<RecordHandle>().unwrap().id().clone();
    assert!(exchange.request.into_body().collect().await.is_ok());
    tokio::time::advance(Duration::from_secs(1)).await;
    let (mut sender, body) = Channel::new(4);
    exchange.answer.send_response(Response::builder().status(201).body(body).unwrap());
    let response = exchange.answered.await.unwrap();
    assert_eq!(response.extensions().get::<RecordHandle>().unwrap().id(), &id);
    sender.send_data(b"down").await.unwrap();
    sender.send_data(b"load").await.unwrap();
    drop(sender);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(exchange.records.lock().unwrap().is_empty());
    assert!(response.into_body().collect().await.is_ok());

    let record = only(&exchange.records);
    assert_eq!((&record.id, record.method.as_str(), &*record.path), (&id, "POST", "/upload"));
    assert_eq!(record.status.map(|status| status.as_u16()), Some(201));
    assert_eq!((record.bytes_received, record.bytes_sent), (6, 8));
    assert_eq!(record.head, Some(Duration::from_secs(1)));
    assert_eq!(record.duration(), Duration::from_secs(3));
    assert_eq!(record.end, Some(RequestEnd::Complete));
}

#[tokio::test]
async fn each_kind_of_end_of_a_body_is_recorded() {
    let (response, mut sender, records) = Exchange::answered().await;
    sender.send_data(b"part").await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    assert_eq!((only(&records).end, only(&records).bytes_sent), (Some(RequestEnd::Abandoned), 4));

    let (response, sender, records) = Exchange::answered().await;
    sender.abort("cut off");
    assert_eq!(response.into_body().collect().await.unwrap_err(), "cut off");
    assert_eq!(only(&records).end, Some(RequestEnd::Broken));

    let (mut response, _sender, records) = Exchange::answered().await;
    response.body_mut().set_stalled();
    drop(response);
    assert_eq!(only(&records).end, Some(RequestEnd::Stalled));
}

#[tokio::test]
async fn a_request_without_a_response_is_abandoned_by_the_client_or_broken_by_the_service() {
    let exchange = Exchange::begin(Channel::new(1).1).await;
    drop(exchange.answered);
    let record = only(&exchange.records);
    assert_eq!((record.end, record.status), (Some(RequestEnd::Abandoned), None));

    let exchange = Exchange::begin(Channel::new(1).1).await;
    exchange.answer.send_error("down");
    assert_eq!(exchange.answered.await.unwrap_err().to_string(), "down");
    let record = only(&exchange.records);
    assert_eq!((record.end, record.status), (Some(RequestEnd::Broken), None));
}

#[tokio::test]
async fn a_panic_of_the_service_breaks_the_record() {
    let (layer, records) = recording();
    let panics = service_fn(|request: Request<CountedBody<()>>| async move {
        assert_eq!(request.uri().path(), "", "a defect");
        Ok::<_, Infallible>(Response::new(Full::<&'static [u8]>::default()))
    });
    let panicked = tokio::spawn(layer.layer(panics).oneshot(Request::new(()))).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(only(&records).end, Some(RequestEnd::Broken));
}

/// Sends requests for these paths to a service with an access log, and returns the level, the target and the fields of each
/// event.
async fn logged(paths: &[&str]) -> Vec<(String, String, Value)> {
    let log = log::Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let service = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new())
        .layer(RecordLayer::new().with_subscriber(AccessLog::new().with_probes(["/healthz"])))
        .layer(RespondLayer::new())
        .service(service_fn(|request: Request<CountedBody<Full<&'static [u8]>>>| async move {
            match request.uri().path() {
                "/fails" => Err(BoxError::from("a secret")),
                _ => Ok(Response::new(Full::from(bytes::Bytes::from_static(b"hello")))),
            }
        }));
    for path in paths {
        let request = Request::get(*path).body(Full::default()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert!(response.extensions().get::<RequestId>().is_some());
        assert!(response.into_body().collect().await.is_ok());
    }
    let text = log.text();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).map(|mut event| {
        let fields = event["fields"].take();
        let [level, target] = ["level", "target"].map(|name| event[name].as_str().unwrap().to_owned());
        (level, target, fields)
    });
    events.filter(|(_, target, _)| target.ends_with("access_log")).collect()
}

#[tokio::test(start_paused = true)]
async fn each_request_is_one_event_of_the_access_log() {
    let events = logged(&["/greeting?secret=1", "/healthz", "/fails"]).await;
    let [(level, target, greeting), (probe, _, _), (_, _, failed)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((&**level, &**target, &**probe), ("INFO", "relay_server::access_log", "DEBUG"));
    assert!(greeting["request_id"].as_str().unwrap().starts_with("req_"));
    let expected = json!({
        "message": "request", "request_id": greeting["request_id"], "method": "GET", "path": "/greeting", "status": 200,
        "head_ms": 0, "own_us": 0, "total_ms": 0, "bytes": 5, "end": "complete",
    });
    assert_eq!(*greeting, expected);
    assert_eq!((&failed["status"], &failed["end"]), (&json!(500), &json!("complete")));
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("its log has the reason") && !error.contains("secret"), "{error}");
}
