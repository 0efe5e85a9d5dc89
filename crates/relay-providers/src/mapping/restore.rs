//! Restores the client's name of the model in an answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use pin_project_lite::pin_project;
use relay_messages::{Edits, MessagesBody, media_type};
use relay_stream::body::MessageStartBody;
use relay_stream::rename_model;
use relay_transport::{Gathered, Resumed};

use crate::answer::AnswerBody;

/// The size of a JSON answer up to which it is collected and the client's name of the model restored. A larger answer
/// passes as it is. The longest answers of today's models are below 1 MiB.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Replaces the name of the model in `response` with `model`. A body that cannot be read passes as it is.
pub(super) async fn restore_model<B: Body<Data = Bytes>>(
    response: Response<B>,
    model: &str,
) -> Response<RestoredBody<B>> {
    let (mut head, body) = response.into_parts();
    let inner = if head.headers.contains_key(CONTENT_ENCODING) {
        Restored::Passed { body }
    } else if media_type::is(&head.headers, media_type::EVENTS) {
        head.headers.remove(CONTENT_LENGTH);
        Restored::Events { body: MessageStartBody::rename(body, model) }
    } else if media_type::is(&head.headers, media_type::JSON) {
        head.headers.remove(CONTENT_LENGTH);
        restore_in_json(body, model).await
    } else {
        Restored::Passed { body }
    };
    Response::from_parts(head, RestoredBody { inner })
}

/// Collects `body` and replaces the name in it. Only the body itself limits the wait: the upstream has begun to answer.
async fn restore_in_json<B: Body<Data = Bytes>>(body: B, model: &str) -> Restored<B> {
    let mut rest = Box::pin(body);
    let mut start = Gathered::default();
    let failed = loop {
        if start.len() >= ANSWER_LIMIT {
            break None;
        }
        match rest.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    start.add(data);
                }
            }
            Some(Err(error)) => break Some(error),
            None => return Restored::Whole { body: Full::new(rename(start.into_bytes(), model)) },
        }
    };
    Restored::Resumed { body: Resumed::new(start.into_bytes(), failed, rest) }
}

/// Replaces the name of the model in a JSON answer. Another JSON passes as it is.
fn rename(text: Bytes, model: &str) -> Bytes {
    // Nearly every answer has the usual form, for which this is less than half of the work.
    if let Some(renamed) = rename_model(&text, model) {
        return renamed;
    }
    let Ok(message) = MessagesBody::parse(text.clone()) else { return text };
    let mut edits = Edits::default();
    edits.set_model(&message, model);
    edits.apply(&message).to_bytes()
}

pin_project! {
    /// The body of an answer, with the client's name of the model in it.
    pub struct RestoredBody<B: Body> {
        #[pin]
        inner: Restored<B>,
    }
}

pin_project! {
    #[project = RestoredProjection]
    enum Restored<B: Body> {
        Passed { #[pin] body: B },
        Events { #[pin] body: MessageStartBody<B> },
        Whole { body: Full<Bytes> },
        Resumed { #[pin] body: Resumed<Pin<Box<B>>> },
    }
}

impl<B: Body> RestoredBody<B> {
    /// A body that passes as it is.
    pub(super) fn passed(body: B) -> Self {
        Self { inner: Restored::Passed { body } }
    }
}

impl RestoredBody<AnswerBody> {
    /// Returns the body of an answer within the relay.
    pub(super) fn into_answer(self) -> AnswerBody {
        match self.inner {
            Restored::Passed { body } => body,
            inner => AnswerBody::new(Self { inner }),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for RestoredBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().inner.project() {
            RestoredProjection::Passed { body } => body.poll_frame(cx),
            RestoredProjection::Events { body } => body.poll_frame(cx),
            RestoredProjection::Whole { body } => {
                Pin::new(body).poll_frame(cx).map_err(|never| match never {})
            }
            RestoredProjection::Resumed { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Restored::Passed { body } => body.is_end_stream(),
            Restored::Events { body } => body.is_end_stream(),
            Restored::Whole { body } => body.is_end_stream(),
            Restored::Resumed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Restored::Passed { body } => body.size_hint(),
            Restored::Events { body } => body.size_hint(),
            Restored::Whole { body } => body.size_hint(),
            Restored::Resumed { body } => body.size_hint(),
        }
    }
}
