//! The media type of a body.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};

/// Server-sent events.
pub const EVENTS: &str = "text/event-stream";
/// The Event Streams of AWS.
pub const AWS_EVENTS: &str = "application/vnd.amazon.eventstream";
/// JSON.
pub const JSON: &str = "application/json";
/// The `content-type` of server-sent events that the relay writes.
pub const EVENTS_IN_UTF8: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// Returns `true` if the `content-type` is `media_type`, with or without parameters, in upper or lower case.
///
/// ```
/// use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
/// use relay_messages::media_type;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(CONTENT_TYPE, HeaderValue::from_static("Text/Event-Stream; charset=utf-8"));
/// assert!(media_type::is(&headers, media_type::EVENTS));
/// ```
/// # Source
/// RFC 9110 section 8.3.1.
pub fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let found = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes).trim_ascii_start();
    let Some((start, rest)) = found.split_at_checked(media_type.len()) else { return false };
    start.eq_ignore_ascii_case(media_type.as_bytes())
        && matches!(rest.trim_ascii_start().first(), None | Some(b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_do_not_count() {
        #[track_caller]
        fn check(value: &'static str, expected: bool) {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is(&headers, EVENTS), expected, "{value}");
        }
        for events in [
            "text/event-stream",
            "Text/Event-Stream",
            "text/event-stream;charset=utf-8",
            "text/event-stream ; a=b",
            "text/event-stream ",
            "\ttext/event-stream\t;",
        ] {
            check(events, true);
        }
        for other in [
            "",
            "text/event-streams",
            "text/event-stream s",
            "text/event-stream, a",
            "text",
            "application/json",
            ";text/event-stream",
        ] {
            check(other, false);
        }
        assert!(!is(&HeaderMap::new(), EVENTS));
    }
}
