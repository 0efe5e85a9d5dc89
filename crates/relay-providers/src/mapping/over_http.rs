//! The mapping of a request over HTTP, for any stack of services.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING,
};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use pin_project_lite::pin_project;
use relay_messages::{Edits, MessagesBody, Payload, media_type};
use tower::{BoxError, Service};

use super::layer::{ModelMap, ModelMapLayer};
use super::restore::{RestoredBody, restore_model};

/// The refusal of a request whose body is above the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request body is larger than the limit of {limit} bytes")]
#[non_exhaustive]
pub struct RequestTooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

impl<S, B, R> Service<Request<B>> for ModelMap<S>
where
    S: Service<Request<MappedBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send,
    R::Error: Send,
{
    type Response = Response<RestoredBody<R>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<RestoredBody<R>>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready serves this request.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        if !may_be_message(request.headers()) {
            let response = inner.call(request.map(MappedBody::passed));
            return Box::pin(async { Ok(response.await.map_err(Into::into)?.map(RestoredBody::passed)) });
        }
        let settings = self.settings.clone();
        Box::pin(async move {
            let (request, client_model) = settings.map(request).await?;
            let response = inner.call(request).await.map_err(Into::into)?;
            Ok(match client_model.filter(|_| settings.restore && response.status().is_success()) {
                Some(model) => restore_model(response, &model).await,
                None => response.map(RestoredBody::passed),
            })
        })
    }
}

impl ModelMapLayer {
    /// Reads the body of `request` and maps its model. Returns the client's name of a mapped model.
    async fn map<B>(
        &self,
        request: Request<B>,
    ) -> Result<(Request<MappedBody<B>>, Option<Arc<str>>), BoxError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let body = collect(body, self.request_limit).await?;
        let message = MessagesBody::parse(body.clone()).ok();
        let mapped = message.and_then(|message| {
            let target = self.mapping.lookup(message.model()).filter(|target| target != message.model())?;
            Some((message, target))
        });
        let Some((message, target)) = mapped else {
            return Ok((Request::from_parts(head, MappedBody::read(body.into())), None));
        };
        let mut edits = Edits::default();
        edits.set_model(&message, &target);
        let payload = edits.apply(&message);
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(payload.remaining()));
        head.headers.remove(TRANSFER_ENCODING);
        if self.restore {
            // The name in a compressed answer could not be restored.
            head.headers.remove(ACCEPT_ENCODING);
        }
        Ok((Request::from_parts(head, MappedBody::read(payload)), Some(Arc::clone(message.model()))))
    }
}

/// Returns `true` if the body may be a request of the Messages API.
fn may_be_message(headers: &HeaderMap) -> bool {
    !headers.contains_key(CONTENT_ENCODING)
        && (!headers.contains_key(CONTENT_TYPE) || media_type::is(headers, media_type::JSON))
}

async fn collect<B>(body: B, limit: usize) -> Result<Bytes, BoxError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(RequestTooLarge { limit }.into());
    }
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(RequestTooLarge { limit }.into()),
        Err(error) => Err(error),
    }
}

pin_project! {
    /// The body of a request after the mapping: the client's own, or one that has been read.
    #[derive(Debug, Clone)]
    pub struct MappedBody<B> {
        #[pin]
        inner: Mapped<B>,
    }
}

pin_project! {
    #[derive(Debug, Clone)]
    #[project = MappedProjection]
    enum Mapped<B> {
        Passed { #[pin] body: B },
        Read { payload: Payload },
    }
}

impl<B> MappedBody<B> {
    fn passed(body: B) -> Self {
        Self { inner: Mapped::Passed { body } }
    }

    fn read(payload: Payload) -> Self {
        Self { inner: Mapped::Read { payload } }
    }
}

impl<B: Body<Data = Bytes>> Body for MappedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().inner.project() {
            MappedProjection::Passed { body } => body.poll_frame(cx),
            MappedProjection::Read { payload } => {
                Pin::new(payload).poll_frame(cx).map_err(|never| match never {})
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Mapped::Passed { body } => body.is_end_stream(),
            Mapped::Read { payload } => payload.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Mapped::Passed { body } => body.size_hint(),
            Mapped::Read { payload } => payload.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Channel, Full};
    use relay_config::ModelMapping;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;

    const BODY: &str = r#"{ "model" : "claude-opus-5-5", "max_tokens": 1.0e1, "x": "\u00e9" }"#;
    const MAPPED: &str = r#"{ "model" : "glm", "max_tokens": 1.0e1, "x": "\u00e9" }"#;

    fn layer(restore: bool) -> ModelMapLayer {
        let mapping: ModelMapping = [("claude-opus-5-5", "glm")].into_iter().collect();
        ModelMapLayer::new(mapping, restore)
    }

    fn request(content_type: Option<&str>, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let request =
            Request::builder().header("accept-encoding", "gzip").header(TRANSFER_ENCODING, "chunked");
        let request =
            content_type.into_iter().fold(request, |request, value| request.header(CONTENT_TYPE, value));
        request.body(Full::new(body.into())).unwrap()
    }

    /// Sends `request` through the layer, and asserts the body and the length that the inner service gets.
    async fn check_request(request: Request<Full<Bytes>>, expected: &str) {
        let inner = service_fn(|request: Request<MappedBody<Full<Bytes>>>| async {
            let length =
                request.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap().to_owned());
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            assert!(length.as_ref().is_none_or(|length| *length == body.len().to_string()));
            assert!(length.is_none() || !parts.headers.contains_key(TRANSFER_ENCODING));
            Ok::<_, BoxError>(Response::new(Full::new(body)))
        });
        let response = layer(false).layer(inner).oneshot(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), expected);
    }

    #[tokio::test]
    async fn only_the_model_of_a_message_is_edited() {
        check_request(request(None, BODY), MAPPED).await;
        check_request(request(Some("application/json; charset=utf-8"), BODY), MAPPED).await;
        for other in ["", "no json", "[1]", r#"{"model":5}"#, r#"{"model":"other"}"#, r#"{"x":1}"#] {
            check_request(request(None, other), other).await;
        }
        check_request(request(Some("text/plain"), BODY), BODY).await;
        let mut compressed = request(None, BODY);
        compressed.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        check_request(compressed, BODY).await;
    }

    #[tokio::test]
    async fn a_body_above_the_limit_is_refused_whether_its_length_is_announced_or_not() {
        let inner = service_fn(|_: Request<MappedBody<_>>| async {
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        });
        let limit = BODY.len() - 1;
        let is_refused = |error: BoxError| error.downcast_ref() == Some(&RequestTooLarge { limit });
        let service = layer(false).with_request_limit(limit).layer(inner);
        assert!(is_refused(service.oneshot(request(None, BODY)).await.map(drop).unwrap_err()));

        let inner = service_fn(|_: Request<MappedBody<_>>| async {
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        });
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(2);
        sender.send_data(BODY.into()).await.unwrap();
        drop(sender);
        let service = layer(false).with_request_limit(limit).layer(inner);
        assert!(is_refused(service.oneshot(Request::new(body)).await.map(drop).unwrap_err()));
    }

    /// Answers a mapped request with `answer`, and asserts the body that the client gets.
    async fn check_answer(restore: bool, content_type: &'static str, answer: String, expected: String) {
        let inner = service_fn(move |request: Request<MappedBody<Full<Bytes>>>| {
            assert_eq!(request.headers().contains_key(ACCEPT_ENCODING), !restore);
            let response = Response::builder().header(CONTENT_TYPE, content_type);
            let response =
                response.header(CONTENT_LENGTH, answer.len()).body(Full::<Bytes>::from(answer.clone()));
            std::future::ready(response)
        });
        let response = layer(restore).layer(inner).oneshot(request(None, BODY)).await.unwrap();
        assert_eq!(response.headers().contains_key(CONTENT_LENGTH), !restore || content_type == "text/plain");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), expected);
    }

    #[tokio::test]
    async fn the_clients_name_is_restored_in_json_and_in_events() {
        let json = |model: &str| format!(r#"{{"id":"m", "model":"{model}","content":[]}}"#);
        let event = |model: &str| {
            format!(
                "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{}}}\n\nevent: ping\ndata: {{}}\n\n",
                json(model)
            )
        };
        for (kind, text) in [("application/json", json("glm")), ("text/event-stream", event("glm"))] {
            check_answer(false, kind, text.clone(), text).await;
        }
        check_answer(true, "application/json", json("glm"), json("claude-opus-5-5")).await;
        check_answer(true, "text/event-stream", event("glm"), event("claude-opus-5-5")).await;
        check_answer(true, "text/plain", json("glm"), json("glm")).await;
        check_answer(true, "application/json", "[]".to_owned(), "[]".to_owned()).await;
    }
}
