//! The future that reads the rest of a body before it returns an error.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::body::LingerBody;

pin_project! {
    /// The future of [`Linger`].
    pub struct LingerFuture<F, B, R> {
        #[pin]
        state: State<F, B, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B, R> {
        // `rest` is `None` if nothing is to be read.
        Serving { #[pin] inner: F, rest: Option<LingerBody<B>>, time: Duration, bytes: u64 },
        Lingering { response: Option<Response<R>>, rest: LingerBody<B>, left: u64, #[pin] timeout: Sleep },
    }
}

impl<F, B, R> LingerFuture<F, B, R> {
    /// Reads `rest` after an error of `inner`, for at most `time` and at most `bytes`.
    pub(super) fn new(inner: F, rest: Option<LingerBody<B>>, time: Duration, bytes: u64) -> Self {
        Self { state: State::Serving { inner, rest, time, bytes } }
    }
}

impl<F, B, R, E> Future for LingerFuture<F, B, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    B: Body + Unpin,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (response, rest, time, left) = match this.state.as_mut().project() {
                StateProjection::Serving { inner, rest, time, bytes } => {
                    let response = ready!(inner.poll(cx))?;
                    (response, rest.take(), *time, *bytes)
                }
                StateProjection::Lingering { response, rest, left, timeout } => {
                    // After the time the response is sent, also if the client has not finished.
                    if rest.poll_rest(left, cx).is_pending() {
                        ready!(timeout.poll(cx));
                    }
                    let Some(response) = response.take() else { unreachable!("polled after completion") };
                    return Poll::Ready(Ok(response));
                }
            };
            let status = response.status();
            let Some(rest) = rest.filter(|_| status.is_client_error() || status.is_server_error()) else {
                return Poll::Ready(Ok(response));
            };
            let (response, timeout) = (Some(response), sleep(time));
            this.state.set(State::Lingering { response, rest, left, timeout });
        }
    }
}
