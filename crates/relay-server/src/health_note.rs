//! What the last attempt has shown of a provider, for whoever asks how the relay is. Decides nothing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use relay_providers::{Answer, Attempt, AttemptError, Outcome};
use tower::{Layer, Service};

/// Why the last attempt at a provider failed, if it did. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthNote(Arc<Mutex<Option<String>>>);

impl HealthNote {
    /// Why the last attempt failed; `None` if it did not, or there was none.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, result: &Result<Answer, AttemptError>) {
        let failure = match result {
            Err(error) => Some(error.in_one_line()),
            Ok(answer) => match answer.outcome {
                // The request's fault, or nobody's: the provider works.
                Outcome::Success | Outcome::Refused | Outcome::Unsupported | Outcome::ModelUnavailable => {
                    None
                }
                outcome => {
                    Some(format!("answered {} ({})", answer.response.status().as_u16(), outcome.as_str()))
                }
            },
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

impl<S> Layer<S> for HealthNote {
    type Service = NoteHealth<S>;

    fn layer(&self, inner: S) -> NoteHealth<S> {
        NoteHealth { inner, note: self.clone() }
    }
}

/// Takes note of how each attempt ends.
#[derive(Debug, Clone)]
pub(crate) struct NoteHealth<S> {
    inner: S,
    note: HealthNote,
}

impl<S> Service<Attempt> for NoteHealth<S>
where
    S: Service<Attempt, Response = Answer, Error = AttemptError>,
{
    type Response = Answer;
    type Error = AttemptError;
    type Future = NoteHealthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        NoteHealthFuture { inner: self.inner.call(attempt), note: self.note.clone() }
    }
}

pin_project! {
    pub(crate) struct NoteHealthFuture<F> {
        #[pin]
        inner: F,
        note: HealthNote,
    }
}

impl<F: Future<Output = Result<Answer, AttemptError>>> Future for NoteHealthFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        this.note.take(&result);
        Poll::Ready(result)
    }
}
