//! The future of the service: writes the limits into the response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use relay_routing::TokensUsed;
use tower::BoxError;

use super::body::LimitedBody;
use super::clients::Permit;
use super::error::{LimitsError, RateLimited};
use super::meter::Meter;
use crate::clock;
use crate::record::RecordHandle;

pin_project! {
    /// The future of [`RateLimit`](super::RateLimit).
    pub struct RateLimitFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Admitted {
            #[pin]
            inner: F,
            permit: Option<Permit>,
            record: Option<RecordHandle>,
        },
        Refused {
            limited: Box<RateLimited>,
        },
    }
}

impl<F> RateLimitFuture<F> {
    /// Waits for the response of the inner service. A request without a permit is not limited.
    pub(super) fn admitted(inner: F, permit: Option<Permit>, record: Option<RecordHandle>) -> Self {
        Self { state: State::Admitted { inner, permit, record } }
    }

    /// Fails with `limited`.
    pub(super) fn refused(limited: Box<RateLimited>) -> Self {
        Self { state: State::Refused { limited } }
    }
}

impl<F, R, E> Future for RateLimitFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes>,
    E: Into<BoxError>,
{
    type Output = Result<Response<LimitedBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Admitted { inner, permit, record } => {
                let result = ready!(inner.poll(cx)).map_err(Into::into);
                Poll::Ready(match permit.take() {
                    Some(permit) => limited(result, permit, record.as_ref()),
                    None => result.map(|response| response.map(LimitedBody::from)),
                })
            }
            StateProjection::Refused { limited } => Poll::Ready(Err(limited.clone())),
        }
    }
}

/// Writes the limits of the permit's client into the response, or into the error of the inner service.
fn limited<R: Body<Data = Bytes>>(
    result: Result<Response<R>, BoxError>,
    mut permit: Permit,
    record: Option<&RecordHandle>,
) -> Result<Response<LimitedBody<R>>, BoxError> {
    let has_failed = result.as_ref().map_or(true, |response| !response.status().is_success());
    if has_failed {
        permit.settle(TokensUsed::ZERO);
    }
    let limits = permit.client().state(clock::now());
    match result {
        Ok(mut response) => {
            limits.write(response.headers_mut(), SystemTime::now());
            let meter = Meter::of(&response, record);
            Ok(response.map(|body| LimitedBody::new(body, meter, permit)))
        }
        Err(source) => Err(LimitsError { limits, source }.into()),
    }
}
