//! The future of the router.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use tower::BoxError;

use super::RoutedBody;
use crate::concurrency::PermitBody;
use crate::rate_limit::LimitedBody;
use crate::response::ResponseBody;

pin_project! {
    /// The future of [`Router`](super::Router): that of the operation, without a box of its own.
    pub(crate) struct RouterFuture<M, A, L> {
        #[pin]
        state: State<M, A, L>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<M, A, L> {
        Read { #[pin] response: M },
        Api { #[pin] response: A },
        List { #[pin] response: L },
        Own { response: Option<Result<Response<ResponseBody>, BoxError>> },
    }
}

impl<M, A, L> RouterFuture<M, A, L> {
    /// Waits for an operation on a request that is read.
    pub(super) fn read(response: M) -> Self {
        Self { state: State::Read { response } }
    }

    /// Waits for an operation that forwards the request.
    pub(super) fn api(response: A) -> Self {
        Self { state: State::Api { response } }
    }

    /// Waits for an operation that answers from a list.
    pub(super) fn list(response: L) -> Self {
        Self { state: State::List { response } }
    }

    /// Returns a response at once.
    pub(super) fn own(response: Result<Response<ResponseBody>, BoxError>) -> Self {
        Self { state: State::Own { response: Some(response) } }
    }
}

impl<M, A, L> Future for RouterFuture<M, A, L>
where
    M: Future<Output = Result<Response<RoutedBody>, BoxError>>,
    A: Future<Output = Result<Response<RoutedBody>, BoxError>>,
    L: Future<Output = Result<Response<ResponseBody>, BoxError>>,
{
    type Output = Result<Response<RoutedBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project().state.project() {
            StateProjection::Read { response } => return response.poll(cx),
            StateProjection::Api { response } => return response.poll(cx),
            StateProjection::List { response } => ready!(response.poll(cx)),
            StateProjection::Own { response } => {
                response.take().unwrap_or_else(|| unreachable!("polled after completion"))
            }
        };
        Poll::Ready(response.map(|response| response.map(LimitedBody::from).map(PermitBody::from)))
    }
}
