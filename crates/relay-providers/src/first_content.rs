//! Holds a stream back until its first content. Until then, another upstream can still answer if the stream reports a
//! failure or breaks off.
//!
//! The stream of the last attempt is held back only until its first event. If that is an `error` event, the client gets
//! the corresponding status, because clients retry by status. If it cannot be read, or the stream ends without an event,
//! the attempt has failed as it would have without any response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, HeaderName, Response};
use http_body::Body;
use http_body_util::BodyExt;
use relay_messages::media_type;
use relay_stream::OnBreak;
use relay_stream::body::KeepAliveBody;
use relay_stream::events::UnknownEvents;
use relay_stream::watch::{StreamReport, WatchBody};
use relay_transport::{Arrivals, EventTimeout};
use tokio::time::Instant;

use crate::answer::{Answer, AnswerBody, AnswerBodyError, AttemptError};
use crate::answer_stats::{AnswerStatsBody, OnEnd, OnThinking, end_error};
use crate::failed_response::FailedResponse;
use crate::failure::Judgement;
use crate::outcome::Outcome;
use crate::ping_timer::PingTimer;
use crate::request::{Attempt, Deadline, Endpoint};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The largest number of bytes of a stream that are held back.
const HELD_BYTES: usize = 64 * 1024;
/// The longest time that a stream is held back while another upstream can be tried.
const HELD_TIME: Duration = Duration::from_secs(10);
/// The longest time that the response head of the last attempt waits for the first event. An upstream that fails at
/// once sends the error together with the head. An upstream that is silent after its head is processing a long prompt.
pub(crate) const FIRST_EVENT_TIME: Duration = Duration::from_secs(3);

/// The silence after which the client gets a ping. Claude Code closes a stream that is silent for 300 s, and proxies
/// close it sooner. Not every upstream sends pings.
const PING_AFTER: Duration = Duration::from_secs(15);

const STREAM: &str = "the upstream answered a request for a message in one piece with a stream";

impl Answer {
    /// Makes the answer of `response`, a success in the form of the Messages API.
    ///
    /// A stream is held back until its first content, at most 64 KiB and 10 s of it, if another upstream can still be
    /// tried; otherwise until its first event other than a ping, at most 3 s. If an `error` event comes first, the
    /// answer has the corresponding status. A stream in answer to a request without `stream` is a failure. During a silence the client gets pings. The statistics of the body are
    /// collected while it passes. If a body has a damaged event, or ends without a sign that it is complete, the answer
    /// ends with an error, so that no client takes half an answer for a whole one.
    ///
    /// # Errors
    /// [`AttemptError::Broken`] if a stream broke off, ended or could not be read while it was held back.
    pub async fn await_first_content<B>(
        attempt: &Attempt,
        response: Response<B>,
    ) -> Result<Self, AttemptError>
    where
        B: Body<Data = Bytes, Error = AnswerBodyError> + Send + Unpin + 'static,
    {
        let rules = StreamRules {
            idle_timeout: Duration::MAX,
            unknown_events: UnknownEvents::Forward,
            arrivals: None,
        };
        let begun = await_first_content(attempt, response, Instant::now(), rules, None);
        match begun.await? {
            Begun::Answer(answer) => Ok(answer),
            Begun::Failed(failed) => {
                let judgement = Judgement::by_anthropic_table(&failed.error);
                Ok(failed.into_answer(attempt, judgement).0)
            }
        }
    }
}

/// The handling of a stream.
pub(crate) struct StreamRules {
    pub(crate) idle_timeout: Duration,
    pub(crate) unknown_events: UnknownEvents,
    /// The times at which its frames arrive, if its body notes them.
    pub(crate) arrivals: Option<Arrivals>,
}

/// The beginning of an answer.
pub(crate) enum Begun {
    /// The answer, whose body flows.
    Answer(Answer),
    /// A response that reported an error before its content, or that no client can use.
    Failed(FailedResponse),
}

/// Makes the answer of [`Answer::await_first_content`], and leaves the judgement of a failure to the caller. The head of
/// `response` arrived at `since`, `rules` apply to a stream, and `on_thinking` is called for the thinking in the body.
pub(crate) async fn await_first_content<B>(
    attempt: &Attempt,
    response: Response<B>,
    since: Instant,
    rules: StreamRules,
    on_thinking: Option<OnThinking>,
) -> Result<Begun, AttemptError>
where
    B: Body<Data = Bytes, Error = AnswerBodyError> + Send + Unpin + 'static,
{
    let (mut head, body) = response.into_parts();
    let stats = attempt.take_stats();
    let form = match attempt.request().endpoint() {
        Endpoint::Messages => Form::of(&head.headers),
        Endpoint::CountTokens => Form::Opaque,
    };
    let is_stream = matches!(form, Form::Events);
    let body = match form {
        Form::Opaque => AnswerBody::new(body),
        Form::Object => {
            let body = watch(WatchBody::json(body, stats.on_end()), on_thinking);
            let body = match head.headers.contains_key(CONTENT_LENGTH) {
                // The connection reports an end before the announced length as an error.
                true => body,
                false => body.check_end(OnBreak::Abort),
            };
            AnswerBody::new(body.map_err(end_error))
        }
        Form::Events => {
            // The length may change, and with a length the client could not distinguish a break from an end.
            head.headers.remove(CONTENT_LENGTH);
            let (body, clock) = EventTimeout::new(body, rules.idle_timeout, rules.arrivals);
            let arrivals = clock.arrivals().clone();
            stats.set_clock(&clock);
            let body = WatchBody::normalized(body, rules.unknown_events, stats.on_end())
                .with_on_progress(move |progress| clock.record(progress));
            // In a box, it takes no place in the futures that hold it back.
            let mut body = Box::new(watch(body, on_thinking));
            if !attempt.is_last() {
                detach(&mut head.headers);
            }
            if let Some(id) = head.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()) {
                // If the stream fails before its head leaves, nothing else has the id.
                stats.set_request_id(id);
            }
            let start = hold(attempt, &mut body, since).await?;
            stats.see(body.report());
            if let Some(error) = &body.report().error {
                return Ok(Begun::Failed(FailedResponse::of_event(head, error, attempt.request().id())));
            }
            if !attempt.request().body().is_stream() {
                return Ok(Begun::Failed(FailedResponse::unusable(head, STREAM)));
            }
            body.set_check_end(attempt.on_break());
            let body = AnswerStatsBody::new(start, body, stats.clone());
            AnswerBody::new(KeepAliveBody::new(body, PING_AFTER, PingTimer::new(arrivals, PING_AFTER)))
        }
    };
    let response = Response::from_parts(head, body);
    let answer = Answer::with_stats(Outcome::Success, response, stats);
    Ok(Begun::Answer(Answer { is_stream, ..answer }))
}

/// Copies the values of `headers` into memory of their own. Until then they keep the buffer in which the connection received
/// them, for as long as the stream is held back.
fn detach(headers: &mut HeaderMap) {
    let mut values = Vec::with_capacity(headers.values().map(HeaderValue::len).sum());
    headers.values().for_each(|value| values.extend_from_slice(value.as_bytes()));
    let mut values = Bytes::from(values);
    for value in headers.values_mut() {
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(values.split_to(value.len())) {
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
    }
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
    /// A form that the relay does not read.
    Opaque,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        if media_type::is(headers, media_type::EVENTS) {
            Self::Events
        } else if media_type::is(headers, media_type::JSON) {
            Self::Object
        } else {
            Self::Opaque
        }
    }
}

/// Awaits the first content of `body`, or its first event if `attempt` is the last one, or one of the bounds. Returns the
/// bytes up to there.
async fn hold<B>(
    attempt: &Attempt,
    body: &mut WatchBody<B, OnEnd>,
    since: Instant,
) -> Result<Bytes, AttemptError>
where
    B: Body<Data = Bytes, Error = AnswerBodyError> + Unpin,
{
    let (is_enough, limit): (fn(&StreamReport) -> bool, _) = match attempt.is_last() {
        true => (|report| report.begun || report.content, FIRST_EVENT_TIME),
        false => (|report| report.content || report.message_stop, HELD_TIME),
    };
    let limit = limit.saturating_sub(since.elapsed());
    let limit = attempt.request().deadline().map_or(limit, Deadline::remaining).min(limit);
    let mut held = Vec::new();
    let waiting = wait_until(is_enough, body, &mut held);
    // After the time limit, the stream flows: a slow upstream may still answer completely.
    match tokio::time::timeout(limit, waiting).await.unwrap_or(Ok(true)) {
        Ok(true) => {}
        Ok(false) => return Err(AttemptError::Broken(AnswerBodyError::Incomplete)),
        Err(error) => return Err(AttemptError::Broken(error)),
    }
    Ok(held.into())
}

/// Reads `body` into `held` until the report `is_enough`, an `error` event, or too many bytes. Returns `false` if the body
/// has ended before.
async fn wait_until<B>(
    is_enough: fn(&StreamReport) -> bool,
    body: &mut WatchBody<B, OnEnd>,
    held: &mut Vec<u8>,
) -> Result<bool, AnswerBodyError>
where
    B: Body<Data = Bytes, Error = AnswerBodyError> + Unpin,
{
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(end_error)?.into_data() {
            // A frame would keep the buffer of the connection.
            held.extend_from_slice(&data);
        }
        let report = body.report();
        if report.error.is_some() || is_enough(report) || held.len() > HELD_BYTES {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http_body_util::channel::{Channel, Sender};
    use relay_messages::MessagesBody;

    use super::*;
    use crate::outcome::LimitScope;
    use crate::request::RelayRequest;

    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
    const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n";
    const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

    fn stream() -> (Sender<Bytes, AnswerBodyError>, Response<Channel<Bytes, AnswerBodyError>>) {
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

    async fn send(sender: &mut Sender<Bytes, AnswerBodyError>, text: &'static str) {
        sender.send_data(text.into()).await.unwrap();
    }

    async fn next(answer: &mut Answer) -> String {
        let data = answer.response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(data.to_vec()).unwrap()
    }

    #[test]
    fn headers_of_a_stream_that_is_held_back_do_not_keep_the_buffer_of_the_connection() {
        let buffer = Bytes::from_static(b"first second secret");
        let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
        let mut headers = HeaderMap::new();
        headers.append("a", value(0..5));
        headers.append("a", value(6..12));
        headers.append("b", value(13..19));
        headers.append("c", value(0..0));
        headers.get_mut("b").unwrap().set_sensitive(true);
        let before = headers.clone();
        detach(&mut headers);
        assert_eq!(headers, before);
        assert!(headers["b"].is_sensitive() && !headers["a"].is_sensitive());
        assert!(headers.values().all(|value| !buffer.as_ptr_range().contains(&value.as_bytes().as_ptr())));
    }

    /// The parts of a body that live as long as its stream. A larger one costs memory for each open stream.
    #[test]
    fn the_parts_of_an_open_stream_are_small() {
        type Inner = EventTimeout<AnswerBody>;
        let sizes = [
            size_of::<KeepAliveBody<AnswerStatsBody<Inner>, PingTimer>>(),
            size_of::<WatchBody<Inner, OnEnd>>(),
        ];
        assert!(sizes[0] <= 168 && sizes[1] <= 704, "{sizes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_attempt_flows_from_its_first_event() {
        for first in [START, DELTA, STOP] {
            let (mut sender, response) = stream();
            send(&mut sender, first).await;
            let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
            assert_eq!(next(&mut answer).await, first);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_and_silence_do_not_hold_the_head_of_the_last_attempt_for_ever() {
        for silent in [true, false] {
            let (mut sender, response) = stream();
            if !silent {
                send(&mut sender, PING).await;
            }
            let started = tokio::time::Instant::now();
            let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
            assert_eq!(started.elapsed(), FIRST_EVENT_TIME);
            send(&mut sender, START).await;
            let expected = if silent { [START, PING] } else { [PING, START] };
            assert_eq!([next(&mut answer).await, next(&mut answer).await], expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_as_the_first_event_of_the_last_attempt_leaves_as_a_status() {
        for opening in ["", PING, ": comment\n\n"] {
            let (mut sender, response) = stream();
            send(&mut sender, opening).await;
            let error = r#"data: {"type":"error","error":{"type":"overloaded_error","message":"Busy"}}"#;
            sender.send_data((error.to_owned() + "\n\n").into()).await.unwrap();
            let answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
            assert_eq!(answer.response.status(), 503, "{opening:?}");
        }
        let (mut sender, response) = stream();
        send(&mut sender, START).await;
        send(&mut sender, "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}\n\n").await;
        let answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
        assert_eq!(answer.response.status(), 200, "the head leaves with the first event");
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
            ("invalid_request_error", Outcome::Refused, 400),
            ("authentication_error", Outcome::CredentialRejected, 401),
            ("not_found_error", Outcome::ModelUnavailable, 404),
            // Unknown to the Messages API.
            ("internal_server_error", Outcome::Failed, 502),
        ] {
            let (mut sender, response) = stream();
            let error = format!(r#"data: {{"type":"error","error":{{"type":"{kind}"}}}}"#) + "\n\n";
            sender.send_data(error.into()).await.unwrap();
            let answer = Answer::await_first_content(&attempt(false), response).await.unwrap();
            assert_eq!((answer.outcome, answer.response.status().as_u16()), (expected, status));
            let body = answer.response.into_body().collect().await.unwrap().to_bytes();
            let error: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let shown = if status == 502 { "api_error" } else { kind };
            assert_eq!((&error["type"], &error["error"]["type"]), (&"error".into(), &shown.into()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_without_message_stop_is_a_break() {
        for (is_last, opening) in
            [(false, START), (false, PING), (true, PING), (true, ": hello\n\n"), (true, "<html>")]
        {
            let (mut sender, response) = stream();
            send(&mut sender, opening).await;
            drop(sender);
            let broken = Answer::await_first_content(&attempt(is_last), response).await;
            assert!(matches!(broken, Err(AttemptError::Broken(AnswerBodyError::Incomplete))), "{opening}");
        }

        let (mut sender, response) = stream();
        send(&mut sender, DELTA).await;
        let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
        drop(sender);
        assert_eq!(next(&mut answer).await, DELTA);
        assert!(matches!(answer.response.body_mut().frame().await, Some(Err(AnswerBodyError::Incomplete))));
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
        for is_last in [false, true] {
            let (mut sender, response) = stream();
            send(&mut sender, damaged).await;
            let broken = Answer::await_first_content(&attempt(is_last), response).await;
            assert!(matches!(broken, Err(AttemptError::Broken(AnswerBodyError::Malformed(_)))));
        }

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
        send(&mut sender, START).await;
        let mut answer = Answer::await_first_content(&attempt(true), response).await.unwrap();
        assert_eq!(next(&mut answer).await, START);
        let started = tokio::time::Instant::now();
        assert_eq!([next(&mut answer).await, next(&mut answer).await], [PING, PING]);
        assert_eq!(started.elapsed(), PING_AFTER * 2);
    }

    /// Sends the start of a message, and then `part` every 6 s, with an idle timeout of 10 s. Returns the seconds up to the
    /// error of the body, and its text; `None` if there is none within 100 s.
    async fn silence(unknown: UnknownEvents, parts: &[&'static str], is_last: bool) -> Option<(u64, String)> {
        let (mut sender, response) = stream();
        send(&mut sender, if is_last { START } else { DELTA }).await;
        let parts = parts.to_vec();
        let dripping = tokio::spawn(async move {
            for part in parts.iter().cycle().take(17) {
                tokio::time::sleep(Duration::from_secs(6)).await;
                if sender.send_data((*part).into()).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        let (attempt, started) = (attempt(is_last), Instant::now());
        let idle_timeout = Duration::from_secs(10);
        let rules = StreamRules { idle_timeout, unknown_events: unknown, arrivals: None };
        let begun = await_first_content(&attempt, response, started, rules, None).await;
        let Ok(Begun::Answer(answer)) = begun else { panic!("the stream has begun") };
        let reading = tokio::time::timeout(Duration::from_secs(100), answer.response.into_body().collect());
        let error = reading.await.ok().map(|body| body.unwrap_err());
        dripping.abort();
        error.map(|error| (started.elapsed().as_secs(), error.to_string()))
    }

    const FOREIGN: [&str; 6] = [
        "event: metrics\ndata: {\"type\":\"metrics\",\"n\":1}\n\n",
        "event: metrics\ndata: {}\n\n",
        "data: {\"type\":\"response.created\"}\n\n",
        "data: [DONE]\n\n",
        "event: metrics\r\ndata: {}\r\n\r\n",
        ": queue\n\nevent: metrics\ndata: {}\n\n",
    ];

    #[tokio::test(start_paused = true)]
    async fn dropped_events_and_keep_alives_end_a_stream_after_twice_the_idle_timeout() {
        let expected = Some((20, "the upstream sent no event of its answer for 20 s".to_owned()));
        for is_last in [true, false] {
            for part in FOREIGN.into_iter().chain([PING, "\n\n", "event: ping\r\ndata:{}\r\n\r\n"]) {
                let found = silence(UnknownEvents::Drop, &[part], is_last).await;
                assert_eq!(found, expected, "{part:?}");
            }
            assert_eq!(silence(UnknownEvents::Drop, &[FOREIGN[0], PING, ": x\n\n"], is_last).await, expected);
            // Every chunk ends inside of the next dropped event.
            let cut = ["event: metrics\ndata: {}\n\nevent: metrics\n"];
            assert_eq!(silence(UnknownEvents::Drop, &cut, is_last).await, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn forwarded_events_and_parts_of_events_keep_a_stream_open() {
        for parts in [
            &[DELTA][..],
            &[FOREIGN[0], PING, DELTA],
            // One event that takes 36 s.
            &["event: content_block_", "delta\nda", "ta: {\"type\":", "\"content_", "block_delta\"}", "\n\n"],
        ] {
            assert_eq!(silence(UnknownEvents::Drop, parts, true).await, None, "{parts:?}");
        }
        assert_eq!(silence(UnknownEvents::Forward, &[FOREIGN[0]], true).await, None);
    }
}
