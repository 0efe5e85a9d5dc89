//! Who has signed which thinking, remembered for the whole relay.
//!
//! A conversation comes back with the thinking of every upstream that took part in it, and no block says whose it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relay_config::BaseUrl;
use relay_stream::thinking::ThinkingId;
use tokio::time::Instant;

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
    pub(crate) fn sign(&self, id: ThinkingId, origin: Origin) {
        let mut memory = self.lock();
        memory.see(origin, false);
        memory.insert(id, Known::By(origin));
    }

    /// Remembers that thinking of `origin` may come without a signature.
    pub fn leave_unsigned(&self, origin: Origin) {
        self.lock().see(origin, true);
    }

    /// Remembers that `origin` has refused `id`.
    pub(crate) fn refuse(&self, id: ThinkingId, origin: Origin) {
        let mut memory = self.lock();
        memory.refusals = true;
        memory.insert(id, Known::NotBy(origin));
    }

    /// Whether `origin` may take `id`, as far as is known. What is not known is worth a try.
    pub(crate) fn may_take(&self, id: ThinkingId, origin: Origin) -> bool {
        match self.lock().get(id) {
            None => true,
            Some(Known::By(signer)) => signer == origin,
            Some(Known::NotBy(refuser)) => refuser != origin,
        }
    }

    /// Whether thinking of `origin` has come without a signature.
    pub(crate) fn is_unsigned_by(&self, origin: Origin) -> bool {
        self.lock().origins.contains(&(origin, true))
    }

    /// Whether there may be anything that `origin` does not take.
    pub(crate) fn concern(&self, origin: Origin) -> bool {
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

    fn insert(&mut self, id: ThinkingId, known: Known) {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        if self.young.len() >= SIGNATURES / 2 || now - since >= GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.since = Some(now);
        }
        self.young.insert(id, known);
    }

    fn get(&mut self, id: ThinkingId) -> Option<Known> {
        if let Some(known) = self.young.get(&id) {
            return Some(*known);
        }
        let known = self.old.remove(&id)?;
        self.insert(id, known);
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

    #[tokio::test(start_paused = true)]
    async fn a_signature_goes_back_to_where_it_came_from() {
        let (zai, ollama) = (at("https://api.z.ai/api/anthropic"), at("http://localhost:11434"));
        assert_eq!(zai, at("https://api.z.ai/api/anthropic/"));
        let signatures = Signatures::default();
        assert!(!signatures.concern(Origin::CLAUDE));
        signatures.sign(id(1), Origin::CLAUDE);
        assert!(!signatures.concern(Origin::CLAUDE) && signatures.concern(zai));
        signatures.sign(id(2), zai);
        signatures.refuse(id(3), Origin::CLAUDE);
        let takes = |origin| [1, 2, 3, 4].map(|number| signatures.may_take(id(number), origin));
        assert_eq!(takes(Origin::CLAUDE), [true, false, false, true]);
        assert_eq!(takes(zai), [false, true, true, true]);
        assert_eq!(takes(ollama), [false, false, true, true]);
        signatures.leave_unsigned(ollama);
        assert!(signatures.is_unsigned_by(ollama) && !signatures.is_unsigned_by(zai));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_is_forgotten_and_the_rest_lives_on() {
        let signatures = Signatures::default();
        let zai = at("https://api.z.ai");
        let known = |number| !signatures.may_take(id(number), Origin::CLAUDE);
        signatures.sign(id(0), zai);
        signatures.sign(id(1), zai);
        for number in 2..2 + SIGNATURES / 2 {
            signatures.sign(id(number), zai);
        }
        assert!(known(0), "it is of the old generation, and asked for");
        for number in 2..1 + SIGNATURES / 2 {
            signatures.sign(id(SIGNATURES + number), zai);
        }
        assert!(known(0) && !known(1));
        let memory = signatures.lock();
        assert!(memory.young.len() + memory.old.len() <= SIGNATURES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_generation_ends_with_its_time() {
        let signatures = Signatures::default();
        let zai = at("https://api.z.ai");
        for number in 0..3 {
            signatures.sign(id(number), zai);
            tokio::time::advance(GENERATION).await;
        }
        assert!(signatures.may_take(id(0), Origin::CLAUDE) && !signatures.may_take(id(1), Origin::CLAUDE));
    }
}
