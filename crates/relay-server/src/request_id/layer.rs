//! The layer that carries the choice of an id.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{HeaderName, HeaderValue};
use http::{Extensions, HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::id::{REQUEST_ID, RequestId};

/// The default choice of an id: none, so that every request gets a random one.
pub type ChooseId = fn(&HeaderMap, &Extensions) -> Option<RequestId>;

/// Puts a [`RequestId`] into the extensions of each request and of its response, and a header with it into each response that
/// has no such header yet. A service that forwards the response of an upstream thus keeps the id that its support needs.
#[derive(Debug, Clone)]
pub struct SetRequestIdLayer<C = ChooseId> {
    choose: C,
    header: HeaderName,
}

impl SetRequestIdLayer {
    /// Creates a layer that gives each request a [random](RequestId::random) id, and sets the header `request-id`.
    #[must_use]
    pub fn new() -> Self {
        Self { choose: |_, _| None, header: REQUEST_ID }
    }
}

impl Default for SetRequestIdLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> SetRequestIdLayer<C> {
    /// Chooses the id of a request by this function of its headers and extensions. If it returns `None`, the id is random.
    ///
    /// A header of a client on the network should not choose the id: its ids need not be unique, and it could take those of
    /// other clients.
    #[must_use]
    pub fn with_ids<F>(self, choose: F) -> SetRequestIdLayer<F>
    where
        F: Fn(&HeaderMap, &Extensions) -> Option<RequestId>,
    {
        SetRequestIdLayer { choose, header: self.header }
    }

    /// Sets this header of the response, in the place of `request-id`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }
}

impl<S, C: Clone> Layer<S> for SetRequestIdLayer<C> {
    type Service = SetRequestId<S, C>;

    fn layer(&self, inner: S) -> SetRequestId<S, C> {
        SetRequestId { inner, choose: self.choose.clone(), header: self.header.clone() }
    }
}

/// The service of [`SetRequestIdLayer`].
#[derive(Debug, Clone)]
pub struct SetRequestId<S, C = ChooseId> {
    inner: S,
    choose: C,
    header: HeaderName,
}

impl<S, C, B, R> Service<Request<B>> for SetRequestId<S, C>
where
    S: Service<Request<B>, Response = Response<R>>,
    C: Fn(&HeaderMap, &Extensions) -> Option<RequestId>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = SetRequestIdFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let chosen = (self.choose)(request.headers(), request.extensions());
        let id = chosen.unwrap_or_else(RequestId::random);
        request.extensions_mut().insert(id.clone());
        SetRequestIdFuture { inner: self.inner.call(request), id, header: self.header.clone() }
    }
}

pin_project! {
    /// The future of [`SetRequestId`].
    #[derive(Debug)]
    pub struct SetRequestIdFuture<F> {
        #[pin]
        inner: F,
        id: RequestId,
        header: HeaderName,
    }
}

impl<F: Future<Output = Result<Response<R>, E>>, R, E> Future for SetRequestIdFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if !response.headers().contains_key(&*this.header)
            && let Ok(id) = HeaderValue::from_str(this.id.as_str())
        {
            response.headers_mut().insert(this.header.clone(), id);
        }
        response.extensions_mut().insert(this.id.clone());
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::assert_ready_ok;
    use tower_test::mock;

    use super::*;

    type Inner = mock::Mock<Request<&'static str>, Response<u8>>;

    /// Sends `request` through `layer` to a service that returns `response`. Returns the id that the service has seen, and
    /// the response.
    async fn call<C>(
        layer: SetRequestIdLayer<C>,
        request: Request<&'static str>,
        response: Response<u8>,
    ) -> (RequestId, Response<u8>)
    where
        C: Fn(&HeaderMap, &Extensions) -> Option<RequestId> + Clone,
    {
        let (mut service, mut inner) = mock::spawn_with(|inner: Inner| layer.layer(inner));
        assert_ready_ok!(service.poll_ready());
        let answered = service.call(request);
        let (seen, send) = inner.next_request().await.unwrap();
        send.send_response(response);
        (seen.extensions().get::<RequestId>().unwrap().clone(), answered.await.unwrap())
    }

    #[tokio::test]
    async fn a_random_id_is_in_the_request_and_in_the_response() {
        let mut request = Request::new("");
        request.headers_mut().insert("x-request-id", HeaderValue::from_static("of-the-client"));
        let (seen, response) = call(SetRequestIdLayer::new(), request, Response::new(7)).await;
        assert!(seen.as_str().starts_with("req_"), "{seen}");
        assert_eq!(response.headers()[REQUEST_ID], seen.as_str());
        assert_eq!(response.extensions().get(), Some(&seen));
        assert_eq!(response.into_body(), 7);
    }

    #[tokio::test]
    async fn an_id_can_be_chosen_by_the_extensions_and_a_header_of_another_name_be_set() {
        let outer = RequestId::random();
        let mut request = Request::new("");
        request.extensions_mut().insert(outer.clone());
        let layer = SetRequestIdLayer::new()
            .with_ids(|_: &HeaderMap, extensions: &Extensions| extensions.get().cloned())
            .with_header(HeaderName::from_static("x-request-id"));
        let (seen, response) = call(layer, request, Response::new(0)).await;
        assert_eq!(seen, outer);
        assert_eq!(response.headers()["x-request-id"], outer.as_str());
        assert!(!response.headers().contains_key(REQUEST_ID));
    }

    #[tokio::test]
    async fn the_id_of_an_upstream_stays_in_the_header() {
        let response = Response::builder().header(REQUEST_ID, "of-the-upstream").body(0).unwrap();
        let (seen, response) = call(SetRequestIdLayer::new(), Request::new(""), response).await;
        assert_eq!(response.headers()[REQUEST_ID], "of-the-upstream");
        assert_eq!(response.extensions().get(), Some(&seen));
    }

    #[tokio::test]
    async fn an_error_passes_unchanged() {
        let (mut service, mut inner) = mock::spawn_with(|inner: mock::Mock<Request<()>, Response<()>>| {
            SetRequestIdLayer::new().layer(inner)
        });
        assert_ready_ok!(service.poll_ready());
        let answered = service.call(Request::new(()));
        inner.next_request().await.unwrap().1.send_error("down");
        assert_eq!(answered.await.unwrap_err().to_string(), "down");
    }
}
