//! The answer of a message in one piece that has been read: its facts are known before its body passes.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use relay_stream::thinking::{Thinking, may_have_thinking};
use relay_stream::watch::{JsonWatch, StreamEnd, StreamReport};

use crate::answer::{Answer, AnswerBody, AnswerBodyError};
use crate::answer_stats::AnswerStats;
use crate::outcome::Outcome;

/// Makes the answer of `response`, whose body is the message `bytes` with the facts `report`. If the message has thinking, it is
/// reported to the sink that `on_thinking` creates.
pub(crate) fn answer<F>(
    response: Response<AnswerBody>,
    bytes: Bytes,
    report: Box<StreamReport>,
    stats: AnswerStats,
    on_thinking: impl FnOnce() -> F,
) -> Answer
where
    F: FnMut(Thinking) + Send + 'static,
{
    if may_have_thinking(&bytes) {
        let mut watch = JsonWatch::new().with_on_thinking(on_thinking());
        watch.observe(&bytes);
        watch.finish();
    }
    let body = MessageBody { bytes, report: Some(report), stats: stats.clone() };
    Answer::with_stats(Outcome::Success, response.map(|_| AnswerBody::new(body)), stats)
}

/// The body of a message. Its report is complete once the body has ended.
struct MessageBody {
    bytes: Bytes,
    /// `None` after the end.
    report: Option<Box<StreamReport>>,
    stats: AnswerStats,
}

impl MessageBody {
    fn end(&mut self, end: StreamEnd) {
        if let Some(report) = self.report.take() {
            self.stats.set_end(*report, end);
        }
    }
}

impl Body for MessageBody {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        self.end(StreamEnd::Ended);
        let bytes = mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl Drop for MessageBody {
    fn drop(&mut self) {
        self.end(StreamEnd::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use http_body_util::BodyExt;
    use relay_stream::thinking::ThinkingId;

    use super::*;

    /// Makes the answer of `message`. Returns it and the thinking in it.
    fn answered(message: &'static str) -> (Answer, Vec<Thinking>) {
        let bytes = Bytes::from_static(message.as_bytes());
        let report = Box::new(StreamReport::of_message(&bytes).unwrap());
        let (sender, receiver) = mpsc::channel();
        let response = Response::new(AnswerBody::from(bytes.clone()));
        let on_thinking = || move |thinking| sender.send(thinking).unwrap();
        let answer = answer(response, bytes, report, AnswerStats::default(), on_thinking);
        (answer, receiver.iter().collect())
    }

    #[tokio::test]
    async fn the_facts_of_a_message_are_recorded_when_its_body_ends() {
        const MESSAGE: &str = r#"{"type":"message","content":[],"usage":{"output_tokens":7}}"#;
        let (answer, thinking) = answered(MESSAGE);
        assert_eq!(thinking, []);
        assert!(answer.stats.end().is_none() && !answer.is_stream);
        let body = answer.response.into_body();
        assert_eq!(body.size_hint().exact(), Some(MESSAGE.len() as u64));
        assert_eq!(body.collect().await.unwrap().to_bytes(), MESSAGE);
        let (report, end) = answer.stats.end().unwrap();
        assert_eq!((report.usage.output_tokens, *end), (Some(7), StreamEnd::Ended));
        assert!(!answer.stats.is_cut_off());
    }

    #[test]
    fn a_message_that_is_not_sent_is_dropped() {
        let (answer, _) = answered(r#"{"type":"message","content":[]}"#);
        let stats = answer.stats.clone();
        drop(answer);
        assert_eq!(stats.end().unwrap().1, StreamEnd::Dropped);
        assert!(!stats.is_cut_off());
    }

    #[test]
    fn the_thinking_of_a_message_is_reported() {
        let signed = r#"{"type":"message","content":[{"type":"thinking","thinking":"t","signature":"s"}]}"#;
        assert_eq!(answered(signed).1, [Thinking::Signed(ThinkingId::of(b"s"))]);
        let redacted = r#"{"type":"message","content":[{"type":"redacted_thinking","data":"d"}]}"#;
        assert_eq!(answered(redacted).1, [Thinking::Signed(ThinkingId::of(b"d"))]);
        let unsigned = r#"{"type":"message","content":[{"type":"thinking","thinking":"t"}]}"#;
        assert_eq!(answered(unsigned).1, [Thinking::Unsigned]);
    }
}
