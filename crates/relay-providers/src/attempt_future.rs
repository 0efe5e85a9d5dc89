//! The future of a layer around an attempt.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::answer::{Answer, AnswerFuture, AttemptError};

pin_project! {
    /// The future of a layer around an attempt: that of the inner service or, for an attempt with further steps, a boxed one.
    pub struct AttemptFuture<F> {
        #[pin]
        steps: Steps<F>,
    }
}

pin_project! {
    #[project = StepsProjection]
    enum Steps<F> {
        Inner { #[pin] future: F },
        Further { future: AnswerFuture },
    }
}

impl<F> AttemptFuture<F> {
    /// Creates the future of an attempt that the layer leaves to the inner service.
    pub(crate) fn inner(future: F) -> Self {
        Self { steps: Steps::Inner { future } }
    }

    /// Boxes the future of an attempt with further steps.
    pub(crate) fn further(
        future: impl Future<Output = Result<Answer, AttemptError>> + Send + 'static,
    ) -> Self {
        Self { steps: Steps::Further { future: Box::pin(future) } }
    }
}

impl<F: Future<Output = Result<Answer, AttemptError>>> Future for AttemptFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().steps.project() {
            StepsProjection::Inner { future } => future.poll(cx),
            StepsProjection::Further { future } => future.as_mut().poll(cx),
        }
    }
}
