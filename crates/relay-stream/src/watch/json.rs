//! Reads a message in one JSON object without delaying or collecting it.

use super::StreamReport;
use crate::lexer::{Lexer, Token};
use crate::thinking::{Thinking, ThinkingWatch};

/// The largest top-level member that is read, in bytes. Members that carry facts have a few hundred bytes.
/// `content`, which may have megabytes, carries none.
const MEMBER_LIMIT: usize = 16 << 10;

/// Follows a Messages response that is not streamed, cut anywhere, and updates a [`StreamReport`]: usage, id,
/// model, stop reason, and the end of the object.
///
/// One top-level member at a time is buffered, up to 16 KiB. A larger member is not read. The watch counts
/// brackets and does not validate: the client parses the message and finds its faults.
///
/// ```
/// use relay_stream::watch::JsonWatch;
///
/// let mut watch = JsonWatch::new();
/// watch.observe(br#"{"id":"msg_1","content":[],"usage":{"outp"#);
/// watch.observe(br#"ut_tokens":7}}"#);
/// assert_eq!(watch.report().usage.output_tokens, Some(7));
/// assert!(watch.report().is_complete());
/// ```
#[derive(Debug, Default)]
pub struct JsonWatch {
    lexer: Lexer,
    /// The number of open brackets. The members of the message are at depth 1.
    depth: usize,
    /// The bytes of the current member, from its key on, up to one byte more than the limit.
    member: Vec<u8>,
    thinking: Option<ThinkingWatch>,
    report: StreamReport,
}

impl JsonWatch {
    /// Creates a watch at the start of a body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a sink for the thinking in the message, before its first byte. Signatures are found in the same
    /// pass as the facts of the report.
    #[must_use]
    pub fn with_on_thinking(self, on_thinking: impl FnMut(Thinking) + Send + 'static) -> Self {
        JsonWatch { thinking: Some(ThinkingWatch::new(on_thinking)), ..self }
    }

    /// Returns the facts found up to now.
    #[must_use]
    pub fn report(&self) -> &StreamReport {
        &self.report
    }

    /// Reads the next bytes of the body.
    pub fn observe(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !self.report.whole
            && let Some(token) = self.lexer.next(&mut rest)
        {
            if let Some(thinking) = &mut self.thinking {
                thinking.observe(token);
            }
            match token {
                Token::Punctuation(byte) => self.punctuation(byte),
                Token::Open | Token::Close => self.keep(b"\""),
                Token::Backslash => self.keep(b"\\"),
                Token::Text(bytes) | Token::Other(bytes) => self.keep(bytes),
            }
        }
    }

    /// Ends the observation at the regular end of the body. Reports [`Thinking::Unsigned`] if there was
    /// thinking without any signature.
    pub fn finish(&mut self) {
        if let Some(thinking) = &mut self.thinking {
            thinking.finish();
        }
    }

    fn punctuation(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 1 {
                    return;
                }
            }
            b',' if self.depth == 1 => return self.end_member(),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.report.whole = true;
                    return self.end_member();
                }
            }
            _ => {}
        }
        self.keep(&[byte]);
    }

    /// Appends `bytes` to the member up to one byte more than the limit, which marks the member as too large.
    fn keep(&mut self, bytes: &[u8]) {
        if self.depth > 0 {
            let room = (MEMBER_LIMIT + 1).saturating_sub(self.member.len());
            self.member.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn end_member(&mut self) {
        if self.member.len() <= MEMBER_LIMIT {
            self.member.insert(0, b'{');
            self.member.push(b'}');
            self.report.add_message(&self.member);
        }
        self.member.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGE: &str = r#"
        { "id": "msg_1", "type": "message", "model": "claude-x",
          "content": [{"type": "text", "text": "a \"quoted\" \\ {brace} , \"usage\":{\"input_tokens\":9}"}],
          "stop_reason": "end_turn", "usage": {"input_tokens": 12, "output_tokens": 34} } "#;

    fn report(chunks: &[&[u8]]) -> StreamReport {
        let mut watch = JsonWatch::new();
        chunks.iter().for_each(|chunk| watch.observe(chunk));
        watch.report().clone()
    }

    #[test]
    fn a_message_is_read() {
        let report = report(&[MESSAGE.as_bytes()]);
        assert_eq!(report.usage.input_tokens, Some(12));
        assert_eq!(report.usage.output_tokens, Some(34));
        assert_eq!(report.id.as_deref(), Some("msg_1"));
        assert_eq!(report.model.as_deref(), Some("claude-x"));
        assert_eq!(report.stop_reason.as_deref(), Some("end_turn"));
        assert!(report.is_complete());
    }

    #[test]
    fn a_part_of_a_message_is_not_complete() {
        let end = MESSAGE.rfind('}').unwrap();
        assert!(!report(&[&MESSAGE.as_bytes()[..end]]).is_complete());
        assert!(!report(&[b""]).is_complete());
        assert!(!report(&[b"<html>"]).is_complete());
    }

    #[test]
    fn a_large_member_is_neither_read_nor_buffered() {
        let text = "x".repeat(1 << 20);
        let body = format!(r#"{{"content":"{text}","usage":{{"output_tokens":5}}}}"#);
        let mut watch = JsonWatch::new();
        for chunk in body.as_bytes().chunks(1000) {
            watch.observe(chunk);
            assert!(watch.member.len() <= MEMBER_LIMIT + 1);
        }
        assert_eq!(watch.report().usage.output_tokens, Some(5));
    }

    proptest! {
        #[test]
        fn every_way_of_chunking_gives_the_same_report(cuts in prop::collection::vec(0..MESSAGE.len(), 0..9)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            cuts.push(MESSAGE.len());
            let mut start = 0;
            let chunks: Vec<_> = cuts.iter().map(|&end| &MESSAGE.as_bytes()[std::mem::replace(&mut start, end)..end]).collect();
            prop_assert_eq!(report(&chunks), report(&[MESSAGE.as_bytes()]));
        }

        #[test]
        fn no_bytes_make_the_watch_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9)) {
            let chunks: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
            report(&chunks);
        }
    }
}
