//! Failover: its limits in time and number, and the result after all candidates have failed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Response};
use relay_config::{KeyId, ProviderName, Secret, Strategy};
use relay_messages::MessagesBody;
use relay_providers::{
    Answer, AnswerBody, Attempt, AttemptError, Deadline, Endpoint, LimitScope, Outcome, RelayRequest,
};
use relay_routing::{
    Candidate, CandidateService, CredentialId, Failover, FailoverSettings, Planner, ProviderPool,
    RouteErrorKind, Routed,
};
use tower::{Service, ServiceExt, service_fn};

const OVERLOADED: Outcome = Outcome::Overloaded { retry_after: None };

/// The behaviour of one scripted provider.
#[derive(Debug, Clone, Copy)]
enum Script {
    Answer(u16, Outcome),
    After(Duration, u16, Outcome),
    Stall,
    Fail,
}

/// The attempts in order: the provider and its head timeout.
type Calls = Arc<Mutex<Vec<(usize, Option<Duration>)>>>;

fn failover(scripts: &[Script], settings: FailoverSettings) -> (Failover, Calls) {
    let calls = Calls::default();
    let pools = scripts.iter().enumerate().map(|(index, &script)| {
        let calls = Arc::clone(&calls);
        let service = service_fn(move |attempt: Attempt| {
            calls.lock().unwrap().push((index, attempt.head_timeout()));
            play(script, attempt.head_timeout())
        });
        let key = CredentialId::Key(KeyId::of(&Secret::new(index.to_string())));
        let candidate = Candidate::new(key, 1, CandidateService::new(service));
        let name = ProviderName::new(format!("p{index}"));
        ProviderPool::new(name, vec![], Duration::from_secs(90), vec![candidate])
    });
    let planner = Planner::new(pools.collect(), Strategy::Failover, false);
    (Failover::new(Arc::new(planner), settings), calls)
}

async fn play(script: Script, limit: Option<Duration>) -> Result<Answer, AttemptError> {
    let answer = |status: u16, outcome| {
        let body = AnswerBody::default();
        let response = Response::builder().status(status).body(body).unwrap();
        Ok(Answer::new(outcome, response))
    };
    match (script, limit) {
        (Script::Answer(status, outcome), _) => answer(status, outcome),
        (Script::After(time, status, outcome), _) => {
            tokio::time::sleep(time).await;
            answer(status, outcome)
        }
        (Script::Stall, Some(after)) => {
            tokio::time::sleep(after).await;
            Err(AttemptError::HeadTimeout { after })
        }
        (Script::Stall, None) => std::future::pending().await,
        (Script::Fail, _) => Err(AttemptError::Scripted),
    }
}

fn request(stream: bool) -> RelayRequest {
    let body = format!(r#"{{"model":"m","stream":{stream}}}"#);
    let body = MessagesBody::parse(body.into()).unwrap();
    RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body)
        .with_deadline(Some(Deadline::after(Duration::from_secs(600))))
}

/// Returns the result in a word, and the providers that were called.
async fn run(scripts: &[Script], settings: FailoverSettings) -> (String, Vec<usize>) {
    run_request(scripts, settings, request(true)).await
}

async fn run_request(
    scripts: &[Script],
    settings: FailoverSettings,
    request: RelayRequest,
) -> (String, Vec<usize>) {
    let (failover, calls) = failover(scripts, settings);
    let result = failover.oneshot(request).await;
    let calls: VecDeque<usize> = calls.lock().unwrap().iter().map(|(index, _)| *index).collect();
    let (word, trace) = match result {
        Ok(Routed { answer, trace, .. }) => (answer.response.status().as_u16().to_string(), trace),
        Err(error) => {
            let word = match &error.kind {
                RouteErrorKind::Overloaded { .. } => "overloaded".to_owned(),
                RouteErrorKind::CredentialRejected { provider, .. } => format!("rejected by {provider}"),
                RouteErrorKind::Attempt { provider, .. } => format!("failed at {provider}"),
                RouteErrorKind::Timeout { .. } => "timeout".to_owned(),
                other => other.to_string(),
            };
            (word, error.trace)
        }
    };
    assert_eq!(trace.attempts.len(), calls.len(), "the trace has every attempt");
    (word, calls.into())
}

async fn check(scripts: &[Script], expected: &str, calls: &[usize]) {
    assert_eq!(
        run(scripts, FailoverSettings::default()).await,
        (expected.to_owned(), calls.to_vec()),
        "{scripts:?}"
    );
}

const OK: Script = Script::Answer(200, Outcome::Success);

fn limited(seconds: u64) -> Script {
    let retry_after = Some(Duration::from_secs(seconds));
    Script::Answer(429, Outcome::RateLimited { retry_after, scope: LimitScope::Key })
}

#[tokio::test(start_paused = true)]
async fn the_next_provider_is_called_after_a_failure_and_never_after_a_final_answer() {
    check(&[OK, OK], "200", &[0]).await;
    check(&[Script::Answer(400, Outcome::Refused), OK], "400", &[0]).await;
    for outcome in [OVERLOADED, Outcome::Failed, Outcome::ModelUnavailable, Outcome::CredentialRejected] {
        check(&[Script::Answer(500, outcome), OK], "200", &[0, 1]).await;
    }
    check(&[limited(9), Script::Fail, OK], "200", &[0, 1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn the_most_useful_failure_is_returned() {
    let rejected = Script::Answer(401, Outcome::CredentialRejected);
    let failed = Script::Answer(500, Outcome::Failed);
    let overloaded = Script::Answer(529, OVERLOADED);
    check(&[overloaded], "529", &[0]).await;
    check(&[limited(9)], "429", &[0]).await;
    check(&[rejected], "rejected by p0", &[0]).await;
    check(&[Script::Fail], "failed at p0", &[0]).await;
    check(&[overloaded, limited(9), failed], "429", &[0, 1, 2]).await;
    check(&[overloaded, failed], "overloaded", &[0, 1]).await;
    check(&[failed, Script::Fail, rejected], "failed at p1", &[0, 1, 2]).await;
    check(&[Script::Fail, failed, rejected], "500", &[0, 1, 2]).await;
    check(&[rejected, rejected], "rejected by p1", &[0, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn of_several_limits_the_one_that_ends_first_is_returned() {
    let (failover, _) = failover(&[limited(9), limited(3), limited(7)], FailoverSettings::default());
    let routed = failover.oneshot(request(false)).await.unwrap();
    let Outcome::RateLimited { retry_after, .. } = routed.answer.outcome else { panic!("a limit") };
    assert_eq!(retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_started_after_the_failover_timeout_and_a_running_one_is_not_cut() {
    let slow = |seconds| Script::After(Duration::from_secs(seconds), 500, Outcome::Failed);
    check(&[slow(60), slow(6), OK], "500", &[0, 1]).await;
    check(&[slow(60), slow(4), OK], "200", &[0, 1, 2]).await;
    check(&[Script::Fail, Script::After(Duration::from_secs(60), 200, Outcome::Success)], "200", &[0, 1])
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_number_of_attempts_is_limited() {
    let two = FailoverSettings::default().with_max_attempts(NonZeroU32::new(2).unwrap());
    assert_eq!(run(&[Script::Fail, Script::Fail, OK], two).await, ("failed at p1".to_owned(), vec![0, 1]));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_limited_by_the_deadline_of_the_request() {
    for scripts in [&[Script::Stall][..], &[Script::Stall, OK]] {
        let short = request(true).with_deadline(Some(Deadline::after(Duration::from_secs(2))));
        assert_eq!(
            run_request(scripts, FailoverSettings::default(), short).await,
            ("timeout".to_owned(), vec![0])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_durations_do_not_overflow() {
    let endless = FailoverSettings::default().with_failover_timeout(Duration::MAX);
    let request = request(true).with_deadline(Some(Deadline::after(Duration::MAX)));
    assert_eq!(run_request(&[Script::Fail, OK], endless, request).await, ("200".to_owned(), vec![0, 1]));
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_timeout_applies_only_while_another_candidate_remains() {
    let times = |stream: bool| async move {
        let (failover, calls) = failover(&[Script::Fail, OK], FailoverSettings::default());
        failover.oneshot(request(stream)).await.unwrap();
        let calls = calls.lock().unwrap();
        calls.iter().map(|(_, limit)| limit.unwrap().as_secs()).collect::<Vec<_>>()
    };
    assert_eq!(times(true).await, [90, 600]);
    assert_eq!(times(false).await, [600, 600]);
}

/// A service that becomes ready, or fails to, at its third poll.
#[derive(Clone)]
struct ReadyLater {
    polls: u32,
    works: bool,
}

impl Service<Attempt> for ReadyLater {
    type Response = Answer;
    type Error = AttemptError;
    type Future = Ready<Result<Answer, AttemptError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.polls += 1;
        match self.works {
            _ if self.polls < 3 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(AttemptError::Scripted)),
        }
    }

    fn call(&mut self, _: Attempt) -> Self::Future {
        assert_eq!((self.polls, self.works), (3, true), "a service is called once it is ready");
        ready(Ok(Answer::new(Outcome::Success, Response::new(AnswerBody::default()))))
    }
}

#[tokio::test]
async fn a_candidate_is_called_once_its_service_is_ready() {
    let pools = [("fails", false), ("works", true)].map(|(name, works)| {
        let service = CandidateService::new(ReadyLater { polls: 0, works });
        let candidate = Candidate::new(CredentialId::None, 1, service);
        ProviderPool::new(ProviderName::new(name), vec![], Duration::from_secs(90), vec![candidate])
    });
    let planner = Planner::new(pools.into(), Strategy::Failover, false);
    let failover = Failover::new(Arc::new(planner), FailoverSettings::default());
    let trace = failover.oneshot(request(true)).await.unwrap().trace;
    let attempts: Vec<_> = trace.attempts.iter().map(|made| (made.provider.as_str(), made.result)).collect();
    assert_eq!(attempts, [("fails", "scripted"), ("works", "success")]);
}
