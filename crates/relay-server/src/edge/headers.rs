//! The headers that the relay treats alike in each request and in each response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// The headers with credentials.
static CREDENTIALS: [HeaderName; 4] =
    [AUTHORIZATION, HeaderName::from_static("x-api-key"), COOKIE, PROXY_AUTHORIZATION];
/// The header in which a caller names its request.
static CALLERS_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Marks the credentials of each request and the cookies of each response as sensitive, and returns the `x-request-id` of a
/// request with its response.
///
/// A marked value is printed as `Sensitive` by `Debug`, also by a layer of a program, and never enters the tables of a
/// compressed HTTP/2 head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadersLayer;

impl<S> Layer<S> for HeadersLayer {
    type Service = Headers<S>;

    fn layer(&self, inner: S) -> Headers<S> {
        Headers { inner }
    }
}

/// The service of [`HeadersLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Headers<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Headers<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HeadersFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut id = None;
        // One pass costs less than a search for each name.
        for (name, value) in request.headers_mut() {
            if CREDENTIALS.contains(name) {
                value.set_sensitive(true);
            } else if *name == CALLERS_ID && id.is_none() {
                id = Some(value.clone());
            }
        }
        HeadersFuture { inner: self.inner.call(request), id }
    }
}

pin_project! {
    /// The future of [`Headers`].
    pub(crate) struct HeadersFuture<F> {
        #[pin]
        inner: F,
        // The caller's id of the request.
        id: Option<HeaderValue>,
    }
}

impl<F, R, E> Future for HeadersFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let headers = response.headers_mut();
        if headers.contains_key(SET_COOKIE) {
            let cookies = headers.iter_mut().filter(|(name, _)| **name == SET_COOKIE);
            cookies.for_each(|(_, value)| value.set_sensitive(true));
        }
        if let Some(id) = this.id.take()
            && !headers.contains_key(&CALLERS_ID)
        {
            headers.insert(&CALLERS_ID, id);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn credentials_are_not_printed() {
        let service = HeadersLayer.layer(service_fn(|request: Request<()>| async move {
            let printed = format!("{request:?}");
            assert!(!printed.contains("secret") && printed.contains("plain"), "{printed}");
            let response =
                Response::builder().header("set-cookie", "a=secret").header("set-cookie", "b=secret");
            Ok::<_, Infallible>(response.body(()).unwrap())
        }));
        let request = Request::get("/")
            .header("authorization", "Bearer secret")
            .header("x-api-key", "secret-1")
            .header("x-api-key", "secret-2")
            .header("cookie", "a=secret")
            .header("proxy-authorization", "Basic secret")
            .header("x-app", "plain");
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        assert!(!format!("{response:?}").contains("secret"), "{response:?}");
        assert_eq!(response.headers()["set-cookie"], "a=secret");
    }

    #[tokio::test]
    async fn the_id_of_a_caller_is_returned_unless_the_response_has_one() {
        #[track_caller]
        fn check(sent: &[&str], answered: Option<&str>, expected: Option<&str>) {
            let inner = service_fn(|_: Request<()>| {
                let mut response = Response::new(());
                let answered = answered.map(|id| HeaderValue::from_str(id).unwrap());
                response.headers_mut().extend(answered.map(|id| (CALLERS_ID.clone(), id)));
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let request = sent.iter().fold(Request::get("/"), |request, id| request.header(&CALLERS_ID, *id));
            let mut service = HeadersLayer.layer(inner);
            let mut response = tokio_test::task::spawn(service.call(request.body(()).unwrap()));
            let response = tokio_test::assert_ready_ok!(response.poll());
            let found = response.headers().get(&CALLERS_ID).map(|id| id.to_str().unwrap());
            assert_eq!(found, expected);
        }
        check(&[], None, None);
        check(&["a"], None, Some("a"));
        check(&["a", "b"], None, Some("a"));
        check(&["a"], Some("c"), Some("c"));
        check(&[], Some("c"), Some("c"));
    }
}
