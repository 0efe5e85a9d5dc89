//! Turns a panic into a response.

use std::any::Any;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{BoxError, Layer, Service};
use tower_http::body::UnsyncBoxBody;
use tower_http::catch_panic::{self, ResponseForPanic, ResponseFuture};

use crate::error::Error;
use crate::record::RecordHandle;
use crate::respond::error_response;

/// Answers a request with [`Error::Panicked`] if a service below panics, and logs the panic with the request's id.
///
/// A panic while the response's body is polled is outside of its reach: the head has gone out. It ends the task that
/// serves the connection (HTTP/1.1) or the stream (HTTP/2), and with it nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner }
    }
}

/// The service of [`CatchPanicLayer`].
#[derive(Debug, Clone)]
pub(crate) struct CatchPanic<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for CatchPanic<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, PanicResponse>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The general layer has one handler for all requests, which could not know their ids.
        let response = PanicResponse { record: request.extensions().get().cloned() };
        catch_panic::CatchPanic::custom(&mut self.inner, response).call(request)
    }
}

/// Builds the response to one request that panicked.
#[derive(Debug, Clone)]
pub(crate) struct PanicResponse {
    record: Option<RecordHandle>,
}

impl ResponseForPanic for PanicResponse {
    type ResponseBody = Full<Bytes>;

    fn response_for_panic(&mut self, panic: Box<dyn Any + Send>) -> Response<Full<Bytes>> {
        let request_id = self.record.as_ref().map(|record| record.id().as_str());
        tracing::error!(request_id, panic = message(&*panic), "a panic ended the request");
        error_response(Error::Panicked, self.record.as_ref())
    }
}

/// Returns the text of a panic, which `panic!` stores as one of two types.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
#[cfg(feature = "serve")]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};

    use http_body::Frame;
    use http_body_util::BodyExt;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use hyper_util::service::TowerToHyperService;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::task::JoinHandle;
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;
    use crate::record::{RecordLayer, RequestEnd, RequestRecord};
    use crate::request_id::SetRequestIdLayer;

    #[tokio::test]
    async fn a_panic_becomes_an_error_of_anthropics_form() {
        #[track_caller]
        fn check(panic: Box<dyn Any + Send>, expected: &str) {
            assert_eq!(message(&*panic), expected);
        }
        check(Box::new("text"), "text");
        check(Box::new("formatted".to_owned()), "formatted");
        check(Box::new(5), "no message");

        let inner =
            service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>> {
                panic!("a defect")
            });
        let response = CatchPanicLayer.layer(inner).oneshot(Request::new(())).await.unwrap();
        assert_eq!(response.status(), 500);
        let body: Value =
            serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
        let message = Error::Panicked.to_string();
        assert_eq!(body, json!({"type": "error", "error": {"type": "api_error", "message": message}}));
    }

    /// A response body that panics after one frame.
    struct PanicsLate(bool);

    impl Body for PanicsLate {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            assert!(!std::mem::replace(&mut self.0, true), "the response body has a defect");
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"frame")))))
        }
    }

    type Records = Arc<Mutex<Vec<Arc<RequestRecord>>>>;

    /// A connection to a server whose response bodies panic.
    fn serve() -> (DuplexStream, JoinHandle<bool>, Records) {
        let records = Records::default();
        let kept = Arc::clone(&records);
        let subscriber = move |record: &Arc<RequestRecord>| kept.lock().unwrap().push(Arc::clone(record));
        // The record is finished by a drop within the panic: a second panic must not abort the process.
        let failing = |_: &Arc<RequestRecord>| panic!("a subscriber fails");
        let service = ServiceBuilder::new()
            .layer(SetRequestIdLayer::new())
            .layer(RecordLayer::new().with_subscriber(failing).with_subscriber(subscriber))
            .layer(CatchPanicLayer)
            .service_fn(|_| async { Ok::<_, Infallible>(Response::new(PanicsLate(false))) });
        let (client, server) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            builder.serve_connection(TokioIo::new(server), TowerToHyperService::new(service)).await.is_ok()
        });
        (client, serving, records)
    }

    #[track_caller]
    fn assert_is_broken(records: &Records) {
        let records = records.lock().unwrap();
        assert_eq!(records.iter().map(|record| record.end).collect::<Vec<_>>(), [Some(RequestEnd::Broken)]);
        assert_eq!(records[0].bytes_sent, 5);
    }

    #[tokio::test]
    async fn a_panic_in_a_response_body_breaks_the_http1_connection_off() {
        let (mut client, serving, records) = serve();
        client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        let mut received = String::new();
        let _ = client.read_to_string(&mut received).await;
        assert!(!received.ends_with("0\r\n\r\n"), "a clean end: {received}");
        assert!(serving.await.unwrap_err().is_panic());
        assert_is_broken(&records);
    }

    #[tokio::test]
    async fn a_panic_in_a_response_body_resets_one_http2_stream() {
        let (client, serving, records) = serve();
        let (sender, connection) = h2::client::handshake(client).await.unwrap();
        let driver = tokio::spawn(connection);
        let get = || Request::get("http://h/").body(()).unwrap();
        let mut sender = sender.ready().await.unwrap();
        let mut body = sender.send_request(get(), true).unwrap().0.await.unwrap().into_body();
        let error = loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("a clean end"),
            }
        };
        assert!(error.is_reset(), "{error}");
        assert_is_broken(&records);

        // The connection serves further requests.
        let mut sender = sender.ready().await.unwrap();
        assert_eq!(sender.send_request(get(), true).unwrap().0.await.unwrap().status(), 200);
        assert!(!serving.is_finished());
        driver.abort();
    }
}
