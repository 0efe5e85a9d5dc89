//! The mapping of an attempt within the relay.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::layer::ModelMap;
use super::restore::{RestoredBody, restore_model};
use crate::answer::{Answer, AttemptError};
use crate::attempt_future::AttemptFuture;
use crate::request::{Attempt, Endpoint};

impl<S> Service<Attempt> for ModelMap<S>
where
    S: Service<Attempt, Response = Answer, Error = AttemptError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = AttemptError;
    type Future = AttemptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut attempt: Attempt) -> Self::Future {
        let client_model = Arc::clone(attempt.request().body().model());
        let Some(target) =
            self.settings.mapping.lookup(&client_model).filter(|target| *target != client_model)
        else {
            return AttemptFuture::inner(self.inner.call(attempt));
        };
        attempt.set_model(target);
        let restore = self.settings.restore && attempt.request().endpoint() == Endpoint::Messages;
        let answer = self.inner.call(attempt);
        AttemptFuture::further(async move {
            let mut answer = answer.await?;
            if restore && answer.response.status().is_success() {
                let restored = restore_model(answer.response, &client_model).await;
                answer.response = restored.map(RestoredBody::into_answer);
            }
            Ok(answer)
        })
    }
}
