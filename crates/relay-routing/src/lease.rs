//! One attempt's hold on what it uses: the circuit's pass, the key's reservation, a place in the count of both.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use relay_providers::{
    Answer, AnswerBody, AnswerBodyError, AttemptError, LimitScope, Outcome, Progress, StreamEnd,
};
use tokio::time::Instant;

use crate::health::{KeyHealth, Permit, ProviderHealth, Verdict};
use crate::limits::{RequestCost, Reservation, TokensUsed};

/// What one attempt holds, from before it is sent until its answer has ended. Dropped at any point, it gives everything
/// back.
#[derive(Debug)]
pub(crate) struct Lease {
    provider: Arc<ProviderHealth>,
    key: Arc<KeyHealth>,
    model: Arc<str>,
    /// When it was taken, and the attempt sent.
    since: Instant,
    permit: Option<Permit>,
    /// The pass has had its verdict; only the end is open.
    has_begun: bool,
    reservation: Option<Reservation>,
}

impl Lease {
    /// Takes what a request for `model` needs, if all of it is there. Requests without a `demand` use nothing of the key's
    /// limits.
    pub(crate) fn acquire(
        provider: &Arc<ProviderHealth>,
        key: &Arc<KeyHealth>,
        model: &Arc<str>,
        cost: Option<&RequestCost<'_>>,
        number: u64,
        now: Instant,
    ) -> Option<Self> {
        let permit = provider.admit(now)?;
        provider.load().enter(number);
        key.load().enter(number);
        let mut lease = Self {
            provider: Arc::clone(provider),
            key: Arc::clone(key),
            model: Arc::clone(model),
            since: now,
            permit: Some(permit),
            has_begun: false,
            reservation: None,
        };
        if let (Some(quota), Some(cost)) = (key.quota(), cost) {
            lease.reservation = Some(quota.reserve(cost, now)?);
        }
        Some(lease)
    }

    /// The attempt has brought an answer. What it means is recorded; a success is still to end.
    pub(crate) fn answered(&mut self, answer: &Answer, now: Instant) {
        // The limits of counting, which reserves nothing, are others than those of messages.
        let quota = self.key.quota().filter(|_| self.reservation.is_some());
        if let Some(quota) = quota {
            quota.correct(&answer.limits, now);
        }
        let verdict = match answer.outcome {
            Outcome::Success => {
                if let Some(quota) = quota {
                    quota.end_cooldown(self.since);
                    self.provider.overloads().served(&self.model, self.since);
                }
                self.key.accept(self.since);
                Verdict::Begun
            }
            Outcome::RateLimited { retry_after, scope } => {
                if let (Some(quota), LimitScope::Key) = (quota, scope) {
                    quota.cool_down(retry_after, now);
                }
                Verdict::Nothing
            }
            Outcome::Overloaded { retry_after } => {
                self.provider.overloads().add(&self.model, retry_after, now);
                Verdict::Nothing
            }
            Outcome::CredentialRejected => {
                self.key.reject(now);
                Verdict::Nothing
            }
            Outcome::Failed => Verdict::Failure,
            // The upstream works, whatever it thinks of this request.
            _ => Verdict::Begun,
        };
        if answer.outcome != Outcome::Success {
            self.settle(TokensUsed::ZERO, now);
        }
        let status = answer.response.status().as_u16();
        self.judge(verdict, &format_args!("answered {status} ({})", answer.outcome.as_str()), now);
    }

    /// The attempt has failed without an answer.
    pub(crate) fn failed(mut self, error: &AttemptError, now: Instant) {
        let verdict = match error {
            // The request's own fault.
            AttemptError::Prepare(_) | AttemptError::Image(_) => Verdict::Nothing,
            _ => Verdict::Failure,
        };
        if !error.may_be_sent()
            && let (Some(quota), Some(reservation)) = (self.key.quota(), self.reservation.take())
        {
            quota.cancel(reservation, now);
        }
        self.settle(TokensUsed::ZERO, now);
        self.judge(verdict, &error.in_one_line(), now);
    }

    /// The body of an answer has ended: broken off, or not. One that nobody waited for says nothing.
    fn end(mut self, progress: &Progress, is_broken: bool, now: Instant) {
        let end = progress.end();
        let error = end.and_then(|(report, _)| report.error.as_ref()).map(|error| &*error.kind);
        if error == Some("overloaded_error") {
            self.provider.overloads().add(&self.model, None, now);
        }
        let used = end.map_or(TokensUsed::default(), |(report, _)| TokensUsed::of(report));
        self.settle(used, now);
        let is_abandoned =
            end.is_some_and(|(report, end)| *end == StreamEnd::Dropped && !report.is_complete());
        if let Some(permit) = self.permit.take().filter(|_| is_broken || !is_abandoned) {
            self.provider.end(permit, !is_broken && error != Some("api_error"), now);
        }
    }

    fn settle(&mut self, used: TokensUsed, now: Instant) {
        if let (Some(quota), Some(reservation)) = (self.key.quota(), self.reservation.take()) {
            quota.settle(reservation, used, now);
        }
    }

    fn judge(&mut self, verdict: Verdict, reason: &dyn fmt::Display, now: Instant) {
        self.has_begun = verdict == Verdict::Begun;
        // The end of an answer that has begun is judged with the same pass.
        let permit = if self.has_begun { self.permit } else { self.permit.take() };
        if let Some(permit) = permit {
            self.provider.give_back(permit, verdict, reason, now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = Instant::now();
        self.settle(TokensUsed::ZERO, now);
        if !self.has_begun {
            self.judge(Verdict::Nothing, &"", now);
        }
        self.provider.load().leave();
        self.key.load().leave();
    }
}

/// The body of an answer, and the lease that it ends.
pub(crate) struct LeasedBody<F: FnOnce()> {
    /// `None` once it has ended.
    inner: Option<AnswerBody>,
    lease: Option<Lease>,
    progress: Progress,
    /// Called if the body breaks off.
    on_break: Option<F>,
}

impl<F: FnOnce() + Unpin> LeasedBody<F> {
    pub(crate) fn new(inner: AnswerBody, lease: Lease, progress: Progress, on_break: F) -> Self {
        Self { inner: Some(inner), lease: Some(lease), progress, on_break: Some(on_break) }
    }
}

impl<F: FnOnce()> LeasedBody<F> {
    fn end(&mut self, is_broken: bool) {
        // Its progress is complete once it is gone.
        self.inner = None;
        // An `error` event may stand in for the break, with a clean end behind it.
        let is_broken = is_broken || self.progress.is_cut_off();
        if let Some(lease) = self.lease.take() {
            lease.end(&self.progress, is_broken, Instant::now());
        }
        if let Some(on_break) = self.on_break.take().filter(|_| is_broken) {
            on_break();
        }
    }
}

impl<F: FnOnce() + Unpin> Body for LeasedBody<F> {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.end(frame.is_some());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(AnswerBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), AnswerBody::size_hint)
    }
}

impl<F: FnOnce()> Drop for LeasedBody<F> {
    fn drop(&mut self) {
        self.end(false);
    }
}
