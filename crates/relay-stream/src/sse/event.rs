//! The fields of one event, read from its block.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use memchr::{memchr, memchr2};

/// One server-sent event. Its fields are borrowed from the block if the block holds them in one piece.
/// ```
/// use bytes::Bytes;
/// use relay_stream::sse::SseParser;
///
/// let mut chunk = Bytes::from("id: 7\nevent: ping\ndata: {\ndata: }\n\n");
/// let block = SseParser::new().parse(&mut chunk)?.expect("the block is complete");
/// let event = block.event().expect("the block has data");
/// assert_eq!((&*event.name, &*event.text(), event.id.as_deref()), ("ping", "{\n}", Some("7")));
/// # Ok::<(), relay_stream::sse::SseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseEvent<'a> {
    /// The `event` field, or `message` if there is none. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub name: Cow<'a, str>,
    /// The `data` fields, joined by LF, as bytes: a parser of JSON checks them for UTF-8 itself. See
    /// [`text`](Self::text).
    pub data: Cow<'a, [u8]>,
    /// The `id` field, if the event has one. By the standard it stays valid for later events without an `id`
    /// field; [`SseEventStream::last_event_id`](super::SseEventStream::last_event_id) returns that value.
    pub id: Option<Cow<'a, str>>,
    /// The `retry` field: the time that a client waits before it reconnects.
    pub retry: Option<Duration>,
}

impl<'a> SseEvent<'a> {
    /// Returns the data as text. By the standard, bytes that are not UTF-8 are replaced by U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.data)
    }

    /// Copies the fields that are borrowed from the block.
    pub fn into_owned(self) -> SseEvent<'static> {
        SseEvent {
            name: Cow::Owned(self.name.into_owned()),
            data: Cow::Owned(self.data.into_owned()),
            id: self.id.map(|id| Cow::Owned(id.into_owned())),
            retry: self.retry,
        }
    }

    /// Reads the fields of a block. Returns `None` for a block without data, which is no event by the
    /// standard.
    pub(crate) fn from_block(block: &'a [u8]) -> Option<Self> {
        Fields::read(block).into_event()
    }
}

/// The fields of a block. A block without data is no event, but its `id` and its `retry` are valid.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    name: &'a [u8],
    data: Option<Cow<'a, [u8]>>,
    /// The last `id` without a NUL.
    pub(crate) id: Option<Cow<'a, str>>,
    /// The last valid `retry`.
    pub(crate) retry: Option<Duration>,
}

impl<'a> Fields<'a> {
    pub(crate) fn read(block: &'a [u8]) -> Self {
        let mut fields = Fields::default();
        for line in Lines::new(block) {
            let (field, value) = field(block, line);
            let value = &block[value];
            match field {
                b"data" => match &mut fields.data {
                    None => fields.data = Some(Cow::Borrowed(value)),
                    Some(joined) => {
                        joined.to_mut().push(b'\n');
                        joined.to_mut().extend_from_slice(value);
                    }
                },
                b"event" => fields.name = value,
                b"id" if !value.contains(&0) => fields.id = Some(String::from_utf8_lossy(value)),
                b"retry" => fields.retry = milliseconds(value).or(fields.retry),
                _ => {}
            }
        }
        fields
    }

    pub(crate) fn into_event(self) -> Option<SseEvent<'a>> {
        let Fields { name, data, id, retry } = self;
        let name = if name.is_empty() { Cow::Borrowed("message") } else { String::from_utf8_lossy(name) };
        data.map(|data| SseEvent { name, data, id, retry })
    }
}

/// Removes the byte order mark with which the first block of a stream may start.
pub(crate) fn without_bom(block: &[u8]) -> &[u8] {
    block.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(block)
}

/// Returns the values of the `data` lines of a block, as ranges of the block.
pub(crate) fn data_lines(block: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    Lines::new(block)
        .map(|line| field(block, line))
        .filter(|(name, _)| *name == b"data")
        .map(|(_, value)| value)
}

/// Returns the last value of the field `name` in a block.
pub(crate) fn field_value<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let fields = Lines::new(block).map(|line| field(block, line));
    fields.filter(|(found, _)| *found == name).last().map(|(_, value)| &block[value])
}

/// Returns the lines of a block that are not fields called `name`, as ranges with their line ends.
pub(crate) fn other_lines<'a>(block: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut lines = Lines::new(block);
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let with_end = line.start..lines.at;
            if field(block, line).0 != name {
                return Some(with_end);
            }
        }
    })
}

/// Splits a line into its field name and the range of its value. The name of a comment is empty.
fn field(block: &[u8], line: Range<usize>) -> (&[u8], Range<usize>) {
    match memchr(b':', &block[line.clone()]) {
        None => (&block[line.clone()], line.end..line.end),
        Some(colon) => {
            let value = line.start + colon + 1;
            let space = usize::from(value < line.end && block[value] == b' ');
            (&block[line.start..line.start + colon], value + space..line.end)
        }
    }
}

/// Parses a `retry` value: digits only, as the standard requires. Any other value, also one larger than a
/// `u64`, is ignored.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok().map(Duration::from_millis)
}

/// Iterates over the lines of a block, as ranges without the line ends.
struct Lines<'a> {
    block: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn new(block: &'a [u8]) -> Self {
        Lines { block, at: 0 }
    }
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        if start >= self.block.len() {
            return None;
        }
        let Some(len) = memchr2(b'\n', b'\r', &self.block[start..]) else {
            self.at = self.block.len();
            return Some(start..self.at);
        };
        let end = start + len;
        let crlf = self.block[end..].starts_with(b"\r\n");
        self.at = end + 1 + usize::from(crlf);
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(block: &str, expected: Option<(&str, &str, Option<&str>, Option<u64>)>) {
        let event = SseEvent::from_block(block.as_bytes());
        let found = event.as_ref().map(|event| {
            let data = std::str::from_utf8(&event.data).unwrap();
            (&*event.name, data, event.id.as_deref(), event.retry.map(|retry| retry.as_millis() as u64))
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_are_parsed_by_the_rules_of_the_standard() {
        check("data: x\n\n", Some(("message", "x", None, None)));
        check("event: a\ndata: x\n\n", Some(("a", "x", None, None)));
        check("data: x\r\nevent: a\r\n\r\n", Some(("a", "x", None, None)));
        check("event:a\rdata:x\r\r", Some(("a", "x", None, None)));
        check("data:  two spaces\n\n", Some(("message", " two spaces", None, None)));
        check("data: a\ndata: b\ndata:\ndata\n\n", Some(("message", "a\nb\n\n", None, None)));
        check("data\n\n", Some(("message", "", None, None)));
        check("id: 7\nretry: 1500\ndata: x\n\n", Some(("message", "x", Some("7"), Some(1500))));
        check("retry: 1500\nretry: soon\ndata: x\n\n", Some(("message", "x", None, Some(1500))));
        check("retry: 99999999999999999999\ndata: x\n\n", Some(("message", "x", None, None)));
        check("id: a\0b\ndata: x\n\n", Some(("message", "x", None, None)));
        check("unknown: 1\nDATA: no\n: comment\ndata: x\n\n", Some(("message", "x", None, None)));
        check("event: a\nevent: b\ndata: x\n\n", Some(("b", "x", None, None)));
        check("data: a:b: c\n\n", Some(("message", "a:b: c", None, None)));
    }

    #[test]
    fn a_block_without_data_is_no_event() {
        check("", None);
        check("\n", None);
        check(": comment\n\n", None);
        check("event: a\n\n", None);
        check("id: 1\n\n", None);
    }

    #[test]
    fn a_single_data_line_is_borrowed() {
        let event = SseEvent::from_block(b"event: a\ndata: x\n\n").unwrap();
        assert!(matches!((event.name, event.data), (Cow::Borrowed(_), Cow::Borrowed(_))));
    }
}
