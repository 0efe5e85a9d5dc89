//! Distinguishes the events of a stream from its keep-alives.

use memchr::{memchr2, memrchr2};

use crate::json;

/// The names, and values of `type`, that upstreams and proxies give to keep-alive events.
const KEEP_ALIVES: [&str; 5] = ["ping", "keepalive", "keep-alive", "keep_alive", "heartbeat"];

/// The beginning of nearly all events, which are content.
const CONTENT: &[u8] = b"event: content_block_";

/// The longest line that can be a keep-alive, in bytes. A longer line is a part of an event.
const LINE_LIMIT: usize = 256;

/// Follows an SSE stream, cut anywhere, and finds the chunks with something other than keep-alives.
///
/// Keep-alives are comments, blank lines, and pings: events whose name or `type` is that of a keep-alive. An upstream, or a
/// proxy before it, also sends them while no answer will ever follow.
/// ```
/// use relay_stream::watch::ActivityWatch;
///
/// let mut watch = ActivityWatch::new();
/// assert!(!watch.observe(b": keep-alive\n\nevent: ping\ndata: {\"type\""));
/// assert!(!watch.observe(b": \"ping\"}\n\n"));
/// assert!(watch.observe(b"event: content_block_delta\n"));
/// ```
/// A chunk with an event costs one look at its first line and at its last one.
#[derive(Debug, Default)]
pub struct ActivityWatch {
    line: Line,
    /// True inside an event with the name of a keep-alive.
    in_keep_alive: bool,
    /// True if the last byte was a CR. An LF directly after it ends the same line.
    after_cr: bool,
}

/// The line that continues in the next chunk.
#[derive(Debug, Default)]
enum Line {
    /// No byte of the line has arrived.
    #[default]
    New,
    /// The start of a line that may be a keep-alive.
    Short(Vec<u8>),
    /// A part of an event.
    Event,
    /// A comment.
    Comment,
}

impl ActivityWatch {
    /// Creates a watch at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes of the stream. Returns `true` if they contain a part of an event that is no keep-alive. The start
    /// of a line that may still become a keep-alive counts once the line is complete.
    #[inline]
    pub fn observe(&mut self, chunk: &[u8]) -> bool {
        if matches!(self.line, Line::New) && chunk.starts_with(CONTENT) && chunk.ends_with(b"\n\n") {
            // The first line is a part of an event, and no line continues in the next chunk.
            (self.in_keep_alive, self.after_cr) = (false, false);
            return true;
        }
        self.observe_lines(chunk)
    }

    fn observe_lines(&mut self, chunk: &[u8]) -> bool {
        let mut rest = chunk;
        while let Some(len) = memchr2(b'\n', b'\r', rest) {
            if std::mem::replace(&mut self.after_cr, rest[len] == b'\r') && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            if self.ends_event_line(&rest[..len]) {
                self.skip_to_last_line(&rest[len..]);
                return true;
            }
            rest = &rest[len + 1..];
        }
        self.begin_line(rest)
    }

    /// Ends the current line with `end`. Returns `true` if it is a part of an event that is no keep-alive.
    fn ends_event_line(&mut self, end: &[u8]) -> bool {
        match std::mem::take(&mut self.line) {
            Line::New => self.is_event(end),
            Line::Short(mut line) => {
                line.extend_from_slice(end);
                self.is_event(&line)
            }
            Line::Event => true,
            Line::Comment => false,
        }
    }

    /// Returns `true` if a complete line is a part of an event that is no keep-alive.
    fn is_event(&mut self, line: &[u8]) -> bool {
        let value = |name: &[u8]| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(b":"));
        if line.is_empty() {
            self.in_keep_alive = false;
        } else if let Some(name) = value(b"event") {
            self.in_keep_alive = is_keep_alive(name);
            return !self.in_keep_alive;
        } else if let Some(data) = value(b"data").map(<[u8]>::trim_ascii) {
            return !self.in_keep_alive && !data.is_empty() && !has_keep_alive_type(data);
        }
        false
    }

    /// Skips the lines of `rest` up to the last one, which is incomplete.
    fn skip_to_last_line(&mut self, rest: &[u8]) {
        (self.in_keep_alive, self.after_cr) = (false, rest.ends_with(b"\r"));
        let start = memrchr2(b'\n', b'\r', rest).map_or(0, |end| end + 1);
        self.begin_line(&rest[start..]);
    }

    /// Adds `bytes` to the current line, which they do not end. Returns `true` if the line is a part of an event that is no
    /// keep-alive.
    fn begin_line(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return false;
        }
        self.after_cr = false;
        self.line = match std::mem::take(&mut self.line) {
            Line::New if bytes.starts_with(b":") => Line::Comment,
            Line::New if bytes.len() <= LINE_LIMIT => Line::Short(bytes.to_vec()),
            Line::Short(mut line) if line.len() + bytes.len() <= LINE_LIMIT => {
                line.extend_from_slice(bytes);
                Line::Short(line)
            }
            Line::Comment => Line::Comment,
            Line::New | Line::Short(_) | Line::Event => Line::Event,
        };
        matches!(self.line, Line::Event)
    }
}

fn is_keep_alive(name: &[u8]) -> bool {
    let name = name.trim_ascii();
    KEEP_ALIVES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Returns `true` for an object whose `type` is that of a keep-alive.
fn has_keep_alive_type(data: &[u8]) -> bool {
    data.len() <= LINE_LIMIT
        && json::get_string(data, "type").is_some_and(|kind| is_keep_alive(kind.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns `true` if some chunk of the stream is active.
    fn is_active(chunks: &[&[u8]]) -> bool {
        let mut watch = ActivityWatch::new();
        chunks.iter().fold(false, |active, chunk| watch.observe(chunk) | active)
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        for cut in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(is_active(&[a, b]), expected, "{text:?}, cut at {cut}");
        }
        let single: Vec<_> = text.as_bytes().chunks(1).collect();
        assert_eq!(is_active(&single), expected, "{text:?}");
        assert_eq!(is_active(&[text.replace('\n', "\r\n").as_bytes()]), expected, "{text:?} with CRLF");
        assert_eq!(is_active(&[text.replace('\n', "\r").as_bytes()]), expected, "{text:?} with CR");
    }

    #[test]
    fn keep_alives_in_any_spelling_are_no_activity() {
        for keep_alive in [
            "",
            "\n",
            "\n\n\n",
            ":\n\n",
            ": keep-alive\n\n",
            ":keep-alive",
            "event: ping\ndata: {\"type\": \"ping\"}\n\n",
            "event:ping\ndata:{}\n\n",
            "event: ping\n\n",
            "event: PING \ndata: 1\n\n",
            "data: {\"type\":\"ping\"}\n\n",
            "data: { \"seq\" : 1, \"type\" : \"ping\" }\n\n",
            "event: keepalive\ndata: now\n\n",
            "data:\n\n",
            "data: \n\n",
            "id: 7\nretry: 100\n\n",
            "event: heartbeat\ndata: {}\n\n: x\n\nevent: ping\ndata: {}\n\n",
        ] {
            check(keep_alive, false);
            check(&keep_alive.repeat(20), false);
        }
        check(&format!(": {}\n\n", " ".repeat(5000)), false);
    }

    #[test]
    fn events_are_activity() {
        for event in [
            "event: content_block_delta\n",
            "data: {\"type\":\"content_block_delta\"}\n",
            "data: 1\n",
            "data: [DONE]\n",
            "event: ping\ndata: {}\n\ndata: {}\n\n",
            ": x\n\nevent: error\n",
            "event: ping\nevent: message_stop\n",
            "event: pingpong\n",
        ] {
            check(event, true);
        }
        check(&format!("data: {}", "x".repeat(LINE_LIMIT)), true);
        let ping_in_text = "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"ping\"}}\n";
        check(ping_in_text, true);
    }

    #[test]
    fn the_state_after_whole_events_of_content_is_that_between_two_lines() {
        let content = b"event: content_block_delta\r\ndata: {}\n\n";
        for before in ["", "event: ping\n", "event: ping\r", "data: x", ": x", "eve"] {
            for after in ["\n", "data: {}\n", "event: ping\n", "x"] {
                let (mut fast, mut slow) = (ActivityWatch::new(), ActivityWatch::new());
                assert_eq!(fast.observe(before.as_bytes()), slow.observe_lines(before.as_bytes()));
                assert_eq!(fast.observe(content), slow.observe_lines(content), "{before:?}");
                assert_eq!(
                    fast.observe(after.as_bytes()),
                    slow.observe_lines(after.as_bytes()),
                    "{before:?}, {after:?}"
                );
            }
        }
    }

    #[test]
    fn every_part_of_a_long_event_is_activity() {
        let mut watch = ActivityWatch::new();
        assert!(watch.observe(&[b"data: ".as_slice(), &[b'x'; LINE_LIMIT]].concat()));
        assert!(watch.observe(b"y") && watch.observe(b"z\n"));
        assert!(!watch.observe(b"\n: x\n\n"));
    }
}
