//! The layer that reads the rest of a body.

use std::task::{Context, Poll};
use std::time::Duration;

use http::header::EXPECT;
use http::{Extensions, Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use super::body::LingerBody;
use super::future::LingerFuture;
use crate::listener_rules::ListenerRules;

/// The default of the longest time.
const TIME: Duration = Duration::from_secs(3);
/// The default of the most bytes.
const BYTES: u64 = 64 * 1024 * 1024;

/// Reads the rest of a request's body before an error is sent, within a time and a size.
///
/// The response is sent after the time has passed, or the bytes have been read, also if the body has not ended.
#[derive(Debug, Clone, Copy)]
pub struct LingerLayer {
    time: Duration,
    bytes: u64,
}

impl LingerLayer {
    /// Creates a layer that reads for at most 3 s, and at most 64 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self { time: TIME, bytes: BYTES }
    }

    /// Reads for at most this time. A client that does not send delays its own error by it.
    #[must_use]
    pub fn with_time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Reads at most this number of bytes, and the rest of the frame in which they are exceeded.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }
}

impl Default for LingerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for LingerLayer {
    type Service = Linger<S>;

    fn layer(&self, inner: S) -> Linger<S> {
        Linger { inner, limits: *self }
    }
}

/// The longest time for one request, in its extensions. It takes precedence over [`LingerLayer::with_time`].
///
/// A server that reads the rest of a body itself after the response sets a short time. The layers of [`Relay`](crate::Relay)
/// observe it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LingerTime(Duration);

impl LingerTime {
    /// Creates the extension.
    #[must_use]
    pub const fn new(time: Duration) -> Self {
        Self(time)
    }
}

/// The service of [`LingerLayer`].
#[derive(Debug, Clone)]
pub struct Linger<S> {
    inner: S,
    limits: LingerLayer,
}

impl<S, B, R> Service<Request<B>> for Linger<S>
where
    S: Service<Request<LingerBody<B>>, Response = Response<R>>,
    B: Body + Unpin,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = LingerFuture<S::Future, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A client that expects `100 Continue` sends its body only after the first read.
        let is_sent = !request.body().is_end_stream() && !request.headers().contains_key(EXPECT);
        let time = time_of(request.extensions()).unwrap_or(self.limits.time);
        let (head, body) = request.into_parts();
        let body = LingerBody::new(body);
        let rest = is_sent.then(|| body.share());
        let inner = self.inner.call(Request::from_parts(head, body));
        LingerFuture::new(inner, rest, time, self.limits.bytes)
    }
}

/// Returns the time for a request with these extensions: its own, or that of the listener that accepted it.
fn time_of(extensions: &Extensions) -> Option<Duration> {
    let of_listener = || extensions.get::<ListenerRules>().map(|listener| listener.linger);
    extensions.get().map(|LingerTime(time)| *time).or_else(of_listener)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::StatusCode;
    use http_body::Frame;
    use http_body_util::channel::{Channel, Sender};
    use http_body_util::{BodyExt, Full, StreamBody};
    use tokio::time::Instant;
    use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
    use tower_test::mock;

    use super::*;

    /// A body with another type of data and of error than the relay's.
    type Text = Channel<&'static [u8], &'static str>;
    type Inner = mock::Mock<Request<LingerBody<Text>>, Response<&'static str>>;
    type Served = task::Spawn<<Linger<Inner> as Service<Request<Text>>>::Future>;

    /// Sends a request with an open body through the layer to a service that answers with `status`, and drops the body.
    async fn serve(
        layer: LingerLayer,
        status: u16,
        request: http::request::Builder,
    ) -> (Served, Sender<&'static [u8], &'static str>) {
        let (sender, body) = Channel::new(4);
        let (mut service, mut inner) = mock::spawn_with(|inner: Inner| layer.layer(inner));
        assert_ready_ok!(service.poll_ready());
        let served = task::spawn(service.call(request.body(body).unwrap()));
        let (request, send) = inner.next_request().await.unwrap();
        drop(request);
        send.send_response(Response::builder().status(status).body("answer").unwrap());
        (served, sender)
    }

    #[track_caller]
    fn assert_is_answered(served: &mut Served) {
        assert_eq!(assert_ready_ok!(served.poll()).into_body(), "answer");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_waits_for_the_end_of_the_body() {
        let (mut served, mut sender) = serve(LingerLayer::new(), 413, Request::post("/")).await;
        assert_pending!(served.poll());
        for _ in 0..10 {
            sender.send_data(b"more").await.unwrap();
            assert_pending!(served.poll());
        }
        drop(sender);
        assert!(served.is_woken());
        assert_is_answered(&mut served);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_sent_after_a_failure_of_the_body() {
        let (mut served, sender) = serve(LingerLayer::new(), 500, Request::post("/")).await;
        assert_pending!(served.poll());
        sender.abort("gone");
        assert_is_answered(&mut served);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_sent_after_the_time_of_the_layer_or_of_the_request() {
        let layer = LingerLayer::new().with_time(Duration::from_secs(2));
        for (of_request, expected) in [(None, 2000), (Some(200), 200)] {
            let mut request = Request::post("/");
            if let Some(time) = of_request {
                request = request.extension(LingerTime::new(Duration::from_millis(time)));
            }
            let (served, _sender) = serve(layer, 400, request).await;
            let start = Instant::now();
            assert!(served.await.is_ok());
            assert_eq!(start.elapsed().as_millis(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_sent_after_the_bytes_of_the_limit() {
        let (mut served, mut sender) = serve(LingerLayer::new().with_bytes(8), 400, Request::post("/")).await;
        sender.send_data(b"12345678").await.unwrap();
        assert_pending!(served.poll());
        sender.send_data(b"9").await.unwrap();
        assert_is_answered(&mut served);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_and_an_expectation_are_answered_at_once() {
        let (mut served, _sender) = serve(LingerLayer::new(), 200, Request::post("/")).await;
        assert_is_answered(&mut served);
        let expecting = Request::post("/").header(EXPECT, "100-continue");
        let (mut served, _sender) = serve(LingerLayer::new(), 400, expecting).await;
        assert_is_answered(&mut served);
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_of_a_service_passes_unchanged() {
        let (mut service, mut inner) = mock::spawn_with(|inner: Inner| LingerLayer::new().layer(inner));
        assert_ready_ok!(service.poll_ready());
        let (_sender, body) = Channel::new(1);
        let mut served = task::spawn(service.call(Request::new(body)));
        inner.next_request().await.unwrap().1.send_error("down");
        assert_eq!(assert_ready!(served.poll()).unwrap_err().to_string(), "down");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_an_end_does_not_occupy_the_thread() {
        let frames = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::new())));
        let inner = tower::service_fn(|_| async {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::FORBIDDEN;
            Ok::<_, Infallible>(response)
        });
        let mut service = LingerLayer::new().layer(inner);
        let mut served = task::spawn(service.call(Request::new(StreamBody::new(frames))));
        assert_pending!(served.poll());
        assert!(served.is_woken());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(assert_ready_ok!(served.poll()).status(), 403);
    }

    #[tokio::test]
    async fn a_service_reads_the_body_as_it_was_sent() {
        let inner = tower::service_fn(|request: Request<LingerBody<Full<Bytes>>>| async {
            assert_eq!(request.body().size_hint().exact(), Some(4));
            let body = request.into_body().collect().await?;
            Ok::<_, Infallible>(Response::new(body.to_bytes()))
        });
        let request = Request::new(Full::<Bytes>::from("text"));
        let response = LingerLayer::new().layer(inner).call(request).await.unwrap();
        assert_eq!(response.into_body(), "text");
    }
}
