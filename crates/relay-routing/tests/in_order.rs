//! Failover over services that are not the relay's, and a policy of one's own.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

use std::future::{Ready, ready};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use relay_routing::{Attempts, Failover, InOrder, Policy, Step, is_unavailable};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

type Upstream = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>;
type Calls = Arc<Mutex<Vec<usize>>>;

/// An upstream that answers with the body of the request and this status, or fails if it is 0.
fn upstream(index: usize, status: u16, calls: &Calls) -> Upstream {
    let calls = Arc::clone(calls);
    Upstream::new(service_fn(move |request: Request<Full<Bytes>>| {
        calls.lock().unwrap().push(index);
        async move {
            match status {
                0 => Err(BoxError::from("refused")),
                _ => Ok(Response::builder().status(status).body(request.into_body())?),
            }
        }
    }))
}

/// Sends a request to upstreams with these statuses, and asserts the client's status and the number of attempts.
async fn check(statuses: &[u16], expected: Result<u16, &str>, attempts: usize) {
    let calls = Calls::default();
    let mut services = statuses.iter().enumerate().map(|(index, &status)| upstream(index, status, &calls));
    let first = InOrder::new(services.next().unwrap(), is_unavailable);
    let failover = Failover::of(services.fold(first, InOrder::then));
    let result = failover.oneshot(Request::new(Full::from("the body"))).await;
    let found = result.as_ref().map(|response| response.status().as_u16()).map_err(ToString::to_string);
    assert_eq!(found, expected.map_err(str::to_owned), "{statuses:?}");
    assert_eq!(*calls.lock().unwrap(), (0..attempts).collect::<Vec<_>>(), "{statuses:?}");
    if let Ok(response) = result {
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "the body");
    }
}

#[tokio::test]
async fn services_are_tried_in_order_until_a_result_is_no_failure() {
    check(&[200, 200], Ok(200), 1).await;
    check(&[0, 200, 200], Ok(200), 2).await;
    for status in [408, 429, 500, 503, 529] {
        check(&[status, 201], Ok(201), 2).await;
    }
    for status in [400, 401, 404, 302] {
        check(&[status, 200], Ok(status), 1).await;
    }
}

#[tokio::test]
async fn the_last_result_is_returned_after_all_have_failed() {
    check(&[0], Err("refused"), 1).await;
    check(&[500, 0], Err("refused"), 2).await;
    check(&[0, 529], Ok(529), 2).await;
}

#[tokio::test]
async fn dropping_the_future_cancels_the_running_attempt() {
    let held = Arc::new(());
    let kept = Arc::clone(&held);
    let pending = service_fn(move |_: Request<()>| {
        let kept = Arc::clone(&kept);
        async move {
            std::future::pending::<()>().await;
            drop(kept);
            Ok::<_, BoxError>(Response::new(()))
        }
    });
    let failover = Failover::of(InOrder::new(pending, is_unavailable));
    let mut call = Box::pin(failover.oneshot(Request::new(())));
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut call).await.is_err());
    assert!(Arc::strong_count(&held) > 1);
    drop(call);
    assert_eq!(Arc::strong_count(&held), 1);
}

/// Repeats a request with growing pauses, until its number is reached.
#[derive(Clone)]
struct Repeat {
    times: u32,
}

struct Repeats<'a> {
    request: &'a u32,
    left: u32,
    pause: Option<Duration>,
}

impl Policy<u32> for Repeat {
    type Response = u32;
    type Error = &'static str;
    type Attempts<'a> = Repeats<'a>;

    fn attempts<'a>(&'a self, request: &'a u32) -> Repeats<'a> {
        Repeats { request, left: self.times, pause: None }
    }
}

impl Attempts for Repeats<'_> {
    type Attempt = Ready<u32>;
    type Response = u32;
    type Error = &'static str;

    fn next(&mut self) -> Step<Ready<u32>> {
        match (self.pause.take(), self.left) {
            (Some(pause), _) => Step::Wait(pause),
            (None, 0) => Step::Stop,
            (None, left) => Step::Try(ready(left)),
        }
    }

    fn judge(&mut self, result: u32) -> ControlFlow<Result<u32, &'static str>> {
        if result == *self.request {
            return ControlFlow::Break(Ok(result));
        }
        self.left -= 1;
        self.pause = Some(Duration::from_secs(1));
        ControlFlow::Continue(())
    }

    fn give_up(self) -> Result<u32, &'static str> {
        Err("never reached")
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_may_wait_stop_and_give_up() {
    let failover = Failover::of(Repeat { times: 5 });
    let start = Instant::now();
    assert_eq!(failover.clone().oneshot(3).await, Ok(3));
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    assert_eq!(failover.oneshot(9).await, Err("never reached"));
    assert_eq!(start.elapsed(), Duration::from_secs(7));
}
