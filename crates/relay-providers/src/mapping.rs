//! Maps the model's name: to the upstream's name in a request and, if configured, back to the client's name in the
//! answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt;
use relay_config::ModelMapping;
use relay_messages::{Edits, MessagesBody};
use relay_stream::body::MessageStartBody;
use relay_transport::{Start, full, read_start};
use tower::{Layer, Service};

use crate::answer::{Answer, AnswerBody, AttemptError};
use crate::media_type;
use crate::request::{Attempt, Endpoint};

/// The size of a JSON answer up to which it is collected and the client's name of the model restored. A larger answer
/// passes as it is. The longest answers of today's models are below 1 MiB.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Maps model names for one provider.
#[derive(Debug, Clone)]
pub struct ModelMapLayer {
    mapping: Arc<ModelMapping>,
    restore: bool,
}

impl ModelMapLayer {
    /// Creates a layer that replaces the names in `mapping`. With `restore`, an answer contains the client's name of a
    /// mapped model.
    #[must_use]
    pub fn new(mapping: ModelMapping, restore: bool) -> Self {
        Self { mapping: Arc::new(mapping), restore }
    }
}

impl<S> Layer<S> for ModelMapLayer {
    type Service = ModelMap<S>;

    fn layer(&self, inner: S) -> ModelMap<S> {
        ModelMap { inner, settings: self.clone() }
    }
}

/// The service of [`ModelMapLayer`].
#[derive(Debug, Clone)]
pub struct ModelMap<S> {
    inner: S,
    settings: ModelMapLayer,
}

impl<S> Service<Attempt> for ModelMap<S>
where
    S: Service<Attempt, Response = Answer, Error = AttemptError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, AttemptError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut attempt: Attempt) -> Self::Future {
        let client_model = Arc::clone(attempt.request().body().model());
        let Some(target) =
            self.settings.mapping.lookup(&client_model).filter(|target| *target != client_model)
        else {
            return Box::pin(self.inner.call(attempt));
        };
        attempt.set_model(target);
        let restore = self.settings.restore && attempt.request().endpoint() == Endpoint::Messages;
        let answer = self.inner.call(attempt);
        Box::pin(async move {
            let mut answer = answer.await?;
            if restore && answer.response.status().is_success() {
                answer.response = restore_model(answer.response, &client_model).await;
            }
            Ok(answer)
        })
    }
}

/// Replaces the name of the model in `response` with `model`. A body that cannot be read passes as it is.
async fn restore_model(response: Response<AnswerBody>, model: &str) -> Response<AnswerBody> {
    let (mut head, body) = response.into_parts();
    let body = if head.headers.contains_key(CONTENT_ENCODING) {
        body
    } else if media_type::is(&head.headers, media_type::EVENTS) {
        head.headers.remove(CONTENT_LENGTH);
        MessageStartBody::rename(body, model).boxed_unsync()
    } else if media_type::is(&head.headers, media_type::JSON) {
        head.headers.remove(CONTENT_LENGTH);
        restore_in_json(body, model).await
    } else {
        body
    };
    Response::from_parts(head, body)
}

async fn restore_in_json(body: AnswerBody, model: &str) -> AnswerBody {
    // The upstream has begun to answer. Only the idle timeout of the body limits the wait.
    let bytes = match read_start(body, ANSWER_LIMIT, Duration::MAX).await {
        Start::Whole(bytes) => bytes,
        Start::Part(_, body) => return body,
    };
    let Ok(message) = MessagesBody::parse(bytes.clone()) else { return full(bytes) };
    let mut edits = Edits::default();
    edits.set_model(&message, model);
    edits.apply(&message).map_err(|never| match never {}).boxed_unsync()
}
