//! The diagnosis of prompt caches: for each session the share of the prompt that was read from a cache, and the reason for which
//! it was not.
//!
//! ```text
//! received ─ hashes the blocks ─▶ PromptDigest ─┐
//! finished ─ tokens by kind ────────────────────┴▶ Session ─ compares with the turn before ─▶ CacheVerdict
//! ```
//! An upstream does not report why a prompt was not read from its cache. The digests show the first block or setting that differs
//! from the turn before. No text of a prompt is kept.

mod report;
mod session;
mod verdict;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use relay_messages::PromptDigest;
use relay_providers::{Endpoint, RelayRequest};
use relay_server::{RecordHandle, RecordSubscriber, RequestRecord};

pub use report::{PrefixBreak, SessionReport, TurnReport};
use session::{Session, SessionKey, Turn};
pub use verdict::CacheVerdict;

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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<SessionKey, Session>,
    /// The digests of the requests under way, by the relay's id of the request.
    under_way: HashMap<Box<str>, Arc<PromptDigest>>,
}

impl PromptCache {
    /// Creates a diagnosis of at most `capacity` sessions, at least one. The session without a request for the longest time is
    /// dropped first.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Shared { capacity: capacity.max(1), state: Mutex::default() }))
    }

    /// Returns the sessions, the one with the latest request first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionReport> {
        let mut reports: Vec<_> =
            self.lock().sessions.iter().map(|(key, session)| session.report(key)).collect();
        reports.sort_by_key(|report| std::cmp::Reverse(report.last_unix_ms));
        reports
    }

    /// Returns the number of sessions.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Returns the verdict on the turn of a request that has ended, and the place at which its prefix broke. `None` if the request
    /// was not diagnosed, or if its session has had many turns since.
    #[cfg(feature = "ledger")]
    pub(crate) fn verdict(&self, record: &RequestRecord) -> Option<(CacheVerdict, Option<String>)> {
        let key = SessionKey::of(record)?;
        self.lock().sessions.get(&key)?.verdict(record.id.as_str())
    }

    fn turn(&self, key: SessionKey, digest: Arc<PromptDigest>, turn: &Turn<'_>) {
        let mut state = self.lock();
        if !state.sessions.contains_key(&key) {
            state.make_room(self.0.capacity, turn.at);
        }
        let session = state.sessions.entry(key.clone()).or_insert_with(|| Session::new(turn.at));
        if let Some(alarm) = session.turn(digest, turn) {
            drop(state);
            alarm.log(&key.session, turn);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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
        let Some(key) = SessionKey::of(&handle.snapshot()) else { return };
        let before = self.lock().sessions.get(&key).map(Session::digests).unwrap_or_default();
        // Without the lock: a large prompt takes some time.
        let before: Vec<&PromptDigest> = before.iter().map(|digest| &**digest).collect();
        let digest = Arc::new(PromptDigest::of_turn(request.body(), &before));
        let mut state = self.lock();
        if state.under_way.len() < UNDER_WAY {
            state.under_way.insert(handle.id().as_str().into(), digest);
        }
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        let Some(key) = SessionKey::of(record) else { return };
        let Some(digest) = self.lock().under_way.remove(record.id.as_str()) else { return };
        // A request that failed has read and written no cache.
        if let Some(turn) = Turn::of(record) {
            self.turn(key, digest, &turn);
        }
    }
}

#[cfg(test)]
mod tests;
