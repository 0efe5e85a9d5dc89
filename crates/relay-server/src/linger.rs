//! Lingering close: reads the rest of a request's body before an error is sent.
//!
//! A server that closes a connection with unread bytes resets it, and the reset can overtake the response. A client that
//! sends its whole body before it reads the response would then see a broken connection instead of the error.
//!
//! [`serve`](crate::serve()) reads the rest after the response, so the layer waits a short time there: a body that is already on
//! its way ends within it, and the connection can be reused. Other servers get the whole time.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, Service};

use crate::edge::Listener;
use crate::request_body::ClientBody;

/// The longest time for reading the rest of a body, if the relay is a service within another server.
const LINGER_TIME: Duration = Duration::from_secs(3);
/// The longest time for reading the rest of a body from a client of a listener.
const SERVED_LINGER_TIME: Duration = Duration::from_millis(200);
/// The most bytes that are read of the rest of a body.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Reads the rest of a request's body before an error is sent, within a time and a size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LingerLayer;

impl<S> Layer<S> for LingerLayer {
    type Service = Linger<S>;

    fn layer(&self, inner: S) -> Linger<S> {
        Linger { inner }
    }
}

/// The service of [`LingerLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Linger<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Linger<S>
where
    S: Service<Request<SharedBody<B>>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Send,
    S::Error: Send,
    B: ClientBody + Unpin,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.body().is_end_stream() {
            return Box::pin(self.inner.call(request.map(SharedBody::new)));
        }
        // A client that expects `100 Continue` sends its body only after the first read.
        let expects_continue = request.headers().contains_key(EXPECT);
        let limit = match request.extensions().get::<Listener>() {
            Some(_) => SERVED_LINGER_TIME,
            None => LINGER_TIME,
        };
        let mut kept = None;
        let request = request.map(|body| {
            let body = SharedBody::new(body);
            kept = Some(body.clone());
            body
        });
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            let failed = response.status().is_client_error() || response.status().is_server_error();
            if let (true, false, Some(body)) = (failed, expects_continue, kept) {
                // The response is sent now, also if the client has not finished.
                let _ = tokio::time::timeout(limit, body.drain()).await;
            }
            Ok(response)
        })
    }
}

/// A request's body whose rest the layer can read after the service has dropped it.
#[derive(Debug)]
pub(crate) struct SharedBody<B>(Arc<Mutex<Option<B>>>);

impl<B> Clone for SharedBody<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: ClientBody + Unpin> SharedBody<B> {
    fn new(body: B) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    async fn drain(mut self) {
        let mut drained = 0;
        while let Some(Ok(frame)) = self.frame().await {
            drained += frame.data_ref().map_or(0, Bytes::len);
            if drained > LINGER_BYTES {
                return;
            }
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Option<B>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<B: ClientBody + Unpin> HttpBody for SharedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.with(|slot| {
            let Some(body) = slot else { return Poll::Ready(None) };
            let frame = Pin::new(body).poll_frame(cx);
            if let Poll::Ready(None | Some(Err(_))) = frame {
                *slot = None;
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|slot| slot.as_ref().is_none_or(HttpBody::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|slot| slot.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint))
    }
}
