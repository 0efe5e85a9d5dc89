//! Which candidate a conversation belongs to, so that its prompt cache stays warm.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::mem;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use relay_config::ProviderName;
use tokio::time::Instant;

use crate::candidate::Credential;
use crate::lock::lock;

/// How long a session is remembered at least behind its last request: as long as a prompt cache lives at most.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// At most twice as many sessions are remembered.
const SESSIONS: usize = 10_000;
/// How long a session avoids the candidate that broke off a stream.
const AVOIDED: Duration = Duration::from_secs(60);
/// So many requests in a row that another candidate served move the session to it: its cache is warm by then.
const DETOURS: u8 = 2;

/// One provider with one credential, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CandidateId {
    pub(crate) provider: ProviderName,
    pub(crate) credential: Credential,
}

/// Remembers for each session the candidate that it belongs to. Bounded; sessions that are silent for long are forgotten.
#[derive(Debug, Default)]
pub struct Affinity {
    hasher: RandomState,
    sessions: Mutex<Sessions>,
}

/// A conversation with one model, and the same with any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    /// Models may be served in different places, and each has a cache of its own.
    with_model: u64,
    with_any: u64,
}

/// Where a session goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AffinityHint {
    /// Its place, if it has one.
    pub(crate) preferred: Option<CandidateId>,
    /// Where it does not go for now, if there is another place.
    pub(crate) avoided: Option<CandidateId>,
}

/// Two generations: whoever is not asked for while the younger one grows old is forgotten with the older one.
#[derive(Debug, Default)]
struct Sessions {
    young: HashMap<u64, Entry>,
    old: HashMap<u64, Entry>,
    /// When the younger one began.
    since: Option<Instant>,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    preferred: Option<CandidateId>,
    /// Requests in a row that another place served.
    detours: u8,
    avoided: Option<(CandidateId, Instant)>,
}

impl Affinity {
    /// Nothing is remembered yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The session of this name.
    pub(crate) fn session(&self, name: impl Hash, model: &str) -> Session {
        let with_any = self.hasher.hash_one(name);
        Session { with_model: self.hasher.hash_one((with_any, model)), with_any }
    }

    /// Where `session` goes.
    pub(crate) fn hint(&self, session: Session, now: Instant) -> AffinityHint {
        let mut sessions = self.lock(now);
        let known = if sessions.has(session.with_model) { session.with_model } else { session.with_any };
        let Some(entry) = sessions.get(known) else { return AffinityHint::default() };
        let avoided = entry.avoided.clone().filter(|(_, until)| *until > now).map(|(candidate, _)| candidate);
        AffinityHint { preferred: entry.preferred.clone(), avoided }
    }

    /// `place` has served a request of `session`. A single detour does not move it.
    pub(crate) fn served(&self, session: Session, candidate: &CandidateId, now: Instant) {
        let mut sessions = self.lock(now);
        let entry = sessions.entry(session.with_model);
        if entry.preferred.as_ref() == Some(candidate) {
            entry.detours = 0;
        } else {
            entry.detours += 1;
            if entry.preferred.is_none() || entry.detours >= DETOURS {
                (entry.preferred, entry.detours) = (Some(candidate.clone()), 0);
            }
        }
        let entry = sessions.entry(session.with_any);
        entry.preferred.get_or_insert_with(|| candidate.clone());
    }

    /// `place` has broken off an answer to `session`.
    pub(crate) fn interrupted(&self, session: Session, candidate: CandidateId, now: Instant) {
        self.lock(now).entry(session.with_model).avoided = Some((candidate, now + AVOIDED));
    }

    fn lock(&self, now: Instant) -> MutexGuard<'_, Sessions> {
        let mut sessions = lock(&self.sessions);
        sessions.age(now);
        sessions
    }
}

impl Sessions {
    fn age(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let age = now.saturating_duration_since(since);
        if age >= REMEMBERED || self.young.len() >= SESSIONS {
            self.old = mem::take(&mut self.young);
            if age >= 2 * REMEMBERED {
                self.old.clear();
            }
            self.since = Some(now);
        }
    }

    fn has(&self, session: u64) -> bool {
        self.young.contains_key(&session) || self.old.contains_key(&session)
    }

    /// Whoever is asked for stays.
    fn get(&mut self, session: u64) -> Option<&Entry> {
        if let Some(entry) = self.old.remove(&session) {
            self.young.entry(session).or_insert(entry);
        }
        self.young.get(&session)
    }

    fn entry(&mut self, session: u64) -> &mut Entry {
        let old = self.old.remove(&session);
        self.young.entry(session).or_insert_with(|| old.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str) -> CandidateId {
        CandidateId { provider: ProviderName::new(name), credential: Credential::None }
    }

    fn preferred(affinity: &Affinity, session: Session, now: Instant) -> Option<String> {
        affinity.hint(session, now).preferred.map(|candidate| candidate.provider.to_string())
    }

    #[test]
    fn a_single_detour_does_not_move_a_session_and_two_in_a_row_do() {
        let (affinity, now) = (Affinity::new(), Instant::now());
        let session = affinity.session("s", "m");
        for (served, expected) in [("a", "a"), ("b", "a"), ("a", "a"), ("b", "a"), ("b", "b"), ("a", "b")] {
            affinity.served(session, &candidate(served), now);
            assert_eq!(preferred(&affinity, session, now).as_deref(), Some(expected), "behind {served}");
        }
    }

    #[test]
    fn another_model_begins_where_the_session_is_and_may_live_elsewhere() {
        let (affinity, now) = (Affinity::new(), Instant::now());
        let [opus, haiku] = ["opus", "haiku"].map(|model| affinity.session("s", model));
        affinity.served(opus, &candidate("a"), now);
        assert_eq!(preferred(&affinity, haiku, now).as_deref(), Some("a"));
        affinity.served(haiku, &candidate("b"), now);
        assert_eq!(preferred(&affinity, haiku, now).as_deref(), Some("b"));
        assert_eq!(preferred(&affinity, opus, now).as_deref(), Some("a"));
        assert_eq!(preferred(&affinity, affinity.session("t", "opus"), now), None);
    }

    #[test]
    fn the_place_that_broke_off_is_avoided_for_a_while() {
        let (affinity, now) = (Affinity::new(), Instant::now());
        let session = affinity.session("s", "m");
        affinity.served(session, &candidate("a"), now);
        affinity.interrupted(session, candidate("a"), now);
        assert_eq!(affinity.hint(session, now).avoided, Some(candidate("a")));
        assert_eq!(affinity.hint(session, now + AVOIDED).avoided, None);
        assert_eq!(preferred(&affinity, session, now + AVOIDED).as_deref(), Some("a"));
    }

    #[test]
    fn silent_sessions_are_forgotten_and_others_are_not() {
        let (affinity, start) = (Affinity::new(), Instant::now());
        let [silent, busy] = ["silent", "busy"].map(|name| affinity.session(name, "m"));
        affinity.served(silent, &candidate("a"), start);
        affinity.served(busy, &candidate("a"), start);
        for hour in 1..=3 {
            assert!(preferred(&affinity, busy, start + hour * REMEMBERED).is_some());
        }
        assert_eq!(preferred(&affinity, silent, start + 3 * REMEMBERED), None);
        assert_eq!(preferred(&affinity, busy, start + 9 * REMEMBERED), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (affinity, now) = (Affinity::new(), Instant::now());
        for index in 0..5 * SESSIONS {
            affinity.served(affinity.session(index, "m"), &candidate("a"), now);
        }
        let sessions = affinity.sessions.lock().unwrap();
        assert!(sessions.young.len() + sessions.old.len() <= 2 * SESSIONS + 2);
    }
}
