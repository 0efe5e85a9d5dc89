//! Turns errors into responses: the outermost layer around any service over `http::Request` whose errors are boxed.
//!
//! ```text
//! request ─▶ Respond ─▶ inner layers ─▶ Ok(response) ──────────────────────────▶ passes
//!                                    └▶ Err(BoxError) ─ known type? ─ yes ─▶ its status, type, message and headers
//!                                                                    └ no ──▶ 500 without details, logged
//! ```
//! Outside of this layer the error is [`Infallible`]: a client always gets a well-formed answer, in the form of Anthropic's
//! API: `{"type":"error","error":{"type","message"},"request_id"}`. The known types are the errors of the public layers
//! ([`auth::Denied`](crate::auth::Denied), [`auth::ModelDenied`](crate::auth::ModelDenied),
//! [`rate_limit::RateLimited`](crate::rate_limit::RateLimited), [`spending::BudgetSpent`](crate::spending::BudgetSpent),
//! [`concurrency::Busy`](crate::concurrency::Busy), [`RequestTooLarge`]) and [`Error`],
//! also as the [`source`](std::error::Error::source) of another error. [`RespondLayer::with_errors`] adds types of your own.
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use relay_messages::ApiError;
//! use relay_server::respond::RespondLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let inner = |_: Request<()>| async { Err::<Response<Full<bytes::Bytes>>, _>(std::fmt::Error) };
//! let layer = RespondLayer::new().with_errors(|error| {
//!     error.is::<std::fmt::Error>().then(|| {
//!         ApiError::new(StatusCode::BAD_REQUEST, "invalid_request_error", "this cannot be formatted")
//!     })
//! });
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(inner));
//!
//! let response = service.oneshot(Request::new(())).await?;
//! assert_eq!(response.status(), 400);
//! let body = response.into_body().collect().await?.to_bytes();
//! let expected = r#"{"type":"error","error":{"type":"invalid_request_error","message":"this cannot be formatted"}}"#;
//! assert_eq!(body, expected);
//! # Ok(())
//! # }
//! ```

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;
use relay_messages::{ApiError, ErrorChain, error_body, error_type};
use relay_providers::RequestTooLarge;
use relay_transport::is_about_open_files;
use tower::{BoxError, Layer, Service};

use crate::auth::{Denied, ModelDenied};
use crate::concurrency::Busy;
use crate::error::Error;
use crate::open_files::NoFreeFile;
use crate::rate_limit::{LimitsError, RateLimited};
use crate::record::RecordHandle;
use crate::request_id::RequestId;
use crate::response::json_response;
use crate::spending::BudgetSpent;

/// The message of the answer to an error of an unknown type. Its details may be confidential, and are logged.
const UNKNOWN: &str =
    "the request failed inside of the service; its log has the reason under this request id";

type OwnErrors = Arc<dyn Fn(&(dyn StdError + 'static)) -> Option<ApiError> + Send + Sync>;

/// Turns errors into responses with Anthropic's error body.
#[derive(Clone, Default)]
pub struct RespondLayer {
    own: Option<OwnErrors>,
}

impl RespondLayer {
    /// Creates a layer that knows the errors of this crate's layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers errors by `answer`, which returns `None` for those that it does not know. The error is tried first, then each
    /// of its sources. At each of them `answer` precedes the known types.
    #[must_use]
    pub fn with_errors(
        mut self,
        answer: impl Fn(&(dyn StdError + 'static)) -> Option<ApiError> + Send + Sync + 'static,
    ) -> Self {
        self.own = Some(Arc::new(answer));
        self
    }
}

impl fmt::Debug for RespondLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RespondLayer").field("has_own_errors", &self.own.is_some()).finish()
    }
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { inner, layer: self.clone(), failed: None }
    }
}

/// The service of [`RespondLayer`].
#[derive(Debug)]
pub struct Respond<S> {
    inner: S,
    layer: RespondLayer,
    /// The error of a failed `poll_ready`, which answers the next request.
    failed: Option<BoxError>,
}

impl<S: Clone> Clone for Respond<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone(), failed: None }
    }
}

impl<S, B, R> Service<Request<B>> for Respond<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<RespondBody<R>>;
    type Error = Infallible;
    type Future = RespondFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.failed.is_none() {
            self.failed = ready!(self.inner.poll_ready(cx)).err().map(Into::into);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let record: Option<RecordHandle> = request.extensions().get().cloned();
        let id = match &record {
            Some(record) => Some(record.id().clone()),
            None => request.extensions().get().cloned(),
        };
        let outcome = match self.failed.take() {
            Some(error) => Outcome::Failed { error: Some(error) },
            None => Outcome::Pending { inner: self.inner.call(request) },
        };
        RespondFuture { outcome, layer: self.layer.clone(), record, id }
    }
}

pin_project! {
    /// The future of [`Respond`].
    pub struct RespondFuture<F> {
        #[pin]
        outcome: Outcome<F>,
        layer: RespondLayer,
        record: Option<RecordHandle>,
        id: Option<RequestId>,
    }
}

pin_project! {
    #[project = OutcomeProjection]
    enum Outcome<F> {
        Pending { #[pin] inner: F },
        Failed { error: Option<BoxError> },
    }
}

impl<F, R, E> Future for RespondFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<RespondBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let error = match this.outcome.project() {
            OutcomeProjection::Pending { inner } => match ready!(inner.poll(cx)) {
                Ok(response) => return Poll::Ready(Ok(response.map(RespondBody::passed))),
                Err(error) => error.into(),
            },
            OutcomeProjection::Failed { error } => {
                error.take().unwrap_or_else(|| unreachable!("polled after completion"))
            }
        };
        let answer = Answer::to(&*error, this.layer.own.as_ref(), this.id.as_ref());
        Poll::Ready(Ok(answer.respond(error, this.record.as_ref(), this.id.as_ref())))
    }
}

/// Builds the response to `error`, and notes it in the record.
pub(crate) fn error_response<B: From<Bytes>>(error: Error, record: Option<&RecordHandle>) -> Response<B> {
    Answer::known(&error).respond(error.into(), record, record.map(RecordHandle::id))
}

/// The answer to an error.
struct Answer {
    error: ApiError,
    headers: HeaderMap,
}

impl Answer {
    /// Finds the answer to `error` or to the first of its sources that has one.
    fn to(error: &(dyn StdError + 'static), own: Option<&OwnErrors>, id: Option<&RequestId>) -> Self {
        let mut next = Some(error);
        let mut limits = HeaderMap::new();
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<LimitsError>() {
                error.limits.write(&mut limits, SystemTime::now());
            }
            let answer = own.and_then(|own| own(error)).map(Self::from);
            if let Some(mut answer) = answer.or_else(|| Self::of_known(error)) {
                answer.headers.extend(limits);
                return answer;
            }
            next = error.source();
        }
        let request_id = id.map(RequestId::as_str);
        tracing::error!(request_id, error = %ErrorChain(error), "a request failed with an unknown error");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let error = ApiError::new(status, error_type(status), UNKNOWN);
        Self { error, headers: limits }
    }

    /// Returns the answer to an error of a known type.
    fn of_known(error: &(dyn StdError + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<Error>() {
            return Some(Self::known(error));
        }
        if let Some(denied) = error.downcast_ref::<Denied>() {
            return Some(Self::known(&Error::from(*denied)));
        }
        if let Some(denied) = error.downcast_ref::<ModelDenied>() {
            return Some(Self::known(&Error::from(denied.clone())));
        }
        if let Some(limited) = error.downcast_ref::<RateLimited>() {
            return Some(Self::known(&Error::from(*limited)));
        }
        if let Some(spent) = error.downcast_ref::<BudgetSpent>() {
            return Some(Self::known(&Error::from(*spent)));
        }
        if let Some(error) = error.downcast_ref::<RequestTooLarge>() {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Some(Self::from(ApiError::new(status, error_type(status), error.to_string())));
        }
        error.downcast_ref::<Busy>().map(|busy| Self::known(&Error::from(*busy)))
    }

    fn known(error: &Error) -> Self {
        let mut headers = HeaderMap::new();
        error.write_headers(&mut headers);
        Self { error: ApiError::new(error.status(), error.kind(), error.message()), headers }
    }

    /// Builds the response, and notes the error and its route in the record.
    fn respond<B: From<Bytes>>(
        self,
        error: BoxError,
        record: Option<&RecordHandle>,
        id: Option<&RequestId>,
    ) -> Response<B> {
        let Self { error: ApiError { status, kind, message, .. }, headers } = self;
        let body = error_body(kind, &message, id.map(RequestId::as_str));
        let mut response = json_response(status, body);
        response.headers_mut().extend(headers);
        if is_about_open_files(&*error) {
            response.extensions_mut().insert(NoFreeFile);
        }
        if let Some(record) = record {
            record.set_error(message);
            let error = error.downcast::<LimitsError>().map_or_else(|error| error, |error| error.source);
            if let Ok(Error::Route(error)) = error.downcast().map(|error| *error) {
                record.set_route(error.trace, false);
            }
        }
        response
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        Self { error, headers: HeaderMap::new() }
    }
}

pin_project! {
    /// The body of a response: the inner service's, or that of an error.
    #[derive(Debug)]
    pub struct RespondBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = InnerProjection]
    enum Inner<B> {
        Passed { #[pin] body: B },
        Error { body: Full<Bytes> },
    }
}

impl<B> RespondBody<B> {
    fn passed(body: B) -> Self {
        Self { inner: Inner::Passed { body } }
    }
}

impl<B> From<Bytes> for RespondBody<B> {
    fn from(body: Bytes) -> Self {
        Self { inner: Inner::Error { body: Full::new(body) } }
    }
}

impl<B: Body<Data = Bytes>> Body for RespondBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().inner.project() {
            InnerProjection::Passed { body } => body.poll_frame(cx),
            InnerProjection::Error { body } => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Passed { body } => body.is_end_stream(),
            Inner::Error { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Passed { body } => body.size_hint(),
            Inner::Error { body } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, RETRY_AFTER};
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::{ServiceExt, service_fn};

    use super::*;

    type Inner = Result<Response<Full<Bytes>>, BoxError>;

    async fn answer(error: BoxError) -> (StatusCode, HeaderMap, Value) {
        let mut error = Some(error);
        let inner = service_fn(move |_: Request<()>| std::future::ready(Inner::Err(error.take().unwrap())));
        let mut request = Request::new(());
        request.extensions_mut().insert(RequestId::random());
        let response = RespondLayer::new().layer(inner).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        (head.status, head.headers, body)
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] BoxError);

    #[tokio::test]
    async fn errors_have_their_status_type_and_headers_also_as_a_source() {
        async fn check(error: BoxError, status: u16, kind: &str, retry_after: Option<&str>) {
            let message = error.to_string();
            let nested = answer(Outer(Outer(error).into()).into()).await;
            let (found, headers, body) = nested;
            assert_eq!(found, status, "{body}");
            assert_eq!(headers[CONTENT_TYPE], "application/json");
            assert_eq!(headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap()), retry_after);
            assert_eq!(
                (&body["type"], &body["error"]),
                (&json!("error"), &json!({"type": kind, "message": message}))
            );
            assert!(body["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{body}");
        }
        check(Denied::Unknown.into(), 401, "authentication_error", None).await;
        check(Denied::Several.into(), 401, "authentication_error", None).await;
        let denied =
            crate::auth::Client::new("a").with_models([relay_config::Pattern::new("m")]).check_model("x");
        check(denied.unwrap_err().into(), 403, "permission_error", None).await;
        check(Busy { limit: 3 }.into(), 503, "overloaded_error", Some("1")).await;
        check(Error::BodyTooLarge { limit: 5 }.into(), 413, "request_too_large", None).await;
    }

    #[tokio::test]
    async fn an_unknown_error_has_no_details() {
        let (status, _, body) = answer(Outer("the password is 1234".into()).into()).await;
        assert_eq!((status.as_u16(), &body["error"]["message"]), (500, &json!(UNKNOWN)));
        assert_eq!(body["error"]["type"], "api_error");
    }

    #[tokio::test]
    async fn an_inner_service_that_is_never_ready_answers_with_its_error() {
        #[derive(Clone)]
        struct Failed;
        impl Service<Request<()>> for Failed {
            type Response = Response<Full<Bytes>>;
            type Error = BoxError;
            type Future = std::future::Ready<Inner>;
            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
                Poll::Ready(Err(Busy { limit: 1 }.into()))
            }
            fn call(&mut self, _: Request<()>) -> Self::Future {
                panic!("called without being ready")
            }
        }
        let response = RespondLayer::new().layer(Failed).oneshot(Request::new(())).await.unwrap();
        assert_eq!(response.status(), 503);
    }
}
