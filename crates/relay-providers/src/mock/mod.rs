//! Answers from a script, without a network, and fails on request.
//!
//! The mock upstream is meant for trying the relay offline, and for tests of an operator's configuration. The header
//! `x-cc-relay-mock` of a request makes all mock providers fail, or those that it names:
//!
//! ```text
//! x-cc-relay-mock: 529
//! x-cc-relay-mock: demo-primary=refuse, demo-backup=cut
//! ```

mod script;

use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use relay_config::ProviderName;
use relay_messages::estimate_tokens;
use tokio::time::Sleep;
use tower::Service;

use crate::answer::{Answer, AnswerBody, AnswerBodyError, AttemptError};
use crate::failure::{Judgement, UpstreamError};
use crate::request::{Attempt, Endpoint};
use crate::time_limit::within;

const FAULT_HEADER: HeaderName = HeaderName::from_static("x-cc-relay-mock");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The time between two events: about the pace of a fast model.
const EVENT_INTERVAL: Duration = Duration::from_millis(25);

/// The mock upstream of one provider.
#[derive(Debug, Clone)]
pub struct Mock {
    name: ProviderName,
}

impl Mock {
    /// Creates the mock upstream of the provider `name`. `NAME=FAULT` in the header makes it fail.
    #[must_use]
    pub fn new(name: ProviderName) -> Self {
        Self { name }
    }

    async fn attempt(self, attempt: Attempt) -> Result<Answer, AttemptError> {
        let fault = Fault::for_provider(attempt.request().headers(), &self.name);
        match fault {
            Some(Fault::Refuse) => return Err(AttemptError::Scripted),
            Some(Fault::Stall) => within(attempt.head_timeout(), std::future::pending()).await?,
            _ => {}
        }
        if let Some(Fault::Status(status)) = fault {
            let (head, body) = json(status, script::error(status)).into_parts();
            // Only the status determines the outcome.
            let error = UpstreamError::read(&head, Bytes::new(), true);
            let Judgement { outcome, .. } = Judgement::by_anthropic_table(&error);
            return Ok(Answer::new(outcome, Response::from_parts(head, body)));
        }
        Answer::await_first_content(&attempt, self.answer(&attempt, fault)).await
    }

    fn answer(&self, attempt: &Attempt, fault: Option<Fault>) -> Response<AnswerBody> {
        let body = attempt.request().body();
        let input_tokens = estimate_tokens(body);
        if attempt.request().endpoint() == Endpoint::CountTokens {
            return json(StatusCode::OK, serde_json::json!({ "input_tokens": input_tokens }).to_string());
        }
        let message = script::Message::answer_to(body.bytes(), attempt.model(), &self.name, input_tokens);
        if !body.is_stream() {
            return json(StatusCode::OK, message.to_json().to_string());
        }
        let events = match fault {
            Some(Fault::OverloadEvent) => script::overloaded_events(),
            _ => message.to_events(),
        };
        let cut_at = matches!(fault, Some(Fault::Cut)).then(|| events.len() / 2);
        let body = Script { events: events.into_iter(), cut_at, sleep: tokio::time::sleep(Duration::ZERO) };
        let mut response = Response::new(AnswerBody::new(body));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        with_request_id(response)
    }
}

impl Service<Attempt> for Mock {
    type Response = Answer;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, AttemptError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        Box::pin(self.clone().attempt(attempt))
    }
}

/// A failure on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Answers with an error of this status.
    Status(StatusCode),
    /// Refuses the connection.
    Refuse,
    /// Accepts the request and never answers.
    Stall,
    /// Breaks off in the middle of the stream.
    Cut,
    /// Reports an overload as the first event of a stream with status 200.
    OverloadEvent,
}

impl Fault {
    /// Returns the fault that the header requests from `provider`. A fault without a name applies to all mock
    /// providers. An unknown fault is ignored.
    fn for_provider(headers: &HeaderMap, provider: &ProviderName) -> Option<Self> {
        let text = headers.get(FAULT_HEADER)?.to_str().ok()?;
        text.split(',').find_map(|entry| match entry.split_once('=') {
            Some((name, fault)) if name.trim() == provider.as_str() => fault.trim().parse().ok(),
            Some(_) => None,
            None => entry.trim().parse().ok(),
        })
    }
}

/// The error of a text that is not the name of a fault.
#[derive(Debug)]
struct UnknownFault;

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Ok(match text {
            "refuse" => Self::Refuse,
            "stall" => Self::Stall,
            "cut" => Self::Cut,
            "overload-event" => Self::OverloadEvent,
            status => match StatusCode::from_str(status) {
                Ok(status) if status.as_u16() >= 400 => Self::Status(status),
                _ => return Err(UnknownFault),
            },
        })
    }
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<AnswerBody> {
    let body: Bytes = body.into();
    let mut response = Response::new(AnswerBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    with_request_id(response)
}

fn with_request_id(mut response: Response<AnswerBody>) -> Response<AnswerBody> {
    if let Ok(id) = HeaderValue::from_str(&script::id("req_mock")) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

pin_project! {
    /// A body that sends events at the pace of a model.
    struct Script {
        events: std::vec::IntoIter<Bytes>,
        // The number of unsent events at which the body breaks off.
        cut_at: Option<usize>,
        #[pin]
        sleep: Sleep,
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let mut this = self.project();
        if this.sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if *this.cut_at == Some(this.events.len()) {
            return Poll::Ready(Some(Err(AnswerBodyError::Scripted)));
        }
        this.sleep.reset(tokio::time::Instant::now() + EVENT_INTERVAL);
        Poll::Ready(this.events.next().map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use relay_messages::MessagesBody;

    use super::*;
    use crate::outcome::Outcome;
    use crate::request::RelayRequest;
    use http_body_util::BodyExt;

    fn request(fault: Option<&'static str>, body: &str) -> Attempt {
        let mut headers = HeaderMap::new();
        if let Some(fault) = fault {
            headers.insert(FAULT_HEADER, HeaderValue::from_static(fault));
        }
        let body = MessagesBody::parse(body.to_owned().into()).unwrap();
        Attempt::new(RelayRequest::new(Endpoint::Messages, None, headers, body))
            .with_head_timeout(Some(Duration::from_secs(9)))
    }

    async fn answer(attempt: Attempt) -> Result<Answer, AttemptError> {
        Mock::new(ProviderName::new("demo")).attempt(attempt).await
    }

    async fn text(answer: Answer) -> String {
        String::from_utf8(answer.response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

    #[tokio::test(start_paused = true)]
    async fn a_streamed_answer_has_the_grammar_of_the_messages_api() {
        let text = text(answer(request(None, STREAMED)).await.unwrap()).await;
        let events: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("event: "))
            .filter(|&event| event != "ping")
            .collect();
        assert_eq!(events[..2], ["message_start", "content_block_start"]);
        assert_eq!(events[events.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
        assert!(text.contains(r#""model":"m""#));
    }

    #[tokio::test(start_paused = true)]
    async fn an_offered_tool_is_called_once() {
        let tools = r#""tools":[{"name":"Bash","input_schema":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}]"#;
        let first = format!(r#"{{"model":"m",{tools},"messages":[{{"role":"user","content":"hi"}}]}}"#);
        let message: serde_json::Value =
            serde_json::from_str(&text(answer(request(None, &first)).await.unwrap()).await).unwrap();
        assert_eq!(message["stop_reason"], "tool_use");
        assert_eq!(message["content"][1]["name"], "Bash");
        assert!(message["content"][1]["input"]["command"].is_string());

        let second = format!(
            r#"{{"model":"m",{tools},"messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":"done"}}]}}]}}"#
        );
        let message: serde_json::Value =
            serde_json::from_str(&text(answer(request(None, &second)).await.unwrap()).await).unwrap();
        assert_eq!(message["stop_reason"], "end_turn");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_in_the_header_makes_the_addressed_provider_fail() {
        let overloaded = answer(request(Some("529"), STREAMED)).await.unwrap();
        assert_eq!(overloaded.outcome, Outcome::Overloaded { retry_after: None });
        assert!(text(overloaded).await.contains("overloaded_error"));
        let other = answer(request(Some("other=529, demo=500"), STREAMED)).await.unwrap();
        assert_eq!(other.outcome, Outcome::Failed);
        assert_eq!(answer(request(Some("other=529"), STREAMED)).await.unwrap().outcome, Outcome::Success);
        assert!(matches!(answer(request(Some("refuse"), STREAMED)).await, Err(AttemptError::Scripted)));
        assert!(matches!(
            answer(request(Some("stall"), STREAMED)).await,
            Err(AttemptError::HeadTimeout { after }) if after == Duration::from_secs(9)
        ));
        let cut = answer(request(Some("cut"), STREAMED)).await.unwrap();
        assert!(matches!(cut.response.into_body().collect().await, Err(AnswerBodyError::Scripted)));
        let event = answer(request(Some("overload-event"), STREAMED)).await.unwrap();
        assert_eq!(event.outcome, Outcome::Overloaded { retry_after: None });
        assert_eq!(event.response.status(), 503, "nothing has left for the client before the event");
    }
}
