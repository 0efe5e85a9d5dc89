//! The editor of `message_start` as an adapter of a body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::message_start::MessageStartEditor;

pin_project! {
    /// Forwards an SSE body with its first `message_start` edited; see [`MessageStartEditor`].
    ///
    /// Bytes that the editor buffers are sent before an error, trailers or the end. The length of the body is
    /// unknown while the editor may still change it, so the caller must not copy a `content-length` to the
    /// response.
    /// ```
    /// use http_body_util::{BodyExt, Full};
    /// use relay_stream::body::MessageStartBody;
    ///
    /// # tokio_test::block_on(async {
    /// let start = "data: {\"type\":\"message_start\",\"message\":{\"model\":\"glm\"}}\n\n";
    /// let body = MessageStartBody::rename(Full::new(bytes::Bytes::from(start)), "claude");
    /// assert_eq!(body.collect().await?.to_bytes(), start.replace("glm", "claude"));
    /// # Ok::<(), std::convert::Infallible>(())
    /// # }).unwrap();
    /// ```
    #[derive(Debug)]
    pub struct MessageStartBody<B: Body> {
        #[pin]
        inner: B,
        editor: MessageStartEditor,
        // The result that follows the buffered bytes, which are sent first.
        next: Option<Result<Frame<Bytes>, B::Error>>,
    }
}

impl<B: Body> MessageStartBody<B> {
    /// Wraps `inner`, a body at its start, and replaces the model name by `model`.
    pub fn rename(inner: B, model: &str) -> Self {
        MessageStartBody { inner, editor: MessageStartEditor::rename(model), next: None }
    }

    /// Wraps `inner`, a body at its start, and adds the members that its `message_start` lacks.
    pub fn complete(inner: B) -> Self {
        MessageStartBody { inner, editor: MessageStartEditor::complete(), next: None }
    }
}

impl<B: Body<Data = Bytes>> Body for MessageStartBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if let Some(next) = this.next.take() {
            return Poll::Ready(Some(next));
        }
        loop {
            let other = match ready!(this.inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let out = this.editor.push(data);
                        if out.is_empty() {
                            continue;
                        }
                        return Poll::Ready(Some(Ok(Frame::data(out))));
                    }
                    Err(trailers) => Some(Ok(trailers)),
                },
                Some(Err(error)) => Some(Err(error)),
                None => None,
            };
            let held = this.editor.finish();
            if held.is_empty() {
                return Poll::Ready(other);
            }
            *this.next = other;
            return Poll::Ready(Some(Ok(Frame::data(held))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && !self.editor.is_holding() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.editor.is_done() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::scripted::{ScriptedBody, collect};

    const START: &str = "data: {\"type\":\"message_start\",\"message\":{\"model\":\"a\"}}\n\n";

    #[track_caller]
    fn check(script: ScriptedBody, expected: &str, error: Option<&str>) {
        let (bytes, found) = collect(MessageStartBody::rename(script, "b"));
        assert_eq!(bytes, expected);
        assert_eq!(found, error);
    }

    #[test]
    fn the_model_is_replaced_and_the_rest_is_unchanged() {
        let renamed = START.replace("\"a\"", "\"b\"");
        check(ScriptedBody::new().data(START).data("data: x"), &format!("{renamed}data: x"), None);
        check(ScriptedBody::new().data(&START[..20]).pending().data(&START[20..]).trailers(), &renamed, None);
        check(ScriptedBody::new().data(START).exact_length(), &renamed, None);
        check(ScriptedBody::new(), "", None);
    }

    #[test]
    fn buffered_bytes_are_sent_before_an_error_and_before_the_end() {
        check(ScriptedBody::new().data("data: {"), "data: {", None);
        check(ScriptedBody::new().data("data: {").exact_length(), "data: {", None);
        check(ScriptedBody::new().data("data: {").trailers(), "data: {", None);
        check(ScriptedBody::new().data("data: {").error("reset"), "data: {", Some("reset"));
    }

    #[test]
    fn the_length_is_not_announced_before_the_edit() {
        let mut body = MessageStartBody::rename(
            ScriptedBody::new().data(START).data("rest").exact_length(),
            "long name",
        );
        assert_eq!(body.size_hint().exact(), None);
        let mut task = tokio_test::task::spawn(());
        assert!(task.enter(|cx, _| Pin::new(&mut body).poll_frame(cx)).is_ready());
        assert_eq!(body.size_hint().exact(), Some(4));
    }
}
