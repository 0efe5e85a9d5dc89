//! The encoder: an event in, its bytes out.

use bytes::BytesMut;
use memchr::memchr2;

use crate::json;

/// Appends `event: name`, `data: …` and the blank line to `out`.
///
/// If `data` contains line ends, which JSON may have between its tokens, it becomes several `data` lines. A
/// parser joins them with LF, so one event always stays one event. A `name` is cut at its first line end. An
/// empty `name` writes no `event` line.
/// ```
/// let mut out = bytes::BytesMut::new();
/// relay_stream::sse::write_event("ping", br#"{"type": "ping"}"#, &mut out);
/// assert_eq!(out, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
/// ```
#[inline]
pub fn write_event(name: &str, data: &[u8], out: &mut BytesMut) {
    let name = memchr2(b'\n', b'\r', name.as_bytes()).map_or(name, |end| &name[..end]);
    write_named(name, data, out);
}

/// Appends the event as [`write_event`] does. `name` is one line.
#[inline]
pub(crate) fn write_named(name: &str, data: &[u8], out: &mut BytesMut) {
    out.reserve("event: \ndata: \n\n".len() + name.len() + data.len());
    if !name.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\n");
    }
    out.extend_from_slice(b"data: ");
    let mut rest = data;
    while let Some(len) = memchr2(b'\n', b'\r', rest) {
        let crlf = rest[len..].starts_with(b"\r\n");
        out.extend_from_slice(&rest[..len]);
        out.extend_from_slice(b"\ndata: ");
        rest = &rest[len + 1 + usize::from(crlf)..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\n\n");
}

/// Appends an `error` event of the Messages API. `kind` is the type of the error, for example
/// `overloaded_error`.
pub fn write_error_event(kind: &str, message: &str, out: &mut BytesMut) {
    let (kind, message) = (json::quote(kind), json::quote(message));
    let data = format!(r#"{{"type":"error","error":{{"type":{kind},"message":{message}}}}}"#);
    write_event("error", data.as_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, data: &str, expected: &str) {
        let mut out = BytesMut::new();
        write_event(name, data.as_bytes(), &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn an_event_is_written_as_one_event_with_any_content() {
        check("a", "{}", "event: a\ndata: {}\n\n");
        check("", "{}", "data: {}\n\n");
        check("a", "", "event: a\ndata: \n\n");
        check("a", "{\n\"b\":1\r\n}\r", "event: a\ndata: {\ndata: \"b\":1\ndata: }\ndata: \n\n");
        let mut out = BytesMut::new();
        write_error_event("api_error", "say \"no\"\n", &mut out);
        let json = r#"{"type":"error","error":{"type":"api_error","message":"say \"no\"\n"}}"#;
        assert_eq!(out, format!("event: error\ndata: {json}\n\n"));
        check("a\ndata: injected", "{}", "event: a\ndata: {}\n\n");
    }
}
