//! The diagnosis of prompt caches: for each session the share of the prompt that was read from a cache, and the reason for which
//! it was not.
//!
//! ```text
//! received ─┬▶ queue ─▶ thread: hashes the blocks ─▶ PromptDigest ─┐
//! finished ─┘  bounded          tokens by kind ────────────────────┴▶ Session ─ compares with the turn before ─▶ CacheVerdict
//! ```
//! The data path adds to the queue and never waits. A body is held for 20 ms longer at most, and 32 MiB of bodies at one time.
//!
//! An upstream does not report why a prompt was not read from its cache. The digests show the first block or setting that differs
//! from the turn before. No text of a prompt is kept.

mod queue;
mod report;
mod session;
mod verdict;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use relay_messages::{MessagesBody, PromptDigest};
use relay_providers::{Endpoint, RelayRequest};
use relay_server::{RecordHandle, RecordSubscriber, RequestId, RequestRecord};

use queue::{Job, Queue};
pub use report::{PrefixBreak, SessionReport, TurnReport};
use session::{Session, SessionKey, Turn};
pub use verdict::CacheVerdict;

use crate::worker::Worker;

/// The number of sessions of a diagnosis by default.
const SESSIONS: usize = 500;
/// The maximum number of requests under way whose digests are kept. Further requests are not diagnosed.
const UNDER_WAY: usize = 4096;
/// The time without a request after which a session is dropped. The longest time to live of a cached prompt is one hour.
const IDLE: Duration = Duration::from_secs(12 * 60 * 60);

/// The prompt caches of the latest sessions. Clones share them: one subscribes to the records, another one reports.
///
/// A session takes at most 48 KiB for each of its 4 conversations, and usually 2 KiB.
#[derive(Debug, Clone)]
pub struct PromptCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    capacity: usize,
    queue: Queue,
    /// Locked while jobs are done, in their order. The data path never locks it.
    state: Mutex<State>,
    /// The thread that does the jobs.
    worker: Worker,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<SessionKey, Session>,
    /// The digests of the requests under way, by the relay's id of the request.
    under_way: HashMap<RequestId, Arc<PromptDigest>>,
    /// The jobs of the last round, all of which are done. Its allocation is used again.
    jobs: Vec<Job>,
}

impl PromptCache {
    /// Creates a diagnosis of at most `capacity` sessions, at least one. The session without a request for the longest time is
    /// dropped first.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Shared {
            capacity: capacity.max(1),
            queue: Queue::default(),
            state: Mutex::default(),
            worker: Worker::default(),
        }))
    }

    /// Returns the sessions, the one with the latest request first. Requests that have ended before are part of them: their prompts
    /// are read here if the thread has not done it yet.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionReport> {
        let state = self.0.work();
        let mut reports: Vec<_> = state.sessions.iter().map(|(key, session)| session.report(key)).collect();
        drop(state);
        reports.sort_by_key(|report| std::cmp::Reverse(report.last_unix_ms));
        reports
    }

    /// Returns the number of sessions.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.0.work().sessions.len()
    }

    /// Returns the verdict on the turn of a request that has ended, and the place at which its prefix broke. `None` if the request
    /// was not diagnosed, or if its session has had many turns since.
    #[cfg(feature = "ledger")]
    pub(crate) fn verdict(&self, record: &RequestRecord) -> Option<(CacheVerdict, Option<String>)> {
        let key = SessionKey::of(record)?;
        self.0.work().sessions.get(&key)?.verdict(record.id.as_str())
    }

    /// The number of requests that were not diagnosed, since too many prompts were waiting.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// Takes in the end of a request in a thread that may wait for the jobs before it.
    pub(crate) fn take_in(&self, record: &RequestRecord) {
        if is_turn(record) {
            self.0.work().finished(record, self.0.capacity);
        }
    }

    fn push(&self, job: Job) {
        if self.0.queue.push(job) {
            self.0.worker.wake("prompt-cache", &self.0, |shared| drop(shared.work()), |_| {});
        }
    }
}

impl Default for PromptCache {
    /// Creates a diagnosis of at most 500 sessions.
    fn default() -> Self {
        Self::new(SESSIONS)
    }
}

impl Shared {
    /// Does all jobs that wait.
    fn work(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = std::mem::take(&mut state.jobs);
        self.queue.take(&mut jobs);
        for job in jobs.drain(..) {
            match job {
                Job::Received { id, key, body } => state.received(id, &key, &body),
                Job::Finished(record) => state.finished(&record, self.capacity),
            }
        }
        state.jobs = jobs;
        state
    }
}

impl State {
    fn received(&mut self, id: RequestId, key: &SessionKey, body: &MessagesBody) {
        if self.under_way.len() >= UNDER_WAY {
            return;
        }
        let before = self.sessions.get(key).map(Session::digests).unwrap_or_default();
        let before: Vec<&PromptDigest> = before.iter().map(|digest| &**digest).collect();
        self.under_way.insert(id, Arc::new(PromptDigest::of_turn(body, &before)));
    }

    fn finished(&mut self, record: &RequestRecord, capacity: usize) {
        let Some(key) = SessionKey::of(record) else { return };
        let Some(digest) = self.under_way.remove(&record.id) else { return };
        // A request that failed has read and written no cache.
        if let Some(turn) = Turn::of(record) {
            self.turn(key, digest, &turn, capacity);
        }
    }

    fn turn(&mut self, key: SessionKey, digest: Arc<PromptDigest>, turn: &Turn<'_>, capacity: usize) {
        if !self.sessions.contains_key(&key) {
            self.make_room(capacity, turn.at);
        }
        let name = Arc::clone(&key.session);
        let session = self.sessions.entry(key).or_insert_with(|| Session::new(turn.at));
        if let Some(alarm) = session.turn(digest, turn) {
            alarm.log(&name, turn);
        }
    }

    /// Drops idle sessions, and the session without a request for the longest time if there are still `capacity`.
    fn make_room(&mut self, capacity: usize, now: SystemTime) {
        self.sessions.retain(|_, session| now.duration_since(session.last()).is_ok_and(|idle| idle < IDLE));
        if self.sessions.len() >= capacity {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.last());
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.sessions.remove(&oldest));
        }
    }
}

impl RecordSubscriber for PromptCache {
    fn received(&self, handle: &RecordHandle, request: &RelayRequest) {
        if request.endpoint() != Endpoint::Messages {
            return;
        }
        if let Some(key) = SessionKey::of(&handle.snapshot()) {
            self.push(Job::Received { id: handle.id().clone(), key, body: request.body().clone() });
        }
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        if is_turn(record) {
            self.push(Job::Finished(Arc::clone(record)));
        }
    }
}

/// Returns `true` for a request that may be a turn of a session.
fn is_turn(record: &RequestRecord) -> bool {
    record.endpoint == Some(Endpoint::Messages) && record.session.is_some()
}

#[cfg(test)]
mod tests;
