//! The layer that carries a verifier's decision.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};

use super::verifier::Verifier;

/// Admits the clients that a [`Verifier`] identifies. An admitted request has its client in the extensions, and no
/// credential that the verifier has removed.
///
/// The errors of the service are the verifier's and those of the inner service, each boxed. The inner service is called
/// only for an admitted request.
#[derive(Debug, Clone)]
pub struct AuthLayer<V> {
    verifier: V,
}

impl<V: Verifier> AuthLayer<V> {
    /// Creates a layer with this verifier. The verifier is cloned with each service: share state in an `Arc`.
    #[must_use]
    pub fn new(verifier: V) -> Self {
        Self { verifier }
    }
}

impl<S, V: Clone> Layer<S> for AuthLayer<V> {
    type Service = Auth<S, V>;

    fn layer(&self, inner: S) -> Auth<S, V> {
        Auth { inner, verifier: self.verifier.clone() }
    }
}

/// The service of [`AuthLayer`].
#[derive(Debug, Clone)]
pub struct Auth<S, V> {
    inner: S,
    verifier: V,
}

impl<S, V, B, R> Service<Request<B>> for Auth<S, V>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    V: Verifier,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = AuthFuture<V::Future, S, Request<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let verdict = self.verifier.verify(&mut head);
        // The service that was polled ready serves this request. Its clone is polled before the next one.
        let clone = self.inner.clone();
        let call = Some((mem::replace(&mut self.inner, clone), Request::from_parts(head, body)));
        AuthFuture { state: State::Verifying { verdict, call } }
    }
}

pin_project! {
    /// The future of [`Auth`].
    pub struct AuthFuture<F, S: Service<Q>, Q> {
        #[pin]
        state: State<F, S, Q, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, S, Q, G> {
        Verifying { #[pin] verdict: F, call: Option<(S, Q)> },
        Serving { #[pin] response: G },
    }
}

impl<F, S, B, C, E> Future for AuthFuture<F, S, Request<B>>
where
    F: Future<Output = Result<C, E>>,
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
    C: Clone + Send + Sync + 'static,
    E: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let response = match this.state.as_mut().project() {
                StateProjection::Serving { response } => return response.poll(cx).map_err(Into::into),
                StateProjection::Verifying { verdict, call } => {
                    let client = ready!(verdict.poll(cx)).map_err(Into::into)?;
                    let Some((mut inner, mut request)) = call.take() else {
                        unreachable!("polled after completion")
                    };
                    request.extensions_mut().insert(client);
                    inner.call(request)
                }
            };
            this.state.set(State::Serving { response });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::request::Parts;
    use tokio::time::Instant;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::auth::{Client, ConfiguredKeys, Denied};

    fn request(key: &str) -> Request<()> {
        Request::get("/").header("x-api-key", key).body(()).unwrap()
    }

    fn keys() -> AuthLayer<ConfiguredKeys> {
        AuthLayer::new(ConfiguredKeys::default().with_key("alice", relay_config::Secret::new("good")))
    }

    #[tokio::test]
    async fn unknown_key_is_refused_before_the_inner_service_is_called() {
        let inner = service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<()>, BoxError>> {
            panic!("the inner service was called")
        });
        let error = keys().layer(inner).oneshot(request("bad")).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Denied::Unknown)));
    }

    #[tokio::test]
    async fn an_admitted_request_has_its_client_and_no_credential() {
        let inner = service_fn(|request: Request<()>| async move {
            assert!(request.headers().is_empty());
            let name = request.extensions().get::<Client>().and_then(Client::name).map(str::to_owned);
            Ok::<_, BoxError>(Response::new(name))
        });
        let response = keys().layer(inner).oneshot(request("good")).await.unwrap();
        assert_eq!(response.into_body().as_deref(), Some("alice"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_verifier_may_wait_and_the_inner_service_is_called_afterwards() {
        #[derive(Clone)]
        struct User(u8);
        let layer = AuthLayer::new(std::sync::Arc::new(|head: &mut Parts| {
            let is_known = head.headers.remove("x-api-key").is_some();
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                is_known.then_some(User(7)).ok_or("not known")
            }
        }));
        let inner = service_fn(|request: Request<()>| async move {
            let user = request.extensions().get::<User>().map(|user| user.0);
            Ok::<_, BoxError>(Response::new(user))
        });
        let start = Instant::now();
        let served = layer.layer(inner).oneshot(request("x")).await.unwrap();
        assert_eq!((served.into_body(), start.elapsed()), (Some(7), Duration::from_secs(1)));
        let refused = layer.layer(inner).oneshot(Request::new(())).await;
        assert_eq!(refused.unwrap_err().to_string(), "not known");
    }
}
