//! The attempts at a request while it is under way.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use relay_config::ProviderName;
use relay_providers::RelayRequest;

use crate::candidate::CredentialId;
use crate::clock;
use crate::lock::lock;

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
    attempts: Mutex<Vec<AttemptRecord>>,
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
    /// The credential.
    pub credential: CredentialId,
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
}

impl AttemptRecord {
    /// The `result` of an attempt without a response or failure: it is under way, or its request was cancelled.
    pub const UNFINISHED: &'static str = "unfinished";
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
        let (mut attempts, now) = (self.attempts().clone(), clock::now());
        for attempt in attempts.iter_mut().filter(|attempt| attempt.result == AttemptRecord::UNFINISHED) {
            attempt.latency = self.time(now).saturating_sub(attempt.started);
        }
        attempts
    }

    /// Adds an attempt that starts now.
    pub fn start(&self, provider: ProviderName, credential: CredentialId, model: Arc<str>) {
        self.start_at(clock::now(), provider, credential, model);
    }

    /// Adds an attempt that starts at `now`.
    pub(crate) fn start_at(
        &self,
        now: Instant,
        provider: ProviderName,
        credential: CredentialId,
        model: Arc<str>,
    ) {
        let mut attempts = self.attempts();
        if attempts.is_empty() {
            // Most requests have one attempt, whose record stays for as long as the answer flows.
            attempts.reserve_exact(1);
        }
        attempts.push(AttemptRecord {
            provider,
            credential,
            model,
            status: None,
            result: AttemptRecord::UNFINISHED,
            error: None,
            started: self.time(now),
            latency: Duration::ZERO,
        });
    }

    /// Ends the last attempt.
    pub fn end(&self, status: Option<u16>, result: &'static str, error: Option<String>) {
        self.end_at(clock::now(), status, result, error);
    }

    /// Ends the last attempt at `now`.
    pub(crate) fn end_at(
        &self,
        now: Instant,
        status: Option<u16>,
        result: &'static str,
        error: Option<String>,
    ) {
        if let Some(attempt) = self.attempts().last_mut() {
            attempt.latency = self.time(now).saturating_sub(attempt.started);
            (attempt.status, attempt.result, attempt.error) = (status, result, error);
        }
    }

    /// Takes the attempts of a request that has ended.
    pub(crate) fn take(&self) -> Vec<AttemptRecord> {
        std::mem::take(&mut *self.attempts())
    }

    /// The time from the start of the request until `now`.
    fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.0.start)
    }

    fn attempts(&self) -> MutexGuard<'_, Vec<AttemptRecord>> {
        lock(&self.0.attempts)
    }
}
