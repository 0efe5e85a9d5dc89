//! Opens the record of each request, and finishes it with the response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};
use tower_http::body::UnsyncBoxBody;

use crate::body::Body;
use crate::record::{OpenRecord, RecordHandle, Subscribers};
use crate::request_id::RequestId;

/// Opens a record for each request, puts a [`RecordHandle`] into the extensions of the request and of the response, and
/// hands the finished record to the subscribers.
#[derive(Debug, Clone)]
pub(crate) struct RecordLayer {
    subscribers: Subscribers,
}

impl RecordLayer {
    pub(crate) fn new(subscribers: Subscribers) -> Self {
        Self { subscribers }
    }
}

impl<S> Layer<S> for RecordLayer {
    type Service = Record<S>;

    fn layer(&self, inner: S) -> Record<S> {
        Record { inner, subscribers: self.subscribers.clone() }
    }
}

/// The service of [`RecordLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Record<S> {
    inner: S,
    subscribers: Subscribers,
}

impl<S, B> Service<Request<B>> for Record<S>
where
    S: Service<Request<ReceivedBody<B>>, Response = Response<UnsyncBoxBody<Bytes, BoxError>>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = RecordFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::random);
        let record = RecordHandle::new(id, &request);
        request.extensions_mut().insert(record.clone());
        let open = OpenRecord::new(record.clone(), self.subscribers.clone());
        let request = request.map(|inner| ReceivedBody { inner, record });
        RecordFuture { inner: self.inner.call(request), record: Some(open) }
    }
}

pin_project! {
    /// The future of [`Record`].
    pub(crate) struct RecordFuture<F> {
        #[pin]
        inner: F,
        // Dropped with the future, it records that the client has left.
        record: Option<OpenRecord>,
    }
}

impl<F, E> Future for RecordFuture<F>
where
    F: Future<Output = Result<Response<UnsyncBoxBody<Bytes, BoxError>>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let Some(record) = this.record.take() else { unreachable!("polled after completion") };
        record.handle().set_head(response.status(), response.headers());
        response.extensions_mut().insert(record.handle().clone());
        Poll::Ready(Ok(response.map(|body| Body::new(body, record))))
    }
}

pin_project! {
    /// A request's body whose bytes are counted in its record.
    #[derive(Debug)]
    pub(crate) struct ReceivedBody<B> {
        #[pin]
        inner: B,
        record: RecordHandle,
    }
}

impl<B: HttpBody<Data = Bytes>> HttpBody for ReceivedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            this.record.add_received(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
