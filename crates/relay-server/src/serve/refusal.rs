//! The answers to bytes that are no request: hyper's own answers, with a body in Anthropic's form.

use std::io::IoSlice;

use bytes::Bytes;
use http::StatusCode;
use relay_messages::{error_body, error_type};

use crate::request_id::RequestId;

/// The largest head of an answer that hyper makes itself, in bytes.
const LARGEST_HEAD: usize = 256;

/// The answer in the place of one that hyper has made itself.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) id: RequestId,
    pub(super) status: StatusCode,
    /// The bytes that are still to be sent.
    pub(super) bytes: Bytes,
    /// The length of hyper's answer, in bytes.
    pub(super) replaced: usize,
}

impl Refusal {
    /// Returns the answer in the place of `written`, or `None` if `written` is not exactly one answer that hyper has made
    /// itself. The responses of the relay are not taken for one, since each has a `request-id`.
    pub(super) fn of(written: &[IoSlice<'_>]) -> Option<Self> {
        let replaced = written.iter().map(|slice| slice.len()).sum();
        if replaced > LARGEST_HEAD || !written.iter().find(|slice| !slice.is_empty())?.starts_with(b"HTTP/1.")
        {
            return None;
        }
        let head: Vec<u8> = written.iter().flat_map(|slice| slice.iter().copied()).collect();
        let head = std::str::from_utf8(&head).ok()?.strip_suffix("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status_line = lines.next()?;
        let status: StatusCode = status_line.split(' ').nth(1)?.parse().ok()?;
        let message = message(status)?;
        let mut date = None;
        for line in lines {
            match line.split_once(": ")? {
                ("content-length", "0") | ("connection", "close") => {}
                ("date", _) => date = Some(line),
                _ => return None,
            }
        }
        let id = RequestId::random();
        let body = error_body(error_type(status), message, Some(id.as_str()));
        let head = format!(
            "{status_line}\r\ncontent-type: application/json\r\nrequest-id: {id}\r\ncontent-length: {}\r\n\
             connection: close\r\n{}\r\n\r\n",
            body.len(),
            date?
        );
        let bytes = [head.as_bytes(), &body].concat().into();
        Some(Self { id, status, bytes, replaced })
    }
}

/// Returns the message of an error that hyper reports with this status.
fn message(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::BAD_REQUEST => {
            Some("these bytes are not a valid HTTP/1.1 request: check the request line and the headers")
        }
        StatusCode::URI_TOO_LONG => Some("the URL is too long: it may have at most 65534 bytes"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            Some("the request's headers are too large: they may have at most 256 KiB in at most 100 lines")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "date: Thu, 26 Nov 2026 11:00:00 GMT";

    fn refusal(parts: &[&str]) -> Option<Refusal> {
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part.as_bytes())).collect();
        Refusal::of(&slices)
    }

    #[test]
    fn an_answer_of_hyper_gets_a_body_and_keeps_its_status_and_its_date() {
        let head =
            format!("HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n{DATE}\r\n\r\n");
        for parts in [vec![head.as_str()], vec![&head[..30], "", &head[30..]]] {
            let refusal = refusal(&parts).unwrap();
            assert_eq!((refusal.status, refusal.replaced), (StatusCode::URI_TOO_LONG, head.len()));
            let text = std::str::from_utf8(&refusal.bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 414 URI Too Long\r\n") && head.ends_with(DATE));
            assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
            assert!(head.contains(&format!("\r\nrequest-id: {}\r\n", refusal.id)));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(
                (&body["type"], &body["error"]["type"]),
                (&"error".into(), &"invalid_request_error".into())
            );
        }
    }

    #[test]
    fn other_bytes_stay_as_they_are() {
        let empty = "connection: close\r\ncontent-length: 0";
        for text in [
            format!("HTTP/1.1 400 Bad Request\r\nrequest-id: a\r\n{empty}\r\n{DATE}\r\n\r\n"),
            format!("HTTP/1.1 404 Not Found\r\n{empty}\r\n{DATE}\r\n\r\n"),
            format!("HTTP/1.1 400 Bad Request\r\n{empty}\r\n{DATE}\r\n\r\nHTTP/1.1 "),
            format!("HTTP/1.1 400 Bad Request\r\n{empty}\r\n{DATE}\r\n"),
            format!("HTTP/1.1 400 Bad Request\r\n{empty}\r\n\r\n"),
            "HTTP/1.1 400".to_owned(),
            "HTTP/1.1 ".repeat(100),
            String::new(),
        ] {
            assert!(refusal(&[&text]).is_none(), "{text:?}");
        }
    }
}
