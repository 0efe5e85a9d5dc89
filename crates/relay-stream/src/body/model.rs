//! [`ModelRewriter`] as a body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::ModelRewriter;

pin_project! {
    /// Passes an SSE body on with the model name of its first `message_start` replaced.
    ///
    /// Holds back what [`ModelRewriter`] holds back, and gives it out before an error, trailers or the end. The length
    /// of the body is unknown until the rewriter is done: do not copy a `content-length` to the response.
    #[derive(Debug)]
    pub struct ModelBody<B: Body> {
        #[pin]
        inner: B,
        rewriter: ModelRewriter,
        // What came after bytes that were held back and go first.
        next: Option<Result<Frame<Bytes>, B::Error>>,
    }
}

impl<B: Body> ModelBody<B> {
    /// Rewrites `inner`, a body at its start, to name `model`.
    pub fn new(inner: B, model: &str) -> Self {
        ModelBody { inner, rewriter: ModelRewriter::new(model), next: None }
    }
}

impl<B: Body<Data = Bytes>> Body for ModelBody<B> {
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
                    Ok(data) if this.rewriter.is_done() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(data) => {
                        let out = this.rewriter.push(data);
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
            let held = this.rewriter.finish();
            if held.is_empty() {
                return Poll::Ready(other);
            }
            *this.next = other;
            return Poll::Ready(Some(Ok(Frame::data(held))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.rewriter.is_done() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rewriter.is_done() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::script::{Script, collect};

    const START: &str = "data: {\"type\":\"message_start\",\"message\":{\"model\":\"a\"}}\n\n";

    #[track_caller]
    fn check(script: Script, expected: &str, error: Option<&str>) {
        let (bytes, found) = collect(ModelBody::new(script, "b"));
        assert_eq!(bytes, expected);
        assert_eq!(found, error);
    }

    #[test]
    fn the_model_is_replaced_and_the_rest_passes() {
        let renamed = START.replace("\"a\"", "\"b\"");
        check(Script::new().data(START).data("data: x"), &format!("{renamed}data: x"), None);
        check(Script::new().data(&START[..20]).pending().data(&START[20..]).trailers(), &renamed, None);
        check(Script::new().data(START).exact_length(), &renamed, None);
        check(Script::new(), "", None);
    }

    #[test]
    fn held_bytes_go_out_before_an_error_and_before_the_end() {
        check(Script::new().data("data: {"), "data: {", None);
        check(Script::new().data("data: {").exact_length(), "data: {", None);
        check(Script::new().data("data: {").trailers(), "data: {", None);
        check(Script::new().data("data: {").error("reset"), "data: {", Some("reset"));
    }

    #[test]
    fn the_length_is_not_announced_before_the_edit() {
        let mut body = ModelBody::new(Script::new().data(START).data("rest").exact_length(), "long name");
        assert_eq!(body.size_hint().exact(), None);
        let mut task = tokio_test::task::spawn(());
        assert!(task.enter(|cx, _| Pin::new(&mut body).poll_frame(cx)).is_ready());
        assert_eq!(body.size_hint().exact(), Some(4));
    }
}
