//! Holds a stream back until its first content. Until then, another upstream can still answer after a failure that the
//! stream reports, or after a break.
//!
//! The last attempt flows from its first byte, since no other upstream could be tried.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, response};
use http_body::Body;
use http_body_util::BodyExt;
use relay_messages::{ApiError, error_type};
use relay_stream::OnBreak;
use relay_stream::body::{KeepAliveBody, TokioTimer};
use relay_stream::events::UnknownEvents;
use relay_stream::watch::{EndError, ErrorReport, WatchBody};
use relay_transport::{Resumed, full};

use crate::answer::{Answer, AttemptError, BodyError};
use crate::answer_stats::{AnswerStats, AnswerStatsBody, OnEnd, OnThinking};
use crate::failure;
use crate::outcome::{LimitScope, Outcome};
use crate::request::{Attempt, Deadline, Endpoint};

/// The number of bytes of a stream that are held back at most.
const HELD_BYTES: usize = 64 * 1024;
/// The time that a stream is held back at most.
const HELD_TIME: Duration = Duration::from_secs(10);

/// The silence after which the client gets a ping. Claude Code gives up a stream that is silent for 300 s, proxies on the
/// way do so sooner, and not every upstream sends pings of its own.
const PING_AFTER: Duration = Duration::from_secs(15);

impl Answer {
    /// Makes the answer of `response`, a success in the form of the Messages API.
    ///
    /// A stream is held back until its first content, at most 64 KiB and 10 s of it, if another upstream can still be
    /// tried. A silent stream is filled with pings. The statistics of the body are collected while it passes. If a body
    /// has a damaged event, or ends without a sign that it is complete, the answer ends with an error, so that no client takes half an answer for
    /// a whole one.
    ///
    /// # Errors
    /// [`AttemptError::Broken`] if a stream broke off while it was held back.
    pub async fn await_first_content<B>(
        attempt: &Attempt,
        response: Response<B>,
    ) -> Result<Self, AttemptError>
    where
        B: Body<Data = Bytes, Error = BodyError> + Send + Unpin + 'static,
    {
        await_first_content(attempt, response, UnknownEvents::Forward, None).await
    }
}

/// Makes the answer of [`Answer::await_first_content`]. `unknown_events` applies to a stream, and `on_thinking` is called for the thinking in the body.
pub(crate) async fn await_first_content<B>(
    attempt: &Attempt,
    response: Response<B>,
    unknown_events: UnknownEvents,
    on_thinking: Option<OnThinking>,
) -> Result<Answer, AttemptError>
where
    B: Body<Data = Bytes, Error = BodyError> + Send + Unpin + 'static,
{
    let (mut head, body) = response.into_parts();
    let stats = AnswerStats::default();
    let form = match attempt.request().endpoint() {
        Endpoint::Messages => Form::of(&head.headers),
        Endpoint::CountTokens => Form::Opaque,
    };
    let (failure, body) = match form {
        Form::Opaque => (None, body.boxed_unsync()),
        Form::Object => {
            let body = watch(WatchBody::json(body, stats.on_end()), on_thinking);
            let body = match head.headers.contains_key(CONTENT_LENGTH) {
                // An end that comes too early is a broken connection already.
                true => body,
                false => body.check_end(OnBreak::Abort),
            };
            (None, body.map_err(end_error).boxed_unsync())
        }
        Form::Events => {
            // With a length announced, a break could not be told from an end.
            head.headers.remove(CONTENT_LENGTH);
            let mut body = watch(WatchBody::normalized(body, unknown_events, stats.on_end()), on_thinking);
            let mut held = Held::default();
            if !attempt.is_last() {
                let limit =
                    attempt.request().deadline().map_or(HELD_TIME, Deadline::remaining).min(HELD_TIME);
                held = hold(&mut body, &stats, limit).await.map_err(AttemptError::Broken)?;
            }
            if let (Some(failure), Some(error)) = (held.failure, &body.report().error)
                && failure.may_fail_over()
            {
                // The client has received nothing: if no other upstream answers, it can still get an error status.
                return Ok(failed(attempt, failure, error, head));
            }
            let body = AnswerStatsBody::new(body.check_end(attempt.on_break()), stats.clone());
            let body = Resumed::new(held.start, None, Box::pin(body.map_err(end_error as fn(_) -> _)));
            let body = KeepAliveBody::new(body, PING_AFTER, TokioTimer::new(PING_AFTER)).boxed_unsync();
            (held.failure, body)
        }
    };
    let response = Response::from_parts(head, body);
    Ok(Answer { stats, ..Answer::new(failure.unwrap_or(Outcome::Success), response) })
}

/// Adds the sink for thinking, if there is one.
fn watch<B>(body: WatchBody<B, OnEnd>, on_thinking: Option<OnThinking>) -> WatchBody<B, OnEnd> {
    match on_thinking {
        Some(on_thinking) => body.with_on_thinking(on_thinking),
        None => body,
    }
}

/// The form of the body of a success.
enum Form {
    /// A stream.
    Events,
    /// A message in one piece.
    Object,
    /// A form that the relay does not read, such as a body in an encoding that it did not offer.
    Opaque,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        match headers.contains_key(CONTENT_ENCODING) {
            true => Self::Opaque,
            false if media_type.starts_with(b"text/event-stream") => Self::Events,
            false if media_type.starts_with(b"application/json") => Self::Object,
            false => Self::Opaque,
        }
    }
}

/// The start of a stream, and the meaning of an `error` event in it.
#[derive(Default)]
struct Held {
    start: Bytes,
    failure: Option<Outcome>,
}

/// Awaits the first content of `body`, or one of the bounds.
async fn hold<B>(
    body: &mut WatchBody<B, OnEnd>,
    stats: &AnswerStats,
    limit: Duration,
) -> Result<Held, BodyError>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin,
{
    let mut held = Vec::new();
    let waiting = wait_for_content(body, &mut held);
    // A slow upstream may still answer well.
    let failure = tokio::time::timeout(limit, waiting).await.unwrap_or(Ok(None))?;
    stats.see(body.report());
    let start = match <[Bytes; 1]>::try_from(held) {
        Ok([frame]) => frame,
        Err(frames) => frames.concat().into(),
    };
    Ok(Held { start, failure })
}

async fn wait_for_content<B>(
    body: &mut WatchBody<B, OnEnd>,
    held: &mut Vec<Bytes>,
) -> Result<Option<Outcome>, BodyError>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin,
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
            return Ok(None);
        }
    }
    Err(BodyError::Incomplete)
}

/// Makes the answer of an `error` event before any content.
fn failed(attempt: &Attempt, outcome: Outcome, error: &ErrorReport, mut head: response::Parts) -> Answer {
    let status = failure::status_of(&error.kind);
    let message = match &*error.message {
        "" => "the upstream's stream began with an error".to_owned(),
        message => message.to_owned(),
    };
    let error = ApiError { status, kind: error_type(status), message };
    let body = failure::write_error(&error, attempt.request().id(), &mut head);
    Answer::new(outcome, Response::from_parts(head, full(body)))
}

/// Returns the meaning of an `error` event. An event has no status: its type alone counts.
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
        EndError::Damaged(event) => BodyError::Malformed(event.into()),
        _ => BodyError::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::channel::{Channel, Sender};
    use relay_messages::MessagesBody;

    use super::*;
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
        let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
        send(&mut sender, START).await;
        assert_eq!(next(&mut answer).await, START);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_attempt_is_held_until_its_content() {
        let (mut sender, response) = stream();
        send(&mut sender, START).await;
        let attempt = attempt(false);
        let mut beginning = Box::pin(Answer::await_first_content(&attempt, response));
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
        let mut answer = Answer::await_first_content(&attempt(false), response).await.unwrap();
        assert_eq!(started.elapsed(), HELD_TIME);
        assert_eq!(next(&mut answer).await, START);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_not_held_beyond_the_time_of_its_request() {
        let (mut sender, response) = stream();
        send(&mut sender, START).await;
        let body = MessagesBody::parse(r#"{"model":"m","stream":true}"#.into()).unwrap();
        let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body);
        let limit = Duration::from_secs(2);
        let attempt = Attempt::new(request.with_deadline(Some(Deadline::after(limit)))).with_is_last(false);
        let started = tokio::time::Instant::now();
        let mut answer = Answer::await_first_content(&attempt, response).await.unwrap();
        assert_eq!(started.elapsed(), limit);
        assert_eq!(next(&mut answer).await, START);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_event_ahead_of_content_is_an_outcome() {
        for (kind, expected, status) in [
            ("overloaded_error", Outcome::Overloaded { retry_after: None }, 503),
            ("rate_limit_error", Outcome::RateLimited { retry_after: None, scope: LimitScope::Request }, 429),
            ("api_error", Outcome::Failed, 500),
            // No other upstream is going to answer, and the client gets what this one sent.
            ("invalid_request_error", Outcome::Refused, 200),
        ] {
            let (mut sender, response) = stream();
            let error = format!(r#"data: {{"type":"error","error":{{"type":"{kind}"}}}}"#) + "\n\n";
            sender.send_data(error.into()).await.unwrap();
            let answer = Answer::await_first_content(&attempt(false), response).await.unwrap();
            assert_eq!((answer.outcome, answer.response.status().as_u16()), (expected, status));
            let body = answer.response.into_body().collect();
            if status != 200 {
                let body = body.await.unwrap().to_bytes();
                let error: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!((&error["type"], &error["error"]["type"]), (&"error".into(), &kind.into()));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_without_message_stop_is_a_break() {
        let (mut sender, response) = stream();
        send(&mut sender, START).await;
        drop(sender);
        let broken = Answer::await_first_content(&attempt(false), response).await;
        assert!(matches!(broken, Err(AttemptError::Broken(BodyError::Incomplete))));

        let (mut sender, response) = stream();
        let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
        send(&mut sender, DELTA).await;
        drop(sender);
        assert_eq!(next(&mut answer).await, DELTA);
        assert!(matches!(answer.response.body_mut().frame().await, Some(Err(BodyError::Incomplete))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_nameless_stream_gets_names_and_its_usage_is_counted() {
        let (mut sender, response) = stream();
        let delta = "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":7}}\n\n";
        for event in [delta, "data: {\"type\":\"message_stop\"}\n\n", "data: [DONE]\n\n"] {
            send(&mut sender, event).await;
        }
        drop(sender);
        let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
        let named = format!("event: message_delta\n{delta}");
        assert_eq!([next(&mut answer).await, next(&mut answer).await], [named, STOP.to_owned()]);
        assert!(answer.response.body_mut().frame().await.is_none());
        let (report, _) = answer.stats.end().unwrap();
        assert_eq!((report.usage.output_tokens, report.message_stop), (Some(7), true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_ends_a_second_after_its_message() {
        for end in [STOP, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}\n\n"] {
            let (mut sender, response) = stream();
            let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
            send(&mut sender, end).await;
            assert_eq!(next(&mut answer).await, end);
            let started = tokio::time::Instant::now();
            // Pings do not extend the time.
            tokio::time::sleep(Duration::from_millis(900)).await;
            send(&mut sender, PING).await;
            assert_eq!(next(&mut answer).await, PING);
            assert!(answer.response.body_mut().frame().await.is_none());
            assert_eq!(started.elapsed(), Duration::from_secs(1));
            assert!(answer.stats.end().is_some_and(|(_, end)| *end == relay_stream::watch::StreamEnd::Ended));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_event_is_a_break() {
        let damaged = "event: message_stop\ndata: {\n\n";
        let (mut sender, response) = stream();
        send(&mut sender, damaged).await;
        let broken = Answer::await_first_content(&attempt(false), response).await;
        assert!(matches!(broken, Err(AttemptError::Broken(BodyError::Malformed(_)))));

        let (mut sender, response) = stream();
        let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
        sender.send_data([DELTA, damaged, STOP].concat().into()).await.unwrap();
        assert_eq!(next(&mut answer).await, DELTA);
        let Some(Err(error)) = answer.response.body_mut().frame().await else {
            panic!("the body has not failed")
        };
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the event `message_stop` is damaged: its data is not JSON");
        assert!(answer.stats.is_cut_off());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_with_pings() {
        let (mut sender, response) = stream();
        let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
        send(&mut sender, START).await;
        assert_eq!(next(&mut answer).await, START);
        let started = tokio::time::Instant::now();
        assert_eq!([next(&mut answer).await, next(&mut answer).await], [PING, PING]);
        assert_eq!(started.elapsed(), PING_AFTER * 2);
    }
}
