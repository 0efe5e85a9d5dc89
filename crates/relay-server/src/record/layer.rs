//! The layer that opens and finishes records.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use relay_messages::trace_context::Sampling;
use relay_routing::Pricing;
use tower::{Layer, Service};

use super::body::{CountedBody, RecordedBody};
use super::own_time::OwnTime;
use super::{OpenRecord, RecordHandle, RecordSubscriber, RequestEnd, Subscribers};
use crate::request_id::RequestId;

/// Opens a record for each request, puts a [`RecordHandle`] into the extensions of the request and of the response, and
/// hands the record to the subscribers when it starts and when it has ended.
///
/// The id of the record is the [`RequestId`] in the request's extensions, or a random one.
#[derive(Debug, Clone, Default)]
pub struct RecordLayer {
    subscribers: Subscribers,
}

impl RecordLayer {
    /// Creates a layer without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands records to `subscriber`, after those that were added before.
    #[must_use]
    pub fn with_subscriber(mut self, subscriber: impl RecordSubscriber) -> Self {
        self.subscribers.push(Arc::new(subscriber));
        self
    }

    /// Sets the prices by which the cost of a request is calculated. Without them, records have no cost.
    #[must_use]
    pub fn with_pricing(mut self, pricing: Option<Arc<dyn Pricing>>) -> Self {
        self.subscribers.set_pricing(pricing);
        self
    }

    /// Gives each record a trace, which is recorded by this rule. Without it, records have no trace.
    #[must_use]
    pub fn with_traces(mut self, sampling: Option<Sampling>) -> Self {
        self.subscribers.set_sampling(sampling);
        self
    }
}

impl From<Vec<Arc<dyn RecordSubscriber>>> for RecordLayer {
    fn from(subscribers: Vec<Arc<dyn RecordSubscriber>>) -> Self {
        Self { subscribers: subscribers.into() }
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
pub struct Record<S> {
    inner: S,
    subscribers: Subscribers,
}

impl<S, B, R> Service<Request<B>> for Record<S>
where
    S: Service<Request<CountedBody<B>>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<RecordedBody<R>>;
    type Error = S::Error;
    type Future = RecordFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::random);
        let record = RecordHandle::new(id, &request, self.subscribers.observers());
        request.extensions_mut().insert(record.clone());
        let open = OpenRecord::new(record.clone());
        self.subscribers.started(&record);
        let work = OwnTime::since(record.started());
        let request = request.map(|body| CountedBody::new(body, record));
        RecordFuture { inner: self.inner.call(request), work, record: Some(open) }
    }
}

pin_project! {
    /// The future of [`Record`].
    #[derive(Debug)]
    pub struct RecordFuture<F> {
        #[pin]
        inner: F,
        work: OwnTime,
        // Dropped with the future, it records that the client has left.
        record: Option<OpenRecord>,
    }
}

impl<F, R, E> Future for RecordFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<RecordedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.work.begin();
        let Poll::Ready(result) = this.inner.poll(cx) else {
            this.work.pause();
            return Poll::Pending;
        };
        let Some(mut record) = this.record.take() else { unreachable!("polled after completion") };
        Poll::Ready(match result {
            Ok(mut response) => {
                record.handle().set_head(response.status(), response.headers(), this.work);
                response.extensions_mut().insert(record.handle().clone());
                Ok(response.map(|body| RecordedBody::new(body, record)))
            }
            Err(error) => {
                record.set_end(RequestEnd::Broken);
                Err(error)
            }
        })
    }
}
