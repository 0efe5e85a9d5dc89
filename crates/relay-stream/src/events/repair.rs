//! The bytes that replace an event.

use bytes::{BufMut, BytesMut};

use crate::json;
use crate::sse::{other_lines, write_error_event};

/// The types of errors that Anthropic's API has.
///
/// # Source
/// Anthropic's documentation of errors.
const ERROR_TYPES: [&str; 10] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "api_error",
    "overloaded_error",
];

/// The bytes of a foreign error's text that become the message.
const MESSAGE_LIMIT: usize = 1024;

/// Appends `block` with the name `name` in the place of its own.
pub(crate) fn write_renamed(name: &str, block: &[u8], out: &mut BytesMut) {
    out.reserve(name.len() + block.len() + "event: \n".len());
    out.put_slice(b"event: ");
    out.put_slice(name.as_bytes());
    out.put_u8(b'\n');
    for line in other_lines(block, b"event") {
        out.put_slice(&block[line]);
    }
}

/// Appends an `error` event in Anthropic's form for `data`, an error in another form.
pub(crate) fn write_foreign_error(data: &[u8], out: &mut BytesMut) {
    let inner = json::get(data, "error").unwrap_or(data);
    let kind = [json::get_string(inner, "type"), json::get_string(data, "type")].into_iter().flatten();
    let kind = kind.into_iter().find(|kind| ERROR_TYPES.contains(&&**kind));
    let message = json::get_string(inner, "message")
        .or_else(|| json::string(inner))
        .or_else(|| json::get_string(data, "message"))
        .map_or_else(|| text(data), std::borrow::Cow::into_owned);
    write_error_event(kind.as_deref().unwrap_or("api_error"), &message, out);
}

/// Returns the start of `data` as text.
fn text(data: &[u8]) -> String {
    match data.trim_ascii() {
        b"" => "the upstream reported an error without a text".to_owned(),
        data => String::from_utf8_lossy(&data[..data.len().min(MESSAGE_LIMIT)]).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_other_lines() {
        #[track_caller]
        fn check(block: &str, expected: &str) {
            let mut out = BytesMut::new();
            write_renamed("ping", block.as_bytes(), &mut out);
            assert_eq!(out, expected);
        }
        check("data: {}\n\n", "event: ping\ndata: {}\n\n");
        check("data: {}\r\n\r\n", "event: ping\ndata: {}\r\n\r\n");
        check("id: 1\revent: odd\rdata: {}\r\r", "event: ping\nid: 1\rdata: {}\r\r");
        check("event\ndata: {\ndata: }\nevent: a\n\n", "event: ping\ndata: {\ndata: }\n\n");
    }

    #[test]
    fn a_foreign_error_keeps_its_type_and_its_message() {
        #[track_caller]
        fn check(data: &str, kind: &str, message: &str) {
            let (mut out, mut expected) = (BytesMut::new(), BytesMut::new());
            write_foreign_error(data.as_bytes(), &mut out);
            write_error_event(kind, message, &mut expected);
            assert_eq!(out, expected);
        }
        check(r#"{"error":{"type":"overloaded_error","message":"busy"}}"#, "overloaded_error", "busy");
        check(r#"{"error":{"type":"BadRequestError","message":"no","code":400}}"#, "api_error", "no");
        check(r#"{"type":"rate_limit_error","message":"slow"}"#, "rate_limit_error", "slow");
        check(r#"{"error":"out of memory"}"#, "api_error", "out of memory");
        check("overloaded", "api_error", "overloaded");
        check(r#"{"code":1}"#, "api_error", r#"{"code":1}"#);
        check(" ", "api_error", "the upstream reported an error without a text");
    }
}
