//! Reading a message that comes as one JSON object, without holding it up or keeping it.

use memchr::memchr2;

use super::StreamReport;

/// Bytes of one top-level member that are kept. Those that carry facts have a few hundred; `content`, which may have
/// megabytes, is not among them.
const MEMBER_LIMIT: usize = 16 << 10;

/// Follows a Messages response that is not streamed, cut anywhere, and keeps a [`StreamReport`] up to date: usage, id,
/// model, stop reason, and whether the object has ended.
///
/// Of the object one top-level member is held at a time, up to 16 KiB of it; a larger one passes unread. It does not
/// validate: brackets are counted, and what is malformed inside of them is for the client to find.
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
    place: Place,
    /// Brackets that are open; 1 is among the members of the message.
    depth: usize,
    /// The member that is being read, from its key on, as far as it fits.
    member: Vec<u8>,
    report: StreamReport,
}

/// What the next byte belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    String,
    /// Behind a backslash.
    Escape,
    /// Behind the object.
    End,
}

impl JsonWatch {
    /// A watch at the start of a body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known so far.
    #[must_use]
    pub fn report(&self) -> &StreamReport {
        &self.report
    }

    /// Takes note of the next bytes of the body.
    pub fn observe(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = match self.place {
                Place::End => return,
                Place::Escape => {
                    self.place = Place::String;
                    self.keep(&rest[..1]);
                    &rest[1..]
                }
                Place::String => self.string(rest),
                Place::Outside => self.outside(rest),
            };
        }
    }

    /// Goes on to the end of the string, or to the next escape in it.
    fn string<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let Some(at) = memchr2(b'"', b'\\', rest) else {
            self.keep(rest);
            return &[];
        };
        self.place = if rest[at] == b'"' { Place::Outside } else { Place::Escape };
        self.keep(&rest[..=at]);
        &rest[at + 1..]
    }

    /// Goes on to the start of the next string, or over the next bracket or comma.
    fn outside<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let is_special = |byte: &u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']' | b',');
        let Some(at) = rest.iter().position(is_special) else {
            self.keep(rest);
            return &[];
        };
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        self.keep(before);
        match rest[at] {
            b'"' => self.place = Place::String,
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 1 {
                    return after;
                }
            }
            b',' if self.depth == 1 => {
                self.end_member();
                return after;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.end_member();
                    self.report.whole = true;
                    self.place = Place::End;
                    return &[];
                }
            }
            _ => {}
        }
        self.keep(&rest[at..=at]);
        after
    }

    /// Adds to the member as much as the limit allows, and a byte more to show that it is too large.
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
    fn a_part_is_not_complete() {
        let end = MESSAGE.rfind('}').unwrap();
        assert!(!report(&[&MESSAGE.as_bytes()[..end]]).is_complete());
        assert!(!report(&[b""]).is_complete());
        assert!(!report(&[b"<html>"]).is_complete());
    }

    #[test]
    fn a_large_member_passes_unread_and_is_not_kept() {
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
        fn every_way_of_cutting_gives_the_same_report(cuts in prop::collection::vec(0..MESSAGE.len(), 0..9)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            cuts.push(MESSAGE.len());
            let mut start = 0;
            let chunks: Vec<_> = cuts.iter().map(|&end| &MESSAGE.as_bytes()[std::mem::replace(&mut start, end)..end]).collect();
            prop_assert_eq!(report(&chunks), report(&[MESSAGE.as_bytes()]));
        }

        #[test]
        fn nothing_panics(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9)) {
            let chunks: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
            report(&chunks);
        }
    }
}
