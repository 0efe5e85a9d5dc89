//! Session affinity: keeps a conversation on the candidate that has its prompt cache.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use relay_messages::TwoGenerations;

use crate::candidate::CandidateId;
use crate::lock::lock;

/// The shortest time for which an idle session is remembered: the longest lifetime of a prompt cache.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Half the largest number of sessions remembered.
const SESSIONS: usize = 10_000;
/// The time for which a session avoids the candidate that broke off a stream.
const AVOIDED: Duration = Duration::from_secs(60);
/// The number of consecutive requests served by another candidate that move the session to it. Its cache is
/// warm by then.
const DETOURS: u8 = 2;

/// The candidate that each session prefers. Bounded; idle sessions are dropped after one to two hours.
#[derive(Debug)]
pub struct AffinityTable {
    /// A conversation without a session is known by up to 8 KB of its text: the hasher of the standard library would take 3.5 µs.
    hasher: RandomState,
    sessions: Mutex<Sessions>,
}

/// The keys are hashes of random seed, which are not hashed again.
type Sessions = TwoGenerations<u64, SessionState, BuildHasherDefault<KeyAsHash>>;

/// The hasher of a key that is a hash.
#[derive(Debug, Default)]
struct KeyAsHash(u64);

impl Hasher for KeyAsHash {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Default for AffinityTable {
    fn default() -> Self {
        let sessions = Mutex::new(Sessions::with_hasher(SESSIONS, REMEMBERED));
        Self { hasher: RandomState::default(), sessions }
    }
}

/// The keys of a session: with its model, because each model has its own prompt cache, and without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionKey {
    with_model: u64,
    any_model: u64,
}

/// The candidates that a session prefers and avoids, as the places that the reader has for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AffinityHint<P> {
    /// The candidate that has served the session.
    pub(crate) preferred: Option<P>,
    /// The candidate that has recently broken off an answer to the session.
    pub(crate) avoided: Option<P>,
}

#[derive(Debug, Clone, Default)]
struct SessionState {
    preferred: Option<CandidateId>,
    /// The number of consecutive requests that another candidate has served.
    detours: u8,
    /// Boxed, since nearly no session has one, and each of 20,000 has room for it.
    avoided: Option<Box<(CandidateId, Instant)>>,
}

/// A session and the candidate that serves a request of it.
#[derive(Debug)]
pub(crate) struct ServedSession {
    affinity: Arc<AffinityTable>,
    session: SessionKey,
    candidate: CandidateId,
}

impl ServedSession {
    pub(crate) fn new(affinity: &Arc<AffinityTable>, session: SessionKey, candidate: CandidateId) -> Self {
        Self { affinity: Arc::clone(affinity), session, candidate }
    }

    /// Records that the candidate has served the request.
    pub(crate) fn record_success(&self, now: Instant) {
        self.affinity.record_success(self.session, &self.candidate, now);
    }

    /// Records that the candidate has broken off its answer.
    pub(crate) fn record_break(self, now: Instant) {
        self.affinity.record_break(self.session, self.candidate, now);
    }
}

impl AffinityTable {
    /// Creates an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the key of the session with this name.
    pub(crate) fn session(&self, name: impl Hash, model: &str) -> SessionKey {
        let mut hasher = self.hasher.build_hasher();
        name.hash(&mut hasher);
        let any_model = hasher.finish();
        model.hash(&mut hasher);
        SessionKey { with_model: hasher.finish(), any_model }
    }

    /// Returns the hint for `session` if it is known, with the `place` of each candidate that has one. A model that the session
    /// has not used yet follows the session's first model.
    pub(crate) fn hint<P>(
        &self,
        session: SessionKey,
        now: Instant,
        place: impl Fn(&CandidateId) -> Option<P>,
    ) -> Option<AffinityHint<P>> {
        let mut sessions = lock(&self.sessions);
        let mut read = |key: u64| {
            let state = sessions.get(&key, now)?;
            let avoided = state.avoided.as_deref().filter(|(_, until)| *until > now);
            Some(AffinityHint {
                preferred: state.preferred.as_ref().and_then(&place),
                avoided: avoided.and_then(|(candidate, _)| place(candidate)),
            })
        };
        read(session.with_model).or_else(|| read(session.any_model))
    }

    /// Records that `candidate` has served a request of `session`. A single detour does not move the session.
    pub(crate) fn record_success(&self, session: SessionKey, candidate: &CandidateId, now: Instant) {
        let (mut sessions, now) = (lock(&self.sessions), now);
        let state = sessions.get_or_default(session.with_model, now);
        if state.preferred.as_ref() == Some(candidate) {
            state.detours = 0;
        } else {
            state.detours += 1;
            if state.preferred.is_none() || state.detours >= DETOURS {
                (state.preferred, state.detours) = (Some(candidate.clone()), 0);
            }
        }
        let state = sessions.get_or_default(session.any_model, now);
        state.preferred.get_or_insert_with(|| candidate.clone());
    }

    /// Records that `candidate` has broken off an answer to `session`.
    pub(crate) fn record_break(&self, session: SessionKey, candidate: CandidateId, now: Instant) {
        let mut sessions = lock(&self.sessions);
        sessions.get_or_default(session.with_model, now).avoided = Some(Box::new((candidate, now + AVOIDED)));
    }
}

#[cfg(test)]
mod tests {
    use relay_config::ProviderName;

    use super::*;
    use crate::candidate::CredentialId;
    use crate::clock;

    fn id(name: &str) -> CandidateId {
        CandidateId { provider: ProviderName::new(name), credential: CredentialId::None }
    }

    fn preferred(affinity: &AffinityTable, session: SessionKey, now: Instant) -> Option<String> {
        affinity.hint(session, now, |candidate| Some(candidate.provider.to_string()))?.preferred
    }

    #[test]
    fn a_single_detour_does_not_move_a_session_and_two_in_a_row_do() {
        let (affinity, now) = (AffinityTable::new(), clock::now());
        let session = affinity.session("s", "m");
        for (served, expected) in [("a", "a"), ("b", "a"), ("a", "a"), ("b", "a"), ("b", "b"), ("a", "b")] {
            affinity.record_success(session, &id(served), now);
            assert_eq!(preferred(&affinity, session, now).as_deref(), Some(expected), "after {served}");
        }
    }

    #[test]
    fn another_model_follows_the_session_until_it_is_served_elsewhere() {
        let (affinity, now) = (AffinityTable::new(), clock::now());
        let [opus, haiku] = ["opus", "haiku"].map(|model| affinity.session("s", model));
        affinity.record_success(opus, &id("a"), now);
        assert_eq!(preferred(&affinity, haiku, now).as_deref(), Some("a"));
        affinity.record_success(haiku, &id("b"), now);
        assert_eq!(preferred(&affinity, haiku, now).as_deref(), Some("b"));
        assert_eq!(preferred(&affinity, opus, now).as_deref(), Some("a"));
        assert_eq!(preferred(&affinity, affinity.session("t", "opus"), now), None);
    }

    #[test]
    fn a_candidate_that_broke_off_an_answer_is_avoided_for_a_minute() {
        let (affinity, now) = (AffinityTable::new(), clock::now());
        let session = affinity.session("s", "m");
        affinity.record_success(session, &id("a"), now);
        affinity.record_break(session, id("a"), now);
        let avoided = |now| affinity.hint(session, now, |candidate| Some(candidate.clone()))?.avoided;
        assert_eq!((avoided(now), avoided(now + AVOIDED)), (Some(id("a")), None));
        assert_eq!(preferred(&affinity, session, now + AVOIDED).as_deref(), Some("a"));
    }

    #[test]
    fn idle_sessions_are_dropped_and_active_ones_are_kept() {
        let (affinity, start) = (AffinityTable::new(), clock::now());
        let [idle, active] = ["idle", "active"].map(|name| affinity.session(name, "m"));
        affinity.record_success(idle, &id("a"), start);
        affinity.record_success(active, &id("a"), start);
        for hour in 1..=3 {
            assert!(preferred(&affinity, active, start + hour * REMEMBERED).is_some());
        }
        assert_eq!(preferred(&affinity, idle, start + 3 * REMEMBERED), None);
        assert_eq!(preferred(&affinity, active, start + 9 * REMEMBERED), None);
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let (affinity, now) = (AffinityTable::new(), clock::now());
        for index in 0..5 * SESSIONS {
            affinity.record_success(affinity.session(index, "m"), &id("a"), now);
        }
        assert!(affinity.sessions.lock().unwrap().len() <= 2 * SESSIONS);
    }
}
