//! The future of the service: adds the warning to the response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Response};
use pin_project_lite::pin_project;
use tower::BoxError;

use super::error::BudgetSpent;

const WARNING: HeaderName = HeaderName::from_static("x-cc-relay-budget-warning");

pin_project! {
    /// The future of [`SpendingLimit`](super::SpendingLimit).
    #[derive(Debug)]
    pub struct SpendingFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<F> {
        Admitted {
            #[pin]
            inner: F,
            warning: Option<HeaderValue>,
        },
        Refused { spent: Box<BudgetSpent> },
    }
}

impl<F> SpendingFuture<F> {
    pub(super) fn admitted(inner: F, warning: Option<HeaderValue>) -> Self {
        Self { state: State::Admitted { inner, warning } }
    }

    pub(super) fn refused(spent: Box<BudgetSpent>) -> Self {
        Self { state: State::Refused { spent } }
    }
}

impl<F, R, E> Future for SpendingFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<R>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Admitted { inner, warning } => {
                let mut result = ready!(inner.poll(cx)).map_err(Into::into);
                if let (Ok(response), Some(warning)) = (&mut result, warning.take()) {
                    response.headers_mut().insert(WARNING, warning);
                }
                Poll::Ready(result)
            }
            StateProjection::Refused { spent } => Poll::Ready(Err((**spent).into())),
        }
    }
}
