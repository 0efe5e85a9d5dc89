//! Who has signed which thinking, remembered for the whole relay.
//!
//! A conversation comes back with the thinking of every upstream that took part in it, and no block says whose it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use relay_config::BaseUrl;
use relay_stream::thinking::ThinkingId;

/// Signatures that are remembered, in two generations of half as many: about 6 MiB.
const SIGNATURES: usize = 100_000;
/// How long a generation takes new ones at most. One that is asked for lives on; after two generations of silence a
/// conversation is over, or resumed so late that its signatures are simply tried.
const GENERATION: Duration = Duration::from_secs(24 * 60 * 60);
/// There are as many as there are providers.
const ORIGINS: usize = 1024;

/// Upstreams that accept each other's thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(Family);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Claude,
    /// By its address.
    Alone(ThinkingId),
}

impl Origin {
    /// Claude, wherever it is served: Anthropic, Bedrock, Vertex and Foundry accept each other's signatures.
    pub const CLAUDE: Self = Self(Family::Claude);

    /// An upstream with models of its own, which knows its own thinking alone.
    #[must_use]
    pub fn at(base_url: &BaseUrl) -> Self {
        let address = format!("{}{}", base_url.authority(), base_url.path());
        Self(Family::Alone(ThinkingId::of(address.to_ascii_lowercase().as_bytes())))
    }
}

/// What is known of one signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    By(Origin),
    /// Refused there, and never seen before.
    NotBy(Origin),
}

/// Whose signature each is. Cloning shares it. Bounded: the oldest that nobody has asked for are forgotten.
#[derive(Debug, Clone, Default)]
pub struct Signatures(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    young: HashMap<ThinkingId, Known>,
    old: HashMap<ThinkingId, Known>,
    /// When the young generation began.
    since: Option<Instant>,
    /// Those whose answers have been seen, with whether their thinking came unsigned.
    origins: Vec<(Origin, bool)>,
    /// A signature has been refused.
    refusals: bool,
}

impl Signatures {
    /// Remembers that `id` is a signature of `origin`.
    pub fn sign(&self, id: ThinkingId, origin: Origin, now: Instant) {
        let mut memory = self.lock();
        memory.see(origin, false);
        memory.insert(id, Known::By(origin), now);
    }

    /// Remembers that thinking of `origin` may come without a signature.
    pub fn leave_unsigned(&self, origin: Origin) {
        self.lock().see(origin, true);
    }

    /// Remembers that `origin` has refused `id`.
    pub fn refuse(&self, id: ThinkingId, origin: Origin, now: Instant) {
        let mut memory = self.lock();
        memory.refusals = true;
        memory.insert(id, Known::NotBy(origin), now);
    }

    /// Whether `origin` may take `id`, as far as is known. What is not known is worth a try.
    #[must_use]
    pub fn may_take(&self, id: ThinkingId, origin: Origin, now: Instant) -> bool {
        match self.lock().get(id, now) {
            None => true,
            Some(Known::By(signer)) => signer == origin,
            Some(Known::NotBy(refuser)) => refuser != origin,
        }
    }

    /// Whether thinking of `origin` has come without a signature.
    #[must_use]
    pub fn is_unsigned_by(&self, origin: Origin) -> bool {
        self.lock().origins.contains(&(origin, true))
    }

    /// Whether there may be anything that `origin` does not take.
    #[must_use]
    pub fn concern(&self, origin: Origin) -> bool {
        let memory = self.lock();
        memory.refusals || memory.origins.iter().any(|(seen, _)| *seen != origin)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn see(&mut self, origin: Origin, unsigned: bool) {
        if let Some((_, is_unsigned)) = self.origins.iter_mut().find(|(seen, _)| *seen == origin) {
            *is_unsigned |= unsigned;
        } else if self.origins.len() < ORIGINS {
            self.origins.push((origin, unsigned));
        }
    }

    fn insert(&mut self, id: ThinkingId, known: Known, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if self.young.len() >= SIGNATURES / 2 || now - since >= GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.since = Some(now);
        }
        self.young.insert(id, known);
    }

    fn get(&mut self, id: ThinkingId, now: Instant) -> Option<Known> {
        if let Some(known) = self.young.get(&id) {
            return Some(*known);
        }
        let known = self.old.remove(&id)?;
        self.insert(id, known, now);
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ThinkingId {
        ThinkingId::of(number.to_string().as_bytes())
    }

    fn at(url: &str) -> Origin {
        Origin::at(&BaseUrl::parse(url).unwrap())
    }

    #[test]
    fn a_signature_goes_back_to_where_it_came_from() {
        let (zai, ollama) = (at("https://api.z.ai/api/anthropic"), at("http://localhost:11434"));
        assert_eq!(zai, at("https://api.z.ai/api/anthropic/"));
        let (signatures, now) = (Signatures::default(), Instant::now());
        assert!(!signatures.concern(Origin::CLAUDE));
        signatures.sign(id(1), Origin::CLAUDE, now);
        assert!(!signatures.concern(Origin::CLAUDE) && signatures.concern(zai));
        signatures.sign(id(2), zai, now);
        signatures.refuse(id(3), Origin::CLAUDE, now);
        let takes = |origin| [1, 2, 3, 4].map(|number| signatures.may_take(id(number), origin, now));
        assert_eq!(takes(Origin::CLAUDE), [true, false, false, true]);
        assert_eq!(takes(zai), [false, true, true, true]);
        assert_eq!(takes(ollama), [false, false, true, true]);
        signatures.leave_unsigned(ollama);
        assert!(signatures.is_unsigned_by(ollama) && !signatures.is_unsigned_by(zai));
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_and_the_rest_lives_on() {
        let (signatures, now) = (Signatures::default(), Instant::now());
        let zai = at("https://api.z.ai");
        let known = |number| !signatures.may_take(id(number), Origin::CLAUDE, now);
        signatures.sign(id(0), zai, now);
        signatures.sign(id(1), zai, now);
        for number in 2..2 + SIGNATURES / 2 {
            signatures.sign(id(number), zai, now);
        }
        assert!(known(0), "it is of the old generation, and asked for");
        for number in 2..1 + SIGNATURES / 2 {
            signatures.sign(id(SIGNATURES + number), zai, now);
        }
        assert!(known(0) && !known(1));
        let memory = signatures.lock();
        assert!(memory.young.len() + memory.old.len() <= SIGNATURES);
    }

    #[test]
    fn a_generation_ends_with_its_time() {
        let (signatures, mut now) = (Signatures::default(), Instant::now());
        let zai = at("https://api.z.ai");
        for number in 0..3 {
            signatures.sign(id(number), zai, now);
            now += GENERATION;
        }
        assert!(
            signatures.may_take(id(0), Origin::CLAUDE, now)
                && !signatures.may_take(id(1), Origin::CLAUDE, now)
        );
    }
}
