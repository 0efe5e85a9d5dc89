//! Checks a response that has a status of success. Its body may be an error, a page, or of a form that the client cannot
//! read.
//!
//! ```text
//! response ─first bytes─▶ events ───▶ requested as a stream? ─▶ stream, held back by `first_content`
//!                     └─▶ one piece ─▶ error? page? message? ─▶ message, or the events made of it
//! ```
//! The first bytes of a body determine its form, since the `content-type` of a gateway may be wrong or absent.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, response};
use http_body_util::BodyExt;
use relay_messages::media_type;
use relay_stream::watch::{StreamEnd, StreamReport};
use relay_transport::{Start, read_start};
use tokio::time::Instant;

use crate::answer::{AnswerBody, AnswerBodyError, AttemptError};
use crate::failed_response::FailedResponse;
use crate::failure::{self, Answered};
use crate::first_content::FIRST_EVENT_TIME;
use crate::request::{Attempt, Endpoint};

/// The size of an answer in one piece up to which it is collected and checked. A larger one passes as it is. The longest
/// answers of today's models are below 1 MiB.
const PIECE_LIMIT: usize = 16 * 1024 * 1024;
/// The number of bytes that identify the form of a body: the length of the longest field name of an event.
const FORM_BYTES: usize = 6;
/// The beginnings of a stream of server-sent events: a field or a comment.
const FIELDS: [&[u8]; 5] = [b"event:", b"data:", b"id:", b"retry:", b":"];
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

const JSON: HeaderValue = HeaderValue::from_static("application/json");

const NO_STREAM: &str = "the upstream answered a request for a stream with a message in one piece";

/// The finding about a response with a status of success.
pub(crate) enum Checked {
    /// The response is in the form that the client has requested, as far as its start shows.
    Success(Response<AnswerBody>),
    /// The response is a message in one piece, as the client has requested. Its report is `None` if a watch of its body has to
    /// find the facts.
    Message(Response<AnswerBody>, Option<Box<StreamReport>>),
    /// The response is a message in one piece, and the client has requested a stream.
    Unstreamed(Response<AnswerBody>),
    /// The response is a failure.
    Failed(Box<FailedResponse>),
}

/// Checks a response whose head arrived at `since`. The body of every result gives all of its bytes.
///
/// A message in one piece in answer to a request for a stream is a failure if another upstream can still be tried. A token
/// count is checked by its own reader; here it is only checked for an error.
///
/// # Errors
/// [`AttemptError::Broken`] if an answer in one piece broke off: the client has received nothing of it, so that another
/// upstream may answer.
pub(crate) async fn check(
    attempt: &Attempt,
    response: Response<AnswerBody>,
    since: Instant,
) -> Result<Checked, AttemptError> {
    let (mut head, body) = response.into_parts();
    if let Some(coding) = unknown_coding(&head.headers) {
        let message = format!(
            "the upstream answered in the content-encoding `{coding}`, which the relay cannot decode"
        );
        return Ok(Checked::Failed(Box::new(FailedResponse::unusable(head, &message))));
    }
    let declared = Form::declared(&head.headers);
    // An upstream sends an answer in one piece when it is complete: its idle timeout and the request's deadline limit it.
    let limit = match declared {
        Form::Events => FIRST_EVENT_TIME.saturating_sub(since.elapsed()),
        Form::Piece => Duration::MAX,
    };
    let (form, body) = match read_start(body, FORM_BYTES, limit).await {
        // No stream is so short.
        Start::Whole(bytes) => (Some(Form::Piece), AnswerBody::from(bytes)),
        Start::Part(start, body) => (Form::of(&start), body),
    };
    match form.unwrap_or(declared) {
        Form::Piece => check_piece(attempt, head, body).await,
        Form::Events => {
            if !media_type::is(&head.headers, media_type::AWS_EVENTS) {
                write_type(&mut head.headers, media_type::EVENTS, media_type::EVENTS_IN_UTF8);
            }
            Ok(Checked::Success(Response::from_parts(head, body)))
        }
    }
}

/// Reads an answer in one piece and checks it.
async fn check_piece(
    attempt: &Attempt,
    mut head: response::Parts,
    body: AnswerBody,
) -> Result<Checked, AttemptError> {
    let is_stream = attempt.request().body().is_stream();
    let bytes = match read_start(body, PIECE_LIMIT, Duration::MAX).await {
        Start::Whole(bytes) => bytes,
        Start::Part(start, body) if start.len() >= PIECE_LIMIT && !is_stream => {
            return Ok(Checked::Success(Response::from_parts(head, body)));
        }
        Start::Part(start, _) if start.len() >= PIECE_LIMIT => {
            return Ok(Checked::Failed(Box::new(FailedResponse::unusable(head, NO_STREAM))));
        }
        Start::Part(_, body) => {
            let failed = body.collect().await.err().unwrap_or(AnswerBodyError::Incomplete);
            return Err(AttemptError::Broken(failed));
        }
    };
    match failure::inspect(&head, &bytes) {
        Answered::Message(_) | Answered::Unusable(_)
            if attempt.request().endpoint() == Endpoint::CountTokens =>
        {
            Ok(Checked::Success(Response::from_parts(head, AnswerBody::from(bytes))))
        }
        Answered::Failure(error) => {
            Ok(Checked::Failed(Box::new(FailedResponse::new(*error, head, AnswerBody::from(bytes)))))
        }
        Answered::CutOff => Err(AttemptError::Broken(AnswerBodyError::Incomplete)),
        Answered::Unusable(message) => {
            Ok(Checked::Failed(Box::new(FailedResponse::unusable(head, &message))))
        }
        Answered::Message(report) if is_stream && attempt.has_fallback() => {
            if let Some(report) = report {
                // No client gets the message, but its tokens are billed.
                attempt.take_stats().set_end(*report, StreamEnd::Dropped);
            }
            Ok(Checked::Failed(Box::new(FailedResponse::unusable(head, NO_STREAM))))
        }
        Answered::Message(report) => {
            write_type(&mut head.headers, media_type::JSON, JSON);
            let response = Response::from_parts(head, AnswerBody::from(bytes));
            Ok(if is_stream { Checked::Unstreamed(response) } else { Checked::Message(response, report) })
        }
    }
}

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A stream of events.
    Events,
    /// An answer in one piece.
    Piece,
}

impl Form {
    /// The form that the `content-type` states. Every other type than that of a stream counts as one piece.
    fn declared(headers: &HeaderMap) -> Self {
        let is = |media_type| media_type::is(headers, media_type);
        if is(media_type::EVENTS) || is(media_type::AWS_EVENTS) { Self::Events } else { Self::Piece }
    }

    /// The form of a body that begins with `start`; `None` if it is not certain. A stream of events never begins with an
    /// object, a list or a page: the first byte of an AWS event stream is zero, and fields have other names.
    fn of(start: &[u8]) -> Option<Self> {
        let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start).trim_ascii_start();
        if matches!(text.first(), Some(b'{' | b'[' | b'<')) {
            return Some(Self::Piece);
        }
        FIELDS.iter().any(|field| text.starts_with(field)).then_some(Self::Events)
    }
}

/// Replaces a `content-type` other than `media_type`. Clients parse an answer by its type alone, and compare it in lower case.
fn write_type(headers: &mut HeaderMap, media_type: &str, value: HeaderValue) {
    let found = headers.get(CONTENT_TYPE);
    if !found.is_some_and(|found| found.as_bytes().starts_with(media_type.as_bytes())) {
        headers.insert(CONTENT_TYPE, value);
    }
}

/// Returns the coding of a body that could not be decoded.
fn unknown_coding(headers: &HeaderMap) -> Option<String> {
    let coding = String::from_utf8_lossy(headers.get(CONTENT_ENCODING)?.as_bytes());
    let coding = coding.trim();
    (!coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        .then(|| coding.chars().take(40).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_of_a_body_determine_its_form() {
        #[track_caller]
        fn check(start: &[u8], expected: Option<Form>) {
            assert_eq!(Form::of(start), expected, "{}", String::from_utf8_lossy(start));
        }
        for events in ["event: x", "data:{}", ": hello", ":\n\n", "\r\nid: 7", "\u{feff}event:x", "retry: 1"]
        {
            check(events.as_bytes(), Some(Form::Events));
        }
        for piece in ["{}", " [1]", "\n<!DOCTYPE html>", "\u{feff}{\"a\":1}"] {
            check(piece.as_bytes(), Some(Form::Piece));
        }
        for unknown in [&b""[..], b"  ", b"null", b"\0\0\0\x80", b"Ollama is running", b"events"] {
            check(unknown, None);
        }
    }
}
