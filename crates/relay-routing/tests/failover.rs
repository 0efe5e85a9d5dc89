//! Failover in time: how long, how often, and what is left when all have failed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Empty};
use relay_config::{KeyId, ProviderName, Secret, Strategy};
use relay_messages::MessagesBody;
use relay_providers::{
    Answer, Attempt, AttemptError, Deadline, Endpoint, LimitScope, OnBreak, Outcome, RelayRequest,
};
use relay_routing::{
    Candidate, CandidateService, Credential, Failover, FailoverSettings, Planner, ProviderPool,
    RouteErrorKind, Routed,
};
use tower::{ServiceExt, service_fn};

const OVERLOADED: Outcome = Outcome::Overloaded { retry_after: None };

/// What one provider does when it is asked.
#[derive(Debug, Clone, Copy)]
enum Step {
    Answer(u16, Outcome),
    After(Duration, u16, Outcome),
    Stall,
    Fail,
}

/// What the providers were asked, in order, with the time that each had.
type Asked = Arc<Mutex<Vec<(usize, Option<Duration>)>>>;

fn failover(steps: &[Step], settings: FailoverSettings) -> (Failover, Asked) {
    let asked = Asked::default();
    let pools = steps.iter().enumerate().map(|(index, &step)| {
        let asked = Arc::clone(&asked);
        let service = service_fn(move |attempt: Attempt| {
            asked.lock().unwrap().push((index, attempt.head_timeout()));
            play(step, attempt.head_timeout())
        });
        let key = Credential::Key(KeyId::of(&Secret::new(index.to_string())));
        let candidate = Candidate::new(key, 1, CandidateService::new(service));
        let name = ProviderName::new(format!("p{index}"));
        ProviderPool::new(name, vec![], Duration::from_secs(90), vec![candidate])
    });
    let planner = Planner::new(pools.collect(), Strategy::Failover, false);
    (Failover::new(Arc::new(planner), settings), asked)
}

async fn play(step: Step, limit: Option<Duration>) -> Result<Answer, AttemptError> {
    let answer = |status: u16, outcome| {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let response = Response::builder().status(status).body(body).unwrap();
        Ok(Answer::new(outcome, response))
    };
    match (step, limit) {
        (Step::Answer(status, outcome), _) => answer(status, outcome),
        (Step::After(time, status, outcome), _) => {
            tokio::time::sleep(time).await;
            answer(status, outcome)
        }
        (Step::Stall, Some(after)) => {
            tokio::time::sleep(after).await;
            Err(AttemptError::HeadTimeout { after })
        }
        (Step::Stall, None) => std::future::pending().await,
        (Step::Fail, _) => Err(AttemptError::Scripted),
    }
}

fn settings() -> FailoverSettings {
    FailoverSettings {
        failover_timeout: Duration::from_secs(5),
        max_attempts: NonZeroU32::new(6).unwrap(),
        on_break: OnBreak::Abort,
    }
}

fn request(stream: bool) -> RelayRequest {
    let body = format!(r#"{{"model":"m","stream":{stream}}}"#);
    let body = MessagesBody::parse(body.into()).unwrap();
    RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body)
        .with_deadline(Some(Deadline::after(Duration::from_secs(600))))
}

/// The result in a word, and who was asked.
async fn run(steps: &[Step], settings: FailoverSettings) -> (String, Vec<usize>) {
    run_request(steps, settings, request(true)).await
}

async fn run_request(
    steps: &[Step],
    settings: FailoverSettings,
    request: RelayRequest,
) -> (String, Vec<usize>) {
    let (failover, asked) = failover(steps, settings);
    let result = failover.oneshot(request).await;
    let asked: VecDeque<usize> = asked.lock().unwrap().iter().map(|(index, _)| *index).collect();
    let (word, trace) = match result {
        Ok(Routed { answer, trace }) => (answer.response.status().as_u16().to_string(), trace),
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
    assert_eq!(trace.attempts.len(), asked.len(), "every attempt leaves its mark");
    (word, asked.into())
}

async fn check(steps: &[Step], expected: &str, asked: &[usize]) {
    assert_eq!(run(steps, settings()).await, (expected.to_owned(), asked.to_vec()), "{steps:?}");
}

const OK: Step = Step::Answer(200, Outcome::Success);

fn limited(seconds: u64) -> Step {
    let retry_after = Some(Duration::from_secs(seconds));
    Step::Answer(429, Outcome::RateLimited { retry_after, scope: LimitScope::Key })
}

#[tokio::test(start_paused = true)]
async fn the_next_is_asked_after_a_failure_and_never_after_a_final_answer() {
    check(&[OK, OK], "200", &[0]).await;
    check(&[Step::Answer(400, Outcome::Refused), OK], "400", &[0]).await;
    for outcome in [OVERLOADED, Outcome::Failed, Outcome::ModelUnavailable, Outcome::CredentialRejected] {
        check(&[Step::Answer(500, outcome), OK], "200", &[0, 1]).await;
    }
    check(&[limited(9), Step::Fail, OK], "200", &[0, 1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn the_most_useful_failure_is_told() {
    let rejected = Step::Answer(401, Outcome::CredentialRejected);
    let failed = Step::Answer(500, Outcome::Failed);
    let overloaded = Step::Answer(529, OVERLOADED);
    check(&[overloaded], "529", &[0]).await;
    check(&[limited(9)], "429", &[0]).await;
    check(&[rejected], "rejected by p0", &[0]).await;
    check(&[Step::Fail], "failed at p0", &[0]).await;
    check(&[overloaded, limited(9), failed], "429", &[0, 1, 2]).await;
    check(&[overloaded, failed], "overloaded", &[0, 1]).await;
    check(&[failed, Step::Fail, rejected], "failed at p1", &[0, 1, 2]).await;
    check(&[Step::Fail, failed, rejected], "500", &[0, 1, 2]).await;
    check(&[rejected, rejected], "rejected by p1", &[0, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn of_several_limits_the_one_that_ends_soonest_is_told() {
    let (failover, _) = failover(&[limited(9), limited(3), limited(7)], settings());
    let routed = failover.oneshot(request(false)).await.unwrap();
    let Outcome::RateLimited { retry_after, .. } = routed.answer.outcome else { panic!("a limit") };
    assert_eq!(retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_started_once_failover_has_taken_its_time_but_one_under_way_is_not_cut() {
    let slow = |seconds| Step::After(Duration::from_secs(seconds), 500, Outcome::Failed);
    check(&[slow(60), slow(6), OK], "500", &[0, 1]).await;
    check(&[slow(60), slow(4), OK], "200", &[0, 1, 2]).await;
    check(&[Step::Fail, Step::After(Duration::from_secs(60), 200, Outcome::Success)], "200", &[0, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted() {
    let two = FailoverSettings { max_attempts: NonZeroU32::new(2).unwrap(), ..settings() };
    assert_eq!(run(&[Step::Fail, Step::Fail, OK], two).await, ("failed at p1".to_owned(), vec![0, 1]));
}

#[tokio::test(start_paused = true)]
async fn the_request_has_a_time_of_its_own() {
    for steps in [&[Step::Stall][..], &[Step::Stall, OK]] {
        let short = request(true).with_deadline(Some(Deadline::after(Duration::from_secs(2))));
        assert_eq!(run_request(steps, settings(), short).await, ("timeout".to_owned(), vec![0]));
    }
}

#[tokio::test(start_paused = true)]
async fn times_without_an_end_are_no_trouble() {
    let endless = FailoverSettings { failover_timeout: Duration::MAX, ..settings() };
    let request = request(true).with_deadline(Some(Deadline::after(Duration::MAX)));
    assert_eq!(run_request(&[Step::Fail, OK], endless, request).await, ("200".to_owned(), vec![0, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_stream_must_begin_soon_only_while_somebody_else_could_answer() {
    let times = |stream: bool| async move {
        let (failover, asked) = failover(&[Step::Fail, OK], settings());
        failover.oneshot(request(stream)).await.unwrap();
        let asked = asked.lock().unwrap();
        asked.iter().map(|(_, limit)| limit.unwrap().as_secs()).collect::<Vec<_>>()
    };
    assert_eq!(times(true).await, [90, 600]);
    assert_eq!(times(false).await, [600, 600]);
}
