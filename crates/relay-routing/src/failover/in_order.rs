//! A policy for services in a fixed order.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower::{Service, ServiceExt};

use super::policy::{Attempts, Policy, Step};

/// Tries services of one type in a fixed order, each at most once, with a clone of the request.
///
/// `F` returns `true` for a result after which the next service is tried. If all have failed, the client gets the last result.
/// Services of several types are put into a [`BoxCloneSyncService`](tower::util::BoxCloneSyncService) each.
#[derive(Debug, Clone)]
pub struct InOrder<S, F> {
    /// Never empty.
    services: Arc<Vec<S>>,
    has_failed: F,
}

impl<S: Clone, F> InOrder<S, F> {
    /// Creates a policy with one service. [`is_unavailable`] is a function for responses over HTTP.
    #[must_use]
    pub fn new(first: S, has_failed: F) -> Self {
        Self { services: Arc::new(vec![first]), has_failed }
    }

    /// Adds a service that is tried after the others have failed.
    #[must_use]
    pub fn then(mut self, next: S) -> Self {
        Arc::make_mut(&mut self.services).push(next);
        self
    }
}

/// Returns `true` if another upstream may do better: after an error, and after the statuses 408, 429 and 500 to 599.
///
/// # Source
/// The statuses that the SDKs of Anthropic's API retry, without 409.
pub fn is_unavailable<B, E>(result: &Result<Response<B>, E>) -> bool {
    result.as_ref().map_or(true, |response| {
        let status = response.status();
        status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
    })
}

impl<S, F, Q> Policy<Q> for InOrder<S, F>
where
    S: Service<Q> + Clone + Send + Sync,
    S::Response: Send,
    S::Error: Send,
    S::Future: Send,
    F: Fn(&Result<S::Response, S::Error>) -> bool + Sync,
    Q: Clone + Send + Sync,
{
    type Response = S::Response;
    type Error = S::Error;
    type Attempts<'a>
        = InOrderAttempts<'a, S, F, Q>
    where
        Self: 'a,
        Q: 'a;

    fn attempts<'a>(&'a self, request: &'a Q) -> InOrderAttempts<'a, S, F, Q> {
        InOrderAttempts { policy: self, request, tried: 0 }
    }
}

/// The attempts of [`InOrder`] at one request.
#[derive(Debug)]
pub struct InOrderAttempts<'a, S, F, Q> {
    policy: &'a InOrder<S, F>,
    request: &'a Q,
    tried: usize,
}

impl<S, F, Q> Attempts for InOrderAttempts<'_, S, F, Q>
where
    S: Service<Q> + Clone + Send,
    S::Future: Send,
    F: Fn(&Result<S::Response, S::Error>) -> bool,
    Q: Clone + Send,
{
    type Attempt = InOrderAttempt<S, Q>;
    type Response = S::Response;
    type Error = S::Error;

    fn next(&mut self) -> Step<InOrderAttempt<S, Q>> {
        let services = &self.policy.services;
        let service = &services[self.tried.min(services.len() - 1)];
        self.tried += 1;
        Step::Try(InOrderAttempt { inner: service.clone().oneshot(self.request.clone()) })
    }

    fn judge(&mut self, result: Result<S::Response, S::Error>) -> ControlFlow<Result<S::Response, S::Error>> {
        let is_last = self.tried >= self.policy.services.len();
        match is_last || !(self.policy.has_failed)(&result) {
            true => ControlFlow::Break(result),
            false => ControlFlow::Continue(()),
        }
    }

    fn give_up(self) -> Result<S::Response, S::Error> {
        unreachable!("the result of the last service is final, and there is always one")
    }
}

pin_project! {
    /// An attempt of [`InOrder`]: the call of one service, once it is ready.
    #[derive(Debug)]
    pub struct InOrderAttempt<S: Service<Q>, Q> {
        #[pin]
        inner: Oneshot<S, Q>,
    }
}

impl<S: Service<Q>, Q> Future for InOrderAttempt<S, Q> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx)
    }
}
