//! The resources that one attempt holds until its answer has ended.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_messages::RateLimits;
use relay_providers::{Answer, AnswerStats, AttemptError, LimitScope, Outcome, StreamEnd};

use crate::clock;
use crate::health::{Form, KeyHealth, Permit, ProviderHealth, RestReason, Verdict, WaitEnd};
use crate::limits::{RequestCost, Reservation, TokensUsed};

/// The events with content after which their tokens are taken from the limits, so that not every event takes a lock.
const DELTAS_PER_STEP: u64 = 8;

/// The resources of one attempt: a permit of the circuit, a reservation of the key's limits, and a place in
/// both load counts.
///
/// It is held from before the attempt is sent until its answer has ended. Dropping it at any point returns
/// everything.
#[derive(Debug)]
pub(crate) struct Lease {
    provider: Arc<ProviderHealth>,
    key: Arc<KeyHealth>,
    model: Arc<str>,
    /// The time at which it was acquired and the attempt sent.
    sent_at: Instant,
    permit: Option<Permit>,
    /// `true` if the request counts tokens. Its result changes no state of messages.
    is_count: bool,
    /// The form of the answer, if the time to its first content is measured.
    timed: Option<Form>,
    /// `true` while the first content is awaited and its time is measured.
    is_waiting: bool,
    /// `true` once the permit has its verdict and only the end of the answer is open.
    has_begun: bool,
    reservation: Option<Reservation>,
    /// The limits that the upstream has reported, to be applied at the end of the answer, and the time of the report.
    limits: Option<Box<(RateLimits, Instant)>>,
    /// The events with content whose tokens are taken.
    deltas: u64,
}

impl Lease {
    /// Acquires the resources for a request, or returns `None` if one of them is not available.
    ///
    /// Without a `cost` the request does not count against the key's limits.
    pub(crate) fn acquire(
        provider: &Arc<ProviderHealth>,
        key: &Arc<KeyHealth>,
        model: &Arc<str>,
        cost: Option<&RequestCost<'_>>,
        attempt: u64,
        now: Instant,
    ) -> Option<Self> {
        // A count is not a message: it tests no circuit, and its result says nothing about the provider.
        let permit = match cost {
            Some(_) => Some(provider.admit(now)?),
            None => None,
        };
        provider.load().begin(attempt);
        key.load().begin(attempt);
        let mut lease = Self {
            provider: Arc::clone(provider),
            key: Arc::clone(key),
            model: Arc::clone(model),
            sent_at: now,
            permit,
            is_count: cost.is_none(),
            timed: None,
            is_waiting: false,
            has_begun: false,
            reservation: None,
            limits: None,
            deltas: 0,
        };
        if let (Some(quota), Some(cost)) = (key.quota(), cost) {
            lease.reservation = Some(quota.reserve(cost, now)?);
        }
        if let Some(form) = cost.map(|cost| Form::of(cost.is_stream()))
            && provider.begin_wait(model, form, now)
        {
            (lease.timed, lease.is_waiting) = (Some(form), true);
        }
        Some(lease)
    }

    /// Returns `true` if the request counts tokens.
    pub(crate) fn is_count(&self) -> bool {
        self.is_count
    }

    /// Records the outcome of an answer. A successful answer has still to end.
    pub(crate) fn record_answer(&mut self, answer: &Answer, now: Instant) {
        if self.is_count {
            // The credential of one client may lack a right that others have.
            if answer.outcome == Outcome::Unsupported && self.key.quota().is_some() {
                self.provider.record_uncounted(&self.model, now);
            }
            return;
        }
        self.provider.record_answer(answer);
        match answer.outcome {
            Outcome::Success if !answer.is_stream => self.end_wait(WaitEnd::Content, now),
            Outcome::Failed | Outcome::ModelFailed | Outcome::Overloaded { .. } => {
                self.end_wait(WaitEnd::Failed, now);
            }
            _ => {}
        }
        let quota = self.key.quota().filter(|_| self.reservation.is_some());
        match quota {
            // The tokens of an answer in one piece were used before its head was sent: the upstream's numbers include
            // them, and count once they are taken.
            Some(_) if answer.outcome == Outcome::Success && !answer.is_stream => {
                self.limits = Some(Box::new((answer.limits, now)));
            }
            Some(quota) => quota.observe(&answer.limits, now),
            None => {}
        }
        let verdict = match answer.outcome {
            Outcome::Success => {
                if quota.is_some() {
                    self.provider.rests().record_success(&self.model, self.sent_at);
                }
                self.key.record_success(self.sent_at);
                Verdict::Responded
            }
            Outcome::RateLimited { retry_after, scope } => {
                match (quota, scope) {
                    (Some(quota), LimitScope::Key) => quota.start_cooldown(retry_after, now),
                    (_, LimitScope::Model) => self.rest(RestReason::Limited, retry_after, now),
                    _ => {}
                }
                Verdict::Neutral
            }
            Outcome::Overloaded { retry_after } => {
                self.rest(RestReason::Overloaded, retry_after, now);
                Verdict::Neutral
            }
            // The upstream works; only this model does not.
            Outcome::ModelUnavailable => {
                // Another account than the client's own may have the model.
                if self.key.quota().is_some() {
                    self.rest(RestReason::Unavailable, None, now);
                }
                Verdict::Responded
            }
            Outcome::ModelFailed => {
                self.rest(RestReason::Failed, None, now);
                Verdict::Responded
            }
            Outcome::CredentialRejected => {
                match answer.is_account_rejected {
                    true => self.key.reject_account(now),
                    false => self.key.reject(now),
                }
                Verdict::Neutral
            }
            Outcome::Failed => Verdict::Failure,
            // The upstream works; only this request was refused.
            _ => Verdict::Responded,
        };
        if answer.outcome != Outcome::Success {
            self.settle(TokensUsed::ZERO, now);
        }
        let status = answer.response.status().as_u16();
        self.report(verdict, &format_args!("answered {status} ({})", answer.outcome.as_str()), now);
    }

    /// Records an attempt that has failed without an answer.
    pub(crate) fn record_error(&mut self, error: &AttemptError, now: Instant) {
        if self.is_count {
            return;
        }
        self.provider.record_error(error);
        let verdict = match error {
            // The request itself is at fault.
            AttemptError::Prepare(_) | AttemptError::Image(_) => Verdict::Neutral,
            // The relay itself is at its limit.
            AttemptError::Saturated(_) => Verdict::Neutral,
            _ => Verdict::Failure,
        };
        if verdict == Verdict::Failure {
            self.end_wait(WaitEnd::Failed, now);
        }
        if !error.may_be_sent()
            && let (Some(quota), Some(reservation)) = (self.key.quota(), self.reservation.take())
        {
            quota.cancel(reservation, now);
        }
        self.settle(TokensUsed::ZERO, now);
        self.report(verdict, &error.in_one_line(), now);
    }

    /// Records the end of an answer's body. An answer that the client abandoned is no evidence about the
    /// provider.
    pub(crate) fn finish(mut self, stats: &AnswerStats, is_broken: bool, now: Instant) {
        let end = stats.end();
        let error = end.and_then(|(report, _)| report.error.as_ref()).map(|error| &*error.kind);
        if error == Some("overloaded_error") {
            self.rest(RestReason::Overloaded, None, now);
        }
        let used = end.map_or(TokensUsed::default(), |(report, _)| TokensUsed::of(report));
        self.settle(used, now);
        self.see_content(stats);
        self.record_break(is_broken || error.is_some(), now);
        let is_abandoned =
            end.is_some_and(|(report, end)| *end == StreamEnd::Dropped && !report.is_complete());
        if let Some(permit) = self.permit.take().filter(|_| is_broken || !is_abandoned) {
            self.provider.finish(permit, !is_broken && error != Some("api_error"), now);
        }
    }

    /// Records the time of the first content, once it has arrived.
    fn see_content(&mut self, stats: &AnswerStats) {
        if self.is_waiting
            && let Some(at) = stats.first_content()
        {
            self.end_wait(WaitEnd::Content, at);
        }
    }

    /// Counts an answer that broke off as slow, also if its content had arrived.
    fn record_break(&mut self, is_broken: bool, now: Instant) {
        let Some(form) = self.timed.filter(|_| is_broken) else { return };
        match self.is_waiting {
            true => self.end_wait(WaitEnd::Failed, now),
            false => self.provider.record_break(&self.model, form, now - self.sent_at, now),
        }
    }

    /// Ends the wait for the first content.
    fn end_wait(&mut self, end: WaitEnd, now: Instant) {
        if let Some(form) = self.timed.filter(|_| std::mem::take(&mut self.is_waiting)) {
            let waited = now.saturating_duration_since(self.sent_at);
            self.provider.end_wait(&self.model, form, end, waited, now);
        }
    }

    /// Lets the model rest at the provider.
    fn rest(&self, reason: RestReason, reported: Option<Duration>, now: Instant) {
        self.provider.rests().add(&self.model, reason, reported, now);
    }

    fn settle(&mut self, used: TokensUsed, now: Instant) {
        if let (Some(quota), Some(reservation)) = (self.key.quota(), self.reservation.take()) {
            quota.settle(reservation, used, now);
            if let Some(limits) = self.limits.take() {
                quota.observe(&limits.0, limits.1);
            }
        }
    }

    /// Notes the first content of an answer, and takes the tokens of an answer while it flows, in steps of some events.
    pub(crate) fn flow(&mut self, stats: &AnswerStats) {
        self.see_content(stats);
        let (Some(quota), Some(reservation)) = (self.key.quota(), &mut self.reservation) else { return };
        let deltas = stats.deltas();
        if deltas < self.deltas + DELTAS_PER_STEP && (deltas == 0 || self.deltas > 0) {
            return;
        }
        self.deltas = deltas;
        quota.take(reservation, TokensUsed::so_far(stats.input_tokens(), deltas), clock::now());
    }

    /// Returns what is left of the resources, without evidence about the provider.
    #[cold]
    fn abandon(&mut self, now: Instant) {
        self.settle(TokensUsed::ZERO, now);
        if !self.has_begun {
            self.report(Verdict::Neutral, &"", now);
        }
    }

    fn report(&mut self, verdict: Verdict, reason: &dyn fmt::Display, now: Instant) {
        self.has_begun = verdict == Verdict::Responded;
        // The end of an answer that has begun is reported with the same permit.
        let permit = if self.has_begun { self.permit } else { self.permit.take() };
        if let Some(permit) = permit {
            self.provider.report(permit, verdict, reason, now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_waiting {
            self.end_wait(WaitEnd::Unknown, clock::now());
        }
        let is_judged = self.has_begun || self.permit.is_none();
        if self.reservation.is_some() || !is_judged {
            self.abandon(clock::now());
        }
        self.provider.load().end();
        self.key.load().end();
    }
}
