//! Reads a message in one JSON object without delaying or collecting it.

use super::StreamReport;
use crate::json;
use crate::lexer::{IS_STRUCTURAL, Lexer, Token, find_quote_or_backslash};
use crate::thinking::{Thinking, ThinkingWatch};

/// The largest top-level member that is read, in bytes. Members that carry facts have a few hundred bytes.
/// `content`, which may have megabytes, carries none.
pub(super) const MEMBER_LIMIT: usize = 16 << 10;

/// The number of bytes of a member up to which its key is looked for after each chunk.
const KEY_LOOK: usize = 64;

/// Follows a Messages response that is not streamed, cut anywhere, and updates a [`StreamReport`]: usage, id,
/// model, stop reason, and the end of the object.
///
/// A member inside one chunk is read in place. The start of a member that continues in the next chunk is copied, up to 16 KiB,
/// unless its key shows that it carries no facts. A larger member is not read. The watch counts brackets and does not validate:
/// the client parses the message and finds its faults.
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
    /// The state before the next byte.
    lexer: Lexer,
    /// The number of open brackets. The members of the message are at depth 1.
    depth: usize,
    member: Member,
    thinking: Option<ThinkingWatch>,
    report: StreamReport,
}

/// The part of the current member in earlier chunks.
#[derive(Debug)]
enum Member {
    /// The bytes from the start of the member on.
    Kept(Vec<u8>),
    /// The member carries no facts or is too large.
    Skipped,
}

impl Default for Member {
    fn default() -> Self {
        Self::Kept(Vec::new())
    }
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
        if self.report.whole {
            return;
        }
        let (mut at, mut member) = (0, 0);
        if self.lexer != Lexer::Outside {
            at = self.continue_string(chunk, at);
        }
        while let Some(len) = chunk[at..].iter().position(|&byte| IS_STRUCTURAL[usize::from(byte)]) {
            let found = at + len;
            at = found + 1;
            match chunk[found] {
                b'"' => at = self.string(chunk, at),
                byte => {
                    if let Some(thinking) = &mut self.thinking {
                        thinking.punctuation();
                    }
                    if self.punctuation(byte, &chunk[member..found]) {
                        member = at;
                    }
                    if self.report.whole {
                        return;
                    }
                }
            }
        }
        if self.depth > 0 {
            self.member.keep(&chunk[member..]);
        }
    }

    /// Ends the observation at the regular end of the body. Reports [`Thinking::Unsigned`] if there was
    /// thinking without any signature.
    pub fn finish(&mut self) {
        if let Some(thinking) = &mut self.thinking {
            thinking.finish();
        }
    }

    /// Reads a bracket or a comma after `before`, the part of the current member in this chunk. Returns `true` if a member
    /// starts after it.
    #[inline]
    fn punctuation(&mut self, byte: u8, before: &[u8]) -> bool {
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.depth == 1
            }
            b',' if self.depth == 1 => {
                self.end_member(before);
                true
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.end_member(before);
                    self.report.whole = true;
                }
                false
            }
            _ => false,
        }
    }

    /// Reads a string from `at` on, the place after its opening quote. Returns the place after the part of it in `chunk`.
    #[inline]
    fn string(&mut self, chunk: &[u8], at: usize) -> usize {
        let len = find_quote_or_backslash(&chunk[at..]);
        if let Some(len) = len
            && chunk[at + len] == b'"'
        {
            if let Some(thinking) = &mut self.thinking {
                thinking.string(&chunk[at..at + len]);
            }
            return at + len + 1;
        }
        if let Some(thinking) = &mut self.thinking {
            thinking.observe(Token::Open);
            if len.is_some() {
                thinking.escape();
            }
        }
        self.lexer = Lexer::String;
        self.continue_string(chunk, at)
    }

    /// Reads the next part of a string with escapes or in several chunks. Returns the place after it.
    fn continue_string(&mut self, chunk: &[u8], at: usize) -> usize {
        let mut rest = &chunk[at..];
        match self.thinking.as_mut().filter(|thinking| !thinking.skips_string()) {
            None => self.lexer.skip_string(&mut rest),
            Some(thinking) => {
                while self.lexer != Lexer::Outside
                    && let Some(token) = self.lexer.next(&mut rest)
                {
                    thinking.observe(token);
                }
            }
        }
        chunk.len() - rest.len()
    }

    /// Adds the facts of the current member, which ends with `end`.
    fn end_member(&mut self, end: &[u8]) {
        match &mut self.member {
            Member::Kept(start) if start.is_empty() => {
                if end.len() <= MEMBER_LIMIT {
                    add_member(&mut self.report, end);
                }
                return;
            }
            member => member.keep(end),
        }
        if let Member::Kept(member) = std::mem::take(&mut self.member) {
            add_member(&mut self.report, &member);
        }
    }
}

impl Member {
    /// Appends `bytes`, unless the member is skipped.
    fn keep(&mut self, bytes: &[u8]) {
        let Self::Kept(kept) = self else { return };
        let is_start = kept.len() < KEY_LOOK;
        let is_skipped = bytes.len() > MEMBER_LIMIT - kept.len() || {
            kept.extend_from_slice(bytes);
            is_start && !may_carry_facts(kept)
        };
        if is_skipped {
            *self = Self::Skipped;
        }
    }
}

/// Adds the facts of `member`, the text of one member of a message.
fn add_member(report: &mut StreamReport, member: &[u8]) {
    if let Some((key, value)) = json::first_member(member, StreamReport::reads) {
        report.add_member(key, value);
    }
}

/// Returns `false` if the start of a member shows that it carries no facts.
fn may_carry_facts(start: &[u8]) -> bool {
    json::first_key(start).is_none_or(StreamReport::reads)
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
            assert!(watch.depth == 0 || matches!(watch.member, Member::Skipped));
        }
        assert_eq!(watch.report().usage.output_tokens, Some(5));
    }

    #[test]
    fn a_member_with_facts_above_the_limit_is_not_read_and_its_copy_is_bounded() {
        let body =
            format!(r#"{{"usage":{{"output_tokens":5,"x":"{}"}},"id":"m"}}"#, "x".repeat(MEMBER_LIMIT));
        for size in [1, 1000, body.len()] {
            let mut watch = JsonWatch::new();
            for chunk in body.as_bytes().chunks(size) {
                watch.observe(chunk);
                assert!(!matches!(&watch.member, Member::Kept(kept) if kept.len() > MEMBER_LIMIT));
            }
            assert_eq!(watch.report().usage.output_tokens, None, "chunks of {size} bytes");
            assert_eq!(watch.report().id.as_deref(), Some("m"), "chunks of {size} bytes");
        }
    }

    #[test]
    fn the_last_value_of_a_repeated_member_counts_and_a_malformed_member_has_no_facts() {
        for (body, id) in [
            (r#"{"id":"a","id":"b"}"#, Some("b")),
            (r#"{"id":"a","id":null}"#, Some("a")),
            (r#"{"id":"a" "id":"b"}"#, Some("a")),
            (r#"{"id" "a"}"#, None),
            (r#"{"id":}"#, None),
            (r#"{id:"a"}"#, None),
            (r#"{"\u0069d":"a"}"#, None),
            (r#"{"x":{"id":"a"}}"#, None),
            ("\n{ \"id\" :\t\"a\" }", Some("a")),
            (r#"[{"id":"a"}]"#, None),
        ] {
            let bytes: Vec<_> = body.as_bytes().chunks(1).collect();
            assert_eq!(report(&[body.as_bytes()]).id.as_deref(), id, "{body}");
            assert_eq!(report(&bytes).id.as_deref(), id, "{body}, byte by byte");
        }
    }

    /// Returns the thinking in `text`, token by token.
    fn thinking_of_tokens(text: &[u8]) -> Vec<Thinking> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut thinking = ThinkingWatch::new(move |found| sender.send(found).unwrap());
        let (mut lexer, mut rest) = (Lexer::default(), text);
        while let Some(token) = lexer.next(&mut rest) {
            thinking.observe(token);
        }
        thinking.finish();
        drop(thinking);
        receiver.iter().collect()
    }

    proptest! {
        #[test]
        fn thinking_is_that_of_the_tokens_at_every_cut(
            parts in prop::collection::vec(prop::sample::select(vec![
                "\"signature\"", "\"data\"", "\"thinking\"", "\"redacted_thinking\"", "\"EqQ=\"", "\"a\\/b\"", "\"\"",
                "\"", "\\", ":", ":", ",", " 1", "{", "[",
            ]), 0..20),
            cut in 0_usize..200,
        ) {
            let text = format!("{{{}", parts.concat());
            let (a, b) = text.as_bytes().split_at(cut.min(text.len()));
            let (sender, receiver) = std::sync::mpsc::channel();
            let mut watch = JsonWatch::new().with_on_thinking(move |found| sender.send(found).unwrap());
            watch.observe(a);
            watch.observe(b);
            watch.finish();
            drop(watch);
            prop_assert_eq!(receiver.iter().collect::<Vec<_>>(), thinking_of_tokens(text.as_bytes()));
        }

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
