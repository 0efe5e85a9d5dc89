//! The answer of a message in one piece that has been read: its facts are known before its body passes.

use bytes::Bytes;
use http::Response;
use relay_stream::thinking::{Thinking, may_have_thinking};
use relay_stream::watch::{JsonWatch, StreamEnd, StreamReport};

use crate::answer::{Answer, AnswerBody};
use crate::answer_stats::AnswerStats;
use crate::outcome::Outcome;

/// Makes the answer of `response`, whose body is the message `bytes` with the facts `report`. The upstream has sent all of it, so
/// that its end is recorded at once. If the message has thinking, it is reported to the sink that `on_thinking` creates.
pub(crate) fn answer<F>(
    response: Response<AnswerBody>,
    bytes: &Bytes,
    report: StreamReport,
    stats: AnswerStats,
    on_thinking: impl FnOnce() -> F,
) -> Answer
where
    F: FnMut(Thinking) + Send + 'static,
{
    if may_have_thinking(bytes) {
        let mut watch = JsonWatch::new().with_on_thinking(on_thinking());
        watch.observe(bytes);
        watch.finish();
    }
    stats.set_end(report, StreamEnd::Ended);
    Answer::with_stats(Outcome::Success, response, stats)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use http_body::Body;
    use http_body_util::BodyExt;
    use relay_stream::thinking::ThinkingId;

    use super::*;

    /// Makes the answer of `message`. Returns it and the thinking in it.
    fn answered(message: &'static str) -> (Answer, Vec<Thinking>) {
        let bytes = Bytes::from_static(message.as_bytes());
        let report = StreamReport::of_message(&bytes).unwrap();
        let (sender, receiver) = mpsc::channel();
        let response = Response::new(AnswerBody::from(bytes.clone()));
        let on_thinking = || move |thinking| sender.send(thinking).unwrap();
        let answer = answer(response, &bytes, report, AnswerStats::default(), on_thinking);
        (answer, receiver.iter().collect())
    }

    #[tokio::test]
    async fn the_facts_of_a_message_are_known_before_its_body_is_read() {
        const MESSAGE: &str = r#"{"type":"message","content":[],"usage":{"output_tokens":7}}"#;
        let (answer, thinking) = answered(MESSAGE);
        assert_eq!(thinking, []);
        let (report, end) = answer.stats.end().unwrap();
        assert_eq!((report.usage.output_tokens, *end), (Some(7), StreamEnd::Ended));
        assert!(!answer.stats.is_cut_off() && !answer.is_stream);
        let body = answer.response.into_body();
        assert_eq!(body.size_hint().exact(), Some(MESSAGE.len() as u64));
        assert_eq!(body.collect().await.unwrap().to_bytes(), MESSAGE);
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
