//! The opening of an answer: a stream is held back until its first content, so that a failure reported behind a 200, or a
//! break, can still be answered by another upstream.
//!
//! Only while another one could be asked: the last attempt flows from its first byte.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::BodyExt;
use relay_stream::OnBreak;
use relay_stream::body::{KeepAliveBody, TokioTimer};
use relay_stream::watch::{EndError, StreamEnd, StreamReport, WatchBody};

use crate::answer::{Answer, AnswerBody, AttemptError, BodyError, LimitScope, Outcome};
use crate::request::{Attempt, Endpoint};
use crate::start::Resumed;

/// A stream is held back for so many bytes, or so long, at most.
const HELD_BYTES: usize = 64 * 1024;
const HELD_TIME: Duration = Duration::from_secs(10);

/// The client gets a ping after so long a silence: Claude Code gives a stream up that is silent for 300 s, proxies in
/// between do so sooner, and not every upstream sends pings of its own.
const PING_AFTER: Duration = Duration::from_secs(15);

/// Nothing is done with what a stream reports yet, but to see how it ends.
type OnEnd = fn(StreamReport, StreamEnd);

/// The answer that `response`, a success, makes. A stream that ends without saying that it is complete becomes one that
/// breaks off: no client can take half an answer for a whole one then.
///
/// # Errors
/// [`AttemptError::Broken`] where the stream broke off while it was held back.
pub(crate) async fn begin<B>(
    attempt: &Attempt,
    outcome: Outcome,
    response: Response<B>,
) -> Result<Answer, AttemptError>
where
    B: Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    let (mut head, body) = response.into_parts();
    let is_message = attempt.request().endpoint() == Endpoint::Messages;
    if !is_message || !is_event_stream(&head.headers) {
        let response = Response::from_parts(head, body.boxed_unsync());
        return Ok(Answer { outcome, response, is_foreign_error: false });
    }
    // With a length announced, a break could not be told from an end.
    head.headers.remove(CONTENT_LENGTH);
    let body = WatchBody::new(body, (|_, _| ()) as OnEnd).check_end(OnBreak::Abort);
    let (failure, body) = match attempt.is_last() {
        true => (None, body.map_err(end_error).boxed_unsync()),
        false => hold(body).await.map_err(AttemptError::Broken)?,
    };
    let body = KeepAliveBody::new(body, PING_AFTER, TokioTimer::new(PING_AFTER)).boxed_unsync();
    let response = Response::from_parts(head, body);
    Ok(Answer { outcome: failure.unwrap_or(outcome), response, is_foreign_error: false })
}

/// Waits for the first content of `body`, or for a bound. Says what an `error` event ahead of it means, and gives a body
/// that still has everything.
async fn hold<B>(body: WatchBody<B, OnEnd>) -> Result<(Option<Outcome>, AnswerBody), BodyError>
where
    B: Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    let mut body = Box::pin(body);
    let mut held = Vec::new();
    let waiting = wait_for_content(&mut body, &mut held);
    // Time being over says nothing about the upstream: it is slow, and may still answer well.
    let failure = tokio::time::timeout(HELD_TIME, waiting).await.unwrap_or(Ok(None))?;
    let start = match <[Bytes; 1]>::try_from(held) {
        Ok([frame]) => frame,
        Err(frames) => frames.concat().into(),
    };
    let body = Resumed::new(start, None, body.map_err(end_error as fn(_) -> _));
    Ok((failure, body.boxed_unsync()))
}

async fn wait_for_content<B>(
    body: &mut Pin<Box<WatchBody<B, OnEnd>>>,
    held: &mut Vec<Bytes>,
) -> Result<Option<Outcome>, BodyError>
where
    B: Body<Data = Bytes, Error = BodyError>,
{
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(end_error)?.into_data() {
            bytes += data.len();
            held.push(data);
        }
        let report = body.report();
        if let Some(error) = &report.error {
            return Ok(Some(meaning(&error.kind)));
        }
        if report.content || report.message_stop || bytes > HELD_BYTES {
            break;
        }
    }
    Ok(None)
}

/// What an `error` event means. The status it would have had is lost: only its type tells.
fn meaning(kind: &str) -> Outcome {
    match kind {
        "overloaded_error" => Outcome::Overloaded { retry_after: None },
        "rate_limit_error" => Outcome::RateLimited { retry_after: None, scope: LimitScope::Request },
        "api_error" | "timeout_error" => Outcome::Failed,
        "authentication_error" | "permission_error" | "billing_error" => Outcome::CredentialRejected,
        "not_found_error" => Outcome::ModelUnavailable,
        _ => Outcome::Refused,
    }
}

fn end_error(error: EndError<BodyError>) -> BodyError {
    match error {
        EndError::Body(error) => error,
        _ => BodyError::Incomplete,
    }
}

/// A stream that can be read: the relay offers no encoding, but an upstream may send one all the same.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    media_type.is_some_and(|value| value.starts_with(b"text/event-stream"))
        && !headers.contains_key(CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::channel::{Channel, Sender};

    use super::*;
    use crate::body::MessagesBody;
    use crate::request::RelayRequest;

    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
    const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n";
    const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

    fn stream() -> (Sender<Bytes, BodyError>, Response<Channel<Bytes, BodyError>>) {
        let (sender, body) = Channel::new(8);
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        (sender, response)
    }

    fn attempt(is_last: bool) -> Attempt {
        let body = MessagesBody::parse(r#"{"model":"m","stream":true}"#.into()).unwrap();
        Attempt::new(RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body))
            .with_is_last(is_last)
    }

    async fn send(sender: &mut Sender<Bytes, BodyError>, text: &'static str) {
        sender.send_data(text.into()).await.unwrap();
    }

    async fn next(answer: &mut Answer) -> String {
        let data = answer.response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(data.to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_attempt_flows_from_its_first_byte() {
        let (mut sender, response) = stream();
        let mut answer = begin(&attempt(true), Outcome::Success, response).await.unwrap();
        send(&mut sender, START).await;
        assert_eq!(next(&mut answer).await, START);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_attempt_is_held_until_its_content() {
        let (mut sender, response) = stream();
        send(&mut sender, START).await;
        let attempt = attempt(false);
        let mut beginning = Box::pin(begin(&attempt, Outcome::Success, response));
        assert!(tokio::time::timeout(Duration::from_secs(9), &mut beginning).await.is_err());
        send(&mut sender, DELTA).await;
        let mut answer = beginning.await.unwrap();
        assert_eq!(next(&mut answer).await, [START, DELTA].concat());
        send(&mut sender, STOP).await;
        assert_eq!(next(&mut answer).await, STOP);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_stream_is_not_held_for_ever() {
        let (mut sender, response) = stream();
        send(&mut sender, START).await;
        let started = tokio::time::Instant::now();
        let mut answer = begin(&attempt(false), Outcome::Success, response).await.unwrap();
        assert_eq!(started.elapsed(), HELD_TIME);
        assert_eq!(next(&mut answer).await, START);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_event_ahead_of_content_is_an_outcome() {
        for (kind, expected) in [
            ("overloaded_error", Outcome::Overloaded { retry_after: None }),
            ("api_error", Outcome::Failed),
            ("invalid_request_error", Outcome::Refused),
        ] {
            let (mut sender, response) = stream();
            let error = format!(r#"data: {{"type":"error","error":{{"type":"{kind}"}}}}"#) + "\n\n";
            sender.send_data(error.into()).await.unwrap();
            let answer = begin(&attempt(false), Outcome::Success, response).await.unwrap();
            assert_eq!(answer.outcome, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_without_message_stop_is_a_break() {
        let (mut sender, response) = stream();
        send(&mut sender, START).await;
        drop(sender);
        let broken = begin(&attempt(false), Outcome::Success, response).await;
        assert!(matches!(broken, Err(AttemptError::Broken(BodyError::Incomplete))));

        let (mut sender, response) = stream();
        let mut answer = begin(&attempt(true), Outcome::Success, response).await.unwrap();
        send(&mut sender, DELTA).await;
        drop(sender);
        assert_eq!(next(&mut answer).await, DELTA);
        assert!(matches!(answer.response.body_mut().frame().await, Some(Err(BodyError::Incomplete))));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_with_pings() {
        let (mut sender, response) = stream();
        let mut answer = begin(&attempt(true), Outcome::Success, response).await.unwrap();
        send(&mut sender, START).await;
        assert_eq!(next(&mut answer).await, START);
        let started = tokio::time::Instant::now();
        assert_eq!([next(&mut answer).await, next(&mut answer).await], [PING, PING]);
        assert_eq!(started.elapsed(), PING_AFTER * 2);
    }
}
