//! The editor and the filter as adapters of a body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::filter::EventFilter;
use crate::message_start::MessageStartEditor;

/// Forwards an SSE body with its first `message_start` edited; see [`MessageStartEditor`].
pub type MessageStartBody<B> = EditBody<B, MessageStartEditor>;

/// Forwards an SSE body without the events of one name; see [`EventFilter`].
pub type FilterBody<B> = EditBody<B, EventFilter>;

pin_project! {
    /// Forwards an SSE body and applies an edit to it.
    ///
    /// Bytes that the edit buffers are sent before an error, trailers or the end. The length of the body is
    /// unknown while the edit may still change it, so the caller must not copy a `content-length` to the
    /// response.
    #[derive(Debug)]
    pub struct EditBody<B: Body, E> {
        #[pin]
        inner: B,
        edit: E,
        // The result that follows the buffered bytes, which are sent first.
        next: Option<Result<Frame<Bytes>, B::Error>>,
    }
}

impl<B: Body> MessageStartBody<B> {
    /// Wraps `inner`, a body at its start, and replaces the model name by `model`.
    pub fn rename(inner: B, model: &str) -> Self {
        EditBody { inner, edit: MessageStartEditor::rename(model), next: None }
    }

    /// Wraps `inner`, a body at its start, and adds the members that its `message_start` lacks.
    pub fn complete(inner: B) -> Self {
        EditBody { inner, edit: MessageStartEditor::complete(), next: None }
    }
}

impl<B: Body> FilterBody<B> {
    /// Wraps `inner`, a body at its start, and drops the events called `name`.
    pub fn new(inner: B, name: &str) -> Self {
        EditBody { inner, edit: EventFilter::new(name), next: None }
    }
}

/// An edit of a stream of bytes. It is implemented by the two edits of this crate and by nothing else.
pub trait Edit {
    /// Reads the next bytes and returns the bytes to forward.
    fn push(&mut self, chunk: Bytes) -> Bytes;
    /// Returns the buffered bytes at the end of the stream.
    fn finish(&mut self) -> Bytes;
    /// Returns `true` while bytes are buffered.
    fn is_holding(&self) -> bool;
    /// Returns `true` once every further byte is forwarded unchanged and without delay.
    fn is_done(&self) -> bool;
}

impl Edit for MessageStartEditor {
    fn push(&mut self, chunk: Bytes) -> Bytes {
        MessageStartEditor::push(self, chunk)
    }

    fn finish(&mut self) -> Bytes {
        MessageStartEditor::finish(self)
    }

    fn is_holding(&self) -> bool {
        MessageStartEditor::is_holding(self)
    }

    fn is_done(&self) -> bool {
        MessageStartEditor::is_done(self)
    }
}

impl Edit for EventFilter {
    fn push(&mut self, chunk: Bytes) -> Bytes {
        EventFilter::push(self, chunk)
    }

    fn finish(&mut self) -> Bytes {
        EventFilter::finish(self)
    }

    fn is_holding(&self) -> bool {
        EventFilter::is_holding(self)
    }

    fn is_done(&self) -> bool {
        false
    }
}

impl<B: Body<Data = Bytes>, E: Edit> Body for EditBody<B, E> {
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
                        let out = this.edit.push(data);
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
            let held = this.edit.finish();
            if held.is_empty() {
                return Poll::Ready(other);
            }
            *this.next = other;
            return Poll::Ready(Some(Ok(Frame::data(held))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && !self.edit.is_holding() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.edit.is_done() { self.inner.size_hint() } else { SizeHint::default() }
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
    fn events_of_the_name_are_dropped_and_the_rest_is_unchanged() {
        let (odd, rest) = ("event: odd\ndata: 1\n\n", "event: ping\ndata: {}\n\n");
        for script in [
            ScriptedBody::new().data(odd).data(rest),
            ScriptedBody::new().data(rest).data(odd).exact_length(),
            ScriptedBody::new().data("even").pending().data("t: ping\ndata: {}\n\n").trailers(),
            ScriptedBody::new().data(&[odd, rest].concat()[..30]).data(&[odd, rest].concat()[30..]),
        ] {
            assert_eq!(collect(FilterBody::new(script, "odd")), (rest.to_owned(), None));
        }
        let cut = ScriptedBody::new().data("event: o").exact_length();
        assert_eq!(collect(FilterBody::new(cut, "odd")), ("event: o".to_owned(), None));
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
