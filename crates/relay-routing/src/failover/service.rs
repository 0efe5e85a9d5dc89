//! The service that makes the attempts.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::planned::PlannerPolicy;
use super::policy::{Attempts, Policy, Step};
use super::settings::FailoverSettings;
use crate::plan::Planner;

/// A service that makes one attempt at a request after the other until a result is final, as its [`Policy`] decides.
///
/// Dropping the future cancels the running attempt.
#[derive(Debug, Clone)]
pub struct Failover<P = PlannerPolicy> {
    policy: P,
}

impl<P> Failover<P> {
    /// Creates the service with this policy. It is cloned with each request.
    #[must_use]
    pub fn of(policy: P) -> Self {
        Self { policy }
    }
}

impl Failover {
    /// Creates the service over the candidates of `planner`: it sends each request to its best candidate, and to the next one
    /// after a failure.
    #[must_use]
    pub fn new(planner: Arc<Planner>, settings: FailoverSettings) -> Self {
        Self::of(PlannerPolicy::new(planner, settings))
    }
}

impl<P> Failover<P> {
    /// Makes the attempts at `request`, as the service does. The future is not boxed.
    ///
    /// # Errors
    /// The error of the policy, if no attempt had a final result.
    pub async fn route<Q>(&self, request: &Q) -> Result<P::Response, P::Error>
    where
        P: Policy<Q>,
    {
        let mut attempts = self.policy.attempts(request);
        loop {
            match attempts.next() {
                Step::Try(attempt) => {
                    let result = attempt.await;
                    if let ControlFlow::Break(result) = attempts.judge(result) {
                        return result;
                    }
                }
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Stop => return attempts.give_up(),
            }
        }
    }
}

impl<P, Q> Service<Q> for Failover<P>
where
    P: Policy<Q> + Clone + Send + Sync + 'static,
    P::Response: Send,
    P::Error: Send,
    Q: Send + Sync + 'static,
{
    type Response = P::Response;
    type Error = P::Error;
    type Future = Pin<Box<dyn Future<Output = Result<P::Response, P::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), P::Error>> {
        // Each service is polled when its attempt begins.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { service.route(&request).await })
    }
}
