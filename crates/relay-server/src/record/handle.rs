//! Access to the record of a request that is under way.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::{HeaderMap, Request, StatusCode};
use relay_config::ProviderName;
use relay_messages::trace_context::{Sampling, TraceContext};
use relay_providers::{AnswerStats, Endpoint, EventGaps, RelayRequest, Usage};
use relay_routing::{AttemptLog, ModelCost, Pricing, RouteTrace, named_session};
use tokio::time::Instant;

use super::client_request_id::client_request_id;
use super::own_time::OwnTime;
use super::{RequestEnd, RequestRecord};
use crate::client_certificate::ClientCertificate;
use crate::request_id::{REQUEST_ID, RequestId};

/// The longest session that is recorded, in bytes. Claude Code sends a UUID.
const SESSION_MAX: usize = 128;

/// Access to the record of one request, from its start on. Cloning shares it.
///
/// A service that embeds the relay finds it in the extensions of every response:
///
/// ```
/// use relay_server::{Body, RecordHandle};
///
/// fn attempts(response: &http::Response<Body>) -> usize {
///     let record = response.extensions().get::<RecordHandle>();
///     record.map_or(0, |record| record.snapshot().attempts.len())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct RecordHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: RequestId,
    started: Instant,
    started_at: SystemTime,
    received: AtomicU64,
    sent: AtomicU64,
    observers: Arc<dyn Observers>,
    /// Locked for the time of an assignment only.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Copied before a write if a snapshot is held.
    record: Arc<RequestRecord>,
    /// The attempts, until routing has ended.
    attempts: Option<AttemptLog>,
    /// The facts that the answer's body collects while it passes.
    answer: Option<AnswerStats>,
}

/// The receivers of a record, and the prices for it.
pub(crate) trait Observers: fmt::Debug + Send + Sync {
    fn pricing(&self) -> Option<&dyn Pricing>;
    /// The rule by which traces are recorded; `None` if there are no traces.
    fn sampling(&self) -> Option<Sampling>;
    fn received(&self, record: &RecordHandle, request: &RelayRequest);
    fn finished(&self, record: &Arc<RequestRecord>);
}

impl RecordHandle {
    /// Opens the record of `request`.
    pub(crate) fn new<B>(id: RequestId, request: &Request<B>, observers: Arc<dyn Observers>) -> Self {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let random = || [fastrand::u64(..), fastrand::u64(..)];
        let trace = observers.sampling().map(|rule| TraceContext::start(request.headers(), rule, random()));
        let record = RequestRecord {
            id: id.clone(),
            client_request_id: client_request_id(request.headers()),
            upstream_request_id: None,
            client: None,
            client_subject: client_subject(request),
            session: None,
            method: request.method().clone(),
            path: request.uri().path().into(),
            endpoint: None,
            model_requested: None,
            model_served: None,
            is_stream: false,
            cache_ttl: None,
            strategy: None,
            attempts: Vec::new(),
            provider: None,
            circuit: None,
            usage: Usage::default(),
            is_estimated: false,
            is_billed: false,
            cost: None,
            stop_reason: None,
            bytes_received: 0,
            bytes_sent: 0,
            started_at,
            head: None,
            own_time: None,
            first_content: None,
            gaps: EventGaps::default(),
            ended: None,
            status: None,
            error: None,
            end: None,
            trace: trace.map(Arc::new),
            started,
        };
        let state = Mutex::new(State { record: Arc::new(record), attempts: None, answer: None });
        let (received, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Shared { id, started, started_at, received, sent, observers, state }))
    }

    /// The relay's own id of the request.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// The wall-clock time of the start of the request.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        self.0.started_at
    }

    /// The start of the request.
    pub(super) fn started(&self) -> Instant {
        self.0.started
    }

    /// The trace of the request.
    pub(crate) fn trace(&self) -> Option<Arc<TraceContext>> {
        self.read(|record| record.trace.clone())
    }

    /// The record as it is at this moment. It is final if [`RequestRecord::end`] is set.
    #[must_use]
    pub fn snapshot(&self) -> Arc<RequestRecord> {
        let mut state = self.lock();
        if state.record.end.is_none() {
            self.collect(&mut state);
        }
        Arc::clone(&state.record)
    }

    /// Reads facts that are known before the response's body, without a copy.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&RequestRecord) -> T) -> T {
        read(&self.lock().record)
    }

    /// Sets [`RequestRecord::client`], for a program that identifies clients itself.
    pub fn set_client(&self, name: &Arc<str>) {
        self.write(|record| record.client = Some(Arc::clone(name)));
    }

    /// Notes the request that intake has read, and hands it to the subscribers.
    pub(crate) fn set_request(&self, request: &RelayRequest) {
        let session = named_session(request).filter(|session| is_plain(session));
        let cache_ttl = request.body().cache_ttl();
        self.write(|record| {
            record.endpoint = Some(request.endpoint());
            record.session = session.map(|session| (&*session).into());
            record.model_requested = Some(Arc::clone(request.body().model()));
            record.is_stream = request.body().is_stream();
            record.cache_ttl = cache_ttl;
        });
        self.0.observers.received(self, request);
    }

    /// Opens the log in which attempts are recorded. They are read from it until [`set_route`](Self::set_route).
    pub(crate) fn attempt_log(&self) -> AttemptLog {
        let mut state = self.lock();
        let log = AttemptLog::new(state.record.started.into_std());
        state.attempts.insert(log).clone()
    }

    /// Notes the attempts at upstreams. `is_answered` is true if the client gets the answer of the last one.
    pub(crate) fn set_route(&self, trace: RouteTrace, is_answered: bool) {
        let mut state = self.lock();
        state.attempts = None;
        let RouteTrace { strategy, attempts, circuit, answer_stats, .. } = trace;
        let record = Arc::make_mut(&mut state.record);
        record.strategy = Some(strategy);
        record.circuit = circuit;
        if let Some(last) = attempts.last().filter(|_| is_answered) {
            record.provider = Some(last.provider.clone());
            let is_success = last.status.is_some_and(|status| (200..300).contains(&status));
            record.model_served = is_success.then(|| last.model.clone());
        }
        record.attempts = attempts;
        state.answer = Some(answer_stats);
    }

    /// The statistics of the answer that the client gets; `None` before routing has ended, and for a response without routing.
    pub(crate) fn answer_stats(&self) -> Option<AnswerStats> {
        self.lock().answer.clone()
    }

    /// Notes the provider whose answer the client gets, for an answer that was not routed by model.
    pub(crate) fn set_provider(&self, name: &ProviderName) {
        self.write(|record| record.provider = Some(name.clone()));
    }

    /// Notes the message of an error of the relay's own.
    pub(crate) fn set_error(&self, message: String) {
        self.write(|record| record.error = Some(message.into()));
    }

    /// Notes the head of the response.
    pub(super) fn set_head(&self, status: StatusCode, headers: &HeaderMap, work: &OwnTime) {
        self.write(|record| {
            let now = Instant::now();
            record.head = Some(now.saturating_duration_since(record.started));
            record.own_time = Some(work.at(now));
            record.status = Some(status);
            // A translated error of an upstream that sent no id carries the relay's.
            let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
            let id = id.filter(|id| *id != record.id.as_str());
            let logged = record.attempts.last().and_then(|attempt| attempt.upstream_request_id.as_ref());
            record.upstream_request_id = match logged {
                Some(logged) if id == Some(logged) => Some(Arc::clone(logged)),
                _ => id.map(Into::into),
            };
        });
    }

    /// Counts bytes of the request's body.
    pub(crate) fn add_received(&self, bytes: usize) {
        self.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Finishes the record. A later call returns `None`.
    fn finish(&self, end: RequestEnd) -> Option<Arc<RequestRecord>> {
        let mut state = self.lock();
        if state.record.end.is_some() {
            return None;
        }
        self.collect(&mut state);
        // An `error` event and a clean end may have taken the place of the break.
        let is_cut_off = state.answer.take().is_some_and(|answer| answer.is_cut_off());
        let record = Arc::make_mut(&mut state.record);
        record.add_billed(self.0.observers.pricing());
        record.ended = Some(record.started.elapsed());
        record.end = Some(match end {
            RequestEnd::Complete if is_cut_off => RequestEnd::Broken,
            end => end,
        });
        Some(Arc::clone(&state.record))
    }

    /// Copies the facts that other parts count into the record.
    fn collect(&self, state: &mut State) {
        let record = Arc::make_mut(&mut state.record);
        record.bytes_received = self.0.received.load(Ordering::Relaxed);
        record.bytes_sent = self.0.sent.load(Ordering::Relaxed);
        if let Some(log) = &state.attempts {
            record.attempts = log.to_vec();
        }
        let Some(answer) = &state.answer else { return };
        record.first_content =
            answer.first_content().map(|at| at.saturating_duration_since(record.started.into_std()));
        record.gaps = answer.gaps();
        if let Some((report, _)) = answer.end() {
            let billed = answer.billed();
            record.usage = billed.as_ref().map_or(report.usage, |billed| billed.usage);
            record.is_estimated = billed.as_ref().is_some_and(|billed| billed.is_estimated);
            record.is_billed = billed.is_some() && record.endpoint == Some(Endpoint::Messages);
            if let (Some(billed), Some(last)) = (billed, record.attempts.last_mut()) {
                last.by_model = ModelCost::of(billed.by_model, &last.model);
            }
            record.stop_reason.clone_from(&report.stop_reason);
            if report.model.is_some() {
                record.model_served.clone_from(&report.model);
            }
        }
    }

    fn write(&self, write: impl FnOnce(&mut RequestRecord)) {
        let mut state = self.lock();
        if state.record.end.is_none() {
            write(Arc::make_mut(&mut state.record));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client_subject<B>(request: &Request<B>) -> Option<Arc<str>> {
    request.extensions().get().map(|certificate: &ClientCertificate| Arc::clone(certificate.subject()))
}

/// Returns `true` for 1 to 128 characters of visible ASCII. A session is logged and shown.
fn is_plain(session: &str) -> bool {
    (1..=SESSION_MAX).contains(&session.len()) && session.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The obligation to finish a record: fulfilled when it is dropped, at the latest.
#[derive(Debug)]
pub(crate) struct OpenRecord {
    handle: RecordHandle,
    end: RequestEnd,
}

impl OpenRecord {
    pub(crate) fn new(handle: RecordHandle) -> Self {
        Self { handle, end: RequestEnd::Abandoned }
    }

    pub(crate) fn handle(&self) -> &RecordHandle {
        &self.handle
    }

    /// Counts bytes of the response's body.
    pub(crate) fn add_sent(&self, bytes: usize) {
        self.handle.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes the end of the response. A break and a stall are final: the body ends after them as well.
    pub(crate) fn set_end(&mut self, end: RequestEnd) {
        if !matches!(self.end, RequestEnd::Broken | RequestEnd::Stalled) {
            self.end = end;
        }
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        if self.end == RequestEnd::Abandoned && std::thread::panicking() {
            self.end = RequestEnd::Broken;
        }
        if let Some(record) = self.handle.finish(self.end) {
            self.handle.0.observers.finished(&record);
        }
    }
}
