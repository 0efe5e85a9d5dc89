//! The attempts at a request while it is under way.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use relay_config::ProviderName;
use relay_providers::{AnswerStats, ModelUsage, RelayRequest, UpstreamAddress, Usage};

use crate::candidate::CredentialId;
use crate::clock;
use crate::lock::lock;
use crate::pricing::Usd;

/// The attempts at one request, in order; at most `routing.max_attempts`. Cloning shares them.
///
/// [`Failover`](crate::Failover) writes to the log of a [`LoggedRequest`], or to the log among the extensions of a
/// [`RelayRequest`]. A caller that keeps a clone sees the attempts of a request that is under way, and those of a request whose
/// future it has dropped. A service that calls an upstream without [`Failover`](crate::Failover) writes to a log itself.
#[derive(Debug, Clone)]
pub struct AttemptLog(Arc<Log>);

#[derive(Debug)]
struct Log {
    /// The start of the request.
    start: Instant,
    attempts: Mutex<Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    records: Vec<AttemptRecord>,
    /// The facts of the answer to the attempt that is under way, as far as they are known.
    running: Option<AnswerStats>,
}

/// A request with the log of its attempts.
#[derive(Debug, Clone)]
pub struct LoggedRequest {
    pub(crate) request: RelayRequest,
    pub(crate) log: AttemptLog,
}

impl LoggedRequest {
    /// Creates the request whose attempts [`Failover`](crate::Failover) writes to `log`.
    #[must_use]
    pub fn new(request: RelayRequest, log: AttemptLog) -> Self {
        Self { request, log }
    }
}

/// The record of one attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// The provider.
    pub provider: ProviderName,
    /// The type of the provider, such as `bedrock`; `custom` for a provider of a program.
    pub kind: &'static str,
    /// The credential.
    pub credential: CredentialId,
    /// The address that the request was sent to; `None` if it was not sent, or if its service does not note it.
    pub address: Option<UpstreamAddress>,
    /// The provider's name of the model; empty for a request that was forwarded without reading its body.
    pub model: Arc<str>,
    /// The status of the response; `None` if there was no response.
    pub status: Option<u16>,
    /// The outcome in one word, such as `success`, `rate_limited` or `connect`; [`AttemptRecord::UNFINISHED`] if the
    /// attempt has not ended.
    pub result: &'static str,
    /// The reason for which there is no response, with its causes.
    pub error: Option<String>,
    /// The time from the start of the request to the start of the attempt.
    pub started: Duration,
    /// The time from the start to the response head, or to the failure. For an unfinished attempt in
    /// [`AttemptLog::to_vec`], the time from the start until now.
    pub latency: Duration,
    /// The tokens of an answer that the client did not get, and that the upstream may bill all the same: a stream that was held
    /// back and then failed, or a message that could not be used. `None` for the answer that the client got, whose tokens are
    /// those of the request.
    pub usage: Option<Usage>,
    /// The tokens of the attempt by model, if its upstream has called further models for it: an advisor, or another model in the place
    /// of one that declined. The first part is that of the model that answered. Empty if the model that was sent has used all
    /// tokens.
    pub by_model: Vec<ModelCost>,
    /// True if tokens of the attempt are an estimate: the output tokens, since the answer was cut before it reported them, or the
    /// time to live of cache writes. For the answer that the client got, it is set at the end of the request.
    pub is_estimated: bool,
    /// The cost of the attempt; `None` if it was not billed or its price is unknown. If only some prices of `by_model` are known, it is
    /// the sum of these costs. The server that has the prices sets it at the end of the request.
    pub cost: Option<Usd>,
    /// The upstream's id of the request, from the head of its response.
    pub upstream_request_id: Option<Arc<str>>,
}

/// The tokens and the cost of one model within an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelCost {
    /// The model, as the upstream names it. Empty if the upstream does not name it.
    pub model: Arc<str>,
    /// The tokens.
    pub usage: Usage,
    /// The cost; `None` if its price is unknown.
    pub cost: Option<Usd>,
}

impl ModelCost {
    /// Reads the parts of the tokens of an answer. `sent` is the model that was sent.
    #[must_use]
    pub fn of(parts: Vec<ModelUsage>, sent: &Arc<str>) -> Vec<Self> {
        let part = |ModelUsage { model, usage, .. }| {
            let model = model.map_or_else(|| Arc::clone(sent), Arc::from);
            Self { model, usage, cost: None }
        };
        parts.into_iter().map(part).collect()
    }

    /// Returns `true` if the model has used tokens whose price is unknown.
    #[must_use]
    pub fn is_unpriced(&self) -> bool {
        self.cost.is_none() && self.usage != Usage::default()
    }
}

/// The response of an upstream, for the record of the attempt.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<&'a str>,
}

impl AttemptRecord {
    /// The `result` of an attempt without a response or failure: it is under way, or its request was cancelled.
    pub const UNFINISHED: &'static str = "unfinished";

    /// Adds the address that the request of `answer` was sent to.
    fn add_address(&mut self, answer: &AnswerStats) {
        if self.address.is_none() {
            self.address = answer.address().cloned();
        }
    }

    /// Adds the facts of an answer that the client does not get.
    fn add_unused(&mut self, answer: &AnswerStats) {
        if let Some(billed) = answer.billed() {
            (self.usage, self.is_estimated) = (Some(billed.usage), billed.is_estimated);
            self.by_model = ModelCost::of(billed.by_model, &self.model);
        }
        if self.upstream_request_id.is_none() {
            self.upstream_request_id = answer.request_id().map(Into::into);
        }
    }
}

impl Default for AttemptLog {
    /// Opens a log for a request that starts now.
    fn default() -> Self {
        Self::new(clock::now())
    }
}

impl AttemptLog {
    /// Opens a log for a request that started at this time.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self(Arc::new(Log { start, attempts: Mutex::default() }))
    }

    /// Returns a copy of the attempts.
    #[must_use]
    pub fn to_vec(&self) -> Vec<AttemptRecord> {
        let (log, now) = (self.attempts(), clock::now());
        let mut attempts = log.records.clone();
        for attempt in attempts.iter_mut().filter(|attempt| attempt.result == AttemptRecord::UNFINISHED) {
            attempt.latency = self.time(now).saturating_sub(attempt.started);
            if let Some(answer) = &log.running {
                attempt.add_address(answer);
                attempt.add_unused(answer);
            }
        }
        attempts
    }

    /// Adds an attempt that starts now. `kind` is the type of the provider.
    pub fn start(
        &self,
        provider: ProviderName,
        kind: &'static str,
        credential: CredentialId,
        model: Arc<str>,
    ) {
        self.start_at(clock::now(), provider, kind, credential, model, None);
    }

    /// Adds an attempt that starts at `now`, and whose answer collects its facts in `answer`.
    pub(crate) fn start_at(
        &self,
        now: Instant,
        provider: ProviderName,
        kind: &'static str,
        credential: CredentialId,
        model: Arc<str>,
        answer: Option<AnswerStats>,
    ) {
        let mut attempts = self.attempts();
        if attempts.records.is_empty() {
            // Most requests have one attempt, whose record stays for as long as the answer flows.
            attempts.records.reserve_exact(1);
        }
        attempts.running = answer;
        attempts.records.push(AttemptRecord {
            provider,
            kind,
            credential,
            address: None,
            model,
            status: None,
            result: AttemptRecord::UNFINISHED,
            error: None,
            started: self.time(now),
            latency: Duration::ZERO,
            usage: None,
            by_model: Vec::new(),
            is_estimated: false,
            cost: None,
            upstream_request_id: None,
        });
    }

    /// Sets the address that the request of the last attempt is sent to.
    pub fn set_address(&self, address: Option<UpstreamAddress>) {
        if let Some(attempt) = self.attempts().records.last_mut() {
            attempt.address = address;
        }
    }

    /// Ends the last attempt.
    pub fn end(&self, status: Option<u16>, result: &'static str, error: Option<String>) {
        self.end_at(clock::now(), ResponseHead { status, request_id: None }, result, error, false);
    }

    /// Ends the last attempt at `now`. `is_final` is true if the client gets its answer.
    pub(crate) fn end_at(
        &self,
        now: Instant,
        head: ResponseHead<'_>,
        result: &'static str,
        error: Option<String>,
        is_final: bool,
    ) {
        let mut attempts = self.attempts();
        let answer = attempts.running.take();
        let Some(attempt) = attempts.records.last_mut() else { return };
        attempt.latency = self.time(now).saturating_sub(attempt.started);
        (attempt.status, attempt.result, attempt.error) = (head.status, result, error);
        attempt.upstream_request_id = head.request_id.map(Into::into);
        if let Some(answer) = answer {
            attempt.add_address(&answer);
            if !is_final {
                attempt.add_unused(&answer);
            }
        }
    }

    /// Takes the attempts of a request that has ended.
    pub(crate) fn take(&self) -> Vec<AttemptRecord> {
        std::mem::take(&mut self.attempts().records)
    }

    /// The time from the start of the request until `now`.
    fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.0.start)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        lock(&self.0.attempts)
    }
}
