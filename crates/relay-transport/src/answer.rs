//! The body of a response from a connection as the body of an answer.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use relay_messages::media_type;

use crate::arrivals::Arrivals;
use crate::body::{AnswerBody, AnswerBodyError, received};
use crate::decompress::{ContentCoding, decompress};
use crate::idle::IdleTimeout;
use crate::pool::ReceivedBody;

/// Returns the body of a response with `headers`: decompressed, with `idle_timeout` as the limit of its silence. The headers no
/// longer name a coding that has been decoded.
#[must_use]
pub fn answer_body(headers: &mut HeaderMap, body: ReceivedBody, idle_timeout: Duration) -> AnswerBody {
    // A message in one piece has no use for the times of its frames.
    let arrivals = (!media_type::is(headers, media_type::JSON)).then(Arrivals::new);
    match ContentCoding::of(headers) {
        Ok(Some(_)) => {
            let body = decompress(headers, received(body));
            timed(headers, body, idle_timeout, arrivals)
        }
        // The decoder has a box of its own, which other bodies do not need.
        _ => timed(headers, received(body), idle_timeout, arrivals),
    }
}

/// Limits the silence of `body`, and notes the times at which its frames arrive.
fn timed(
    headers: &HeaderMap,
    body: impl Body<Data = Bytes, Error = AnswerBodyError> + Send + 'static,
    idle_timeout: Duration,
    arrivals: Option<Arrivals>,
) -> AnswerBody {
    let body = IdleTimeout::new(headers, body, idle_timeout).with_arrivals(arrivals.clone());
    AnswerBody::new(body).with_arrivals(arrivals)
}
