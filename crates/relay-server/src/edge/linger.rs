//! An answer that is given before the request's body has been read must still reach its client.
//!
//! A server that closes a connection with unread bytes in it resets it, and the reset can overtake the answer. Clients
//! that send their whole body before they look for an answer would then see a broken connection instead of the reason.

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

use crate::request_body::ClientBody;
use crate::response::ResponseBody;

/// How long and how much of a body that nobody wants is read for the sake of the answer.
const LINGER_TIME: Duration = Duration::from_secs(3);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Reads what is left of a request's body before an error goes out, within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LingerLayer;

impl<S> Layer<S> for LingerLayer {
    type Service = Linger<S>;

    fn layer(&self, inner: S) -> Linger<S> {
        Linger { inner }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Linger<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Linger<S>
where
    S: Service<Request<SharedBody<B>>, Response = Response<ResponseBody>>,
    S::Future: Send + 'static,
    S::Error: Send,
    B: ClientBody + Unpin,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.body().is_end_stream() {
            return Box::pin(self.inner.call(request.map(SharedBody::new)));
        }
        // Whoever waits for `100 Continue` sends nothing until the body is asked for.
        let waits = request.headers().contains_key(EXPECT);
        let mut kept = None;
        let request = request.map(|body| {
            let body = SharedBody::new(body);
            kept = Some(body.clone());
            body
        });
        let answering = self.inner.call(request);
        Box::pin(async move {
            let response = answering.await?;
            let failed = response.status().is_client_error() || response.status().is_server_error();
            if let (true, false, Some(body)) = (failed, waits, kept) {
                // Whether the client was done or not: the answer goes out now.
                let _ = tokio::time::timeout(LINGER_TIME, body.drain()).await;
            }
            Ok(response)
        })
    }
}

/// A request's body that can be read further by whoever answers early.
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
