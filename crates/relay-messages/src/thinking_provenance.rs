//! The memory of which upstream signed which thinking block, shared by the whole relay.
//!
//! A client sends a conversation back with the thinking of every upstream that took part in it, and no block
//! names the upstream that it came from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use relay_config::BaseUrl;
use relay_stream::thinking::ThinkingId;

use crate::two_generations::TwoGenerations;

/// The maximum number of remembered signatures, in two generations of half as many. They take about 6 MiB.
const SIGNATURES: usize = 100_000;
/// The maximum time that a generation accepts new signatures. A signature that is read moves to the new
/// generation. One that is not read for two generations is dropped: its conversation is over, or if it is
/// resumed, the upstream decides.
const GENERATION: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum number of remembered owners. There are at most as many owners as providers.
const OWNERS: usize = 1024;

/// The owner of a signature: a group of upstreams that accept each other's thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureOwner(Family);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Claude,
    /// An upstream with its own models, identified by a hash of its address.
    Alone(ThinkingId),
}

impl SignatureOwner {
    /// The owner of Claude's signatures. Anthropic, Bedrock, Vertex and Foundry accept each other's.
    pub const CLAUDE: Self = Self(Family::Claude);

    /// Returns the owner for an upstream with its own models, which accepts only its own thinking.
    #[must_use]
    pub fn at(base_url: &BaseUrl) -> Self {
        let address = format!("{}{}", base_url.authority(), base_url.path());
        Self(Family::Alone(ThinkingId::of(address.to_ascii_lowercase().as_bytes())))
    }
}

/// The known fact about one signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    By(SignatureOwner),
    /// The signature was refused by this owner, and its signer is unknown.
    NotBy(SignatureOwner),
}

/// The owner of each known signature. Clones share one memory. The memory is bounded: the signatures that
/// have not been read for the longest time are dropped first.
#[derive(Debug, Clone, Default)]
pub struct ThinkingProvenance(Arc<Mutex<Memory>>);

#[derive(Debug)]
struct Memory {
    signatures: TwoGenerations<ThinkingId, Known>,
    /// The owners of the answers that have been relayed.
    owners: Vec<KnownOwner>,
    /// `true` once a signature has been refused.
    refusals: bool,
}

#[derive(Debug)]
struct KnownOwner {
    owner: SignatureOwner,
    /// `true` if its thinking came unsigned.
    sends_unsigned: bool,
    /// `true` if it has accepted the thinking of another owner.
    accepts_foreign: bool,
}

impl Default for Memory {
    fn default() -> Self {
        let signatures = TwoGenerations::new(SIGNATURES / 2, GENERATION);
        Self { signatures, owners: Vec::new(), refusals: false }
    }
}

impl ThinkingProvenance {
    /// Records that `id` is a signature of `owner`.
    pub fn record_signature(&self, id: ThinkingId, owner: SignatureOwner, now: Instant) {
        let mut memory = self.lock();
        memory.known(owner, |_| {});
        memory.signatures.insert(id, Known::By(owner), now);
    }

    /// Records that thinking of `owner` may come without a signature.
    pub fn record_unsigned(&self, owner: SignatureOwner) {
        self.lock().known(owner, |known| known.sends_unsigned = true);
    }

    /// Records that `owner` has accepted the thinking of another owner.
    pub(crate) fn record_acceptance(&self, owner: SignatureOwner) {
        self.lock().known(owner, |known| known.accepts_foreign = true);
    }

    /// Records that `owner` has refused `id`.
    pub(crate) fn record_refusal(&self, id: ThinkingId, owner: SignatureOwner, now: Instant) {
        let mut memory = self.lock();
        memory.refusals = true;
        memory.known(owner, |known| known.accepts_foreign = false);
        memory.signatures.insert(id, Known::NotBy(owner), now);
    }

    /// Returns `false` if `owner` is known not to accept `id`. Returns `true` for an unknown signature, which
    /// is worth a try.
    #[must_use]
    pub(crate) fn may_accept(&self, id: ThinkingId, owner: SignatureOwner, now: Instant) -> bool {
        match self.lock().signatures.get(&id, now) {
            None => true,
            Some(Known::By(signer)) => *signer == owner,
            Some(Known::NotBy(refuser)) => *refuser != owner,
        }
    }

    /// Returns `true` if thinking of `owner` has come without a signature.
    #[must_use]
    pub(crate) fn sends_unsigned(&self, owner: SignatureOwner) -> bool {
        self.lock().owners.iter().any(|known| known.owner == owner && known.sends_unsigned)
    }

    /// Returns `true` if a conversation may contain thinking that `owner` does not accept: another owner has
    /// answered a request, or a signature has been refused. An owner that has accepted the thinking of another one gets all
    /// thinking until it refuses a signature.
    #[must_use]
    pub(crate) fn may_contain_foreign(&self, owner: SignatureOwner) -> bool {
        let memory = self.lock();
        let accepts_all = memory.owners.iter().any(|known| known.owner == owner && known.accepts_foreign);
        !accepts_all && (memory.refusals || memory.owners.iter().any(|known| known.owner != owner))
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Changes the facts about `owner`, if there is room for it.
    fn known(&mut self, owner: SignatureOwner, change: impl FnOnce(&mut KnownOwner)) {
        let known = self.owners.iter().position(|known| known.owner == owner);
        if known.is_none() && self.owners.len() < OWNERS {
            self.owners.push(KnownOwner { owner, sends_unsigned: false, accepts_foreign: false });
        }
        let at = known.unwrap_or(self.owners.len().saturating_sub(1));
        if let Some(known) = self.owners.get_mut(at).filter(|known| known.owner == owner) {
            change(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ThinkingId {
        ThinkingId::of(number.to_string().as_bytes())
    }

    fn at(url: &str) -> SignatureOwner {
        SignatureOwner::at(&BaseUrl::parse(url).unwrap())
    }

    #[test]
    fn a_signature_is_only_accepted_by_its_owner() {
        let (zai, ollama) = (at("https://api.z.ai/api/anthropic"), at("http://localhost:11434"));
        assert_eq!(zai, at("https://api.z.ai/api/anthropic/"));
        let (provenance, now) = (ThinkingProvenance::default(), Instant::now());
        assert!(!provenance.may_contain_foreign(SignatureOwner::CLAUDE));
        provenance.record_signature(id(1), SignatureOwner::CLAUDE, now);
        assert!(
            !provenance.may_contain_foreign(SignatureOwner::CLAUDE) && provenance.may_contain_foreign(zai)
        );
        provenance.record_signature(id(2), zai, now);
        provenance.record_refusal(id(3), SignatureOwner::CLAUDE, now);
        let takes = |owner| [1, 2, 3, 4].map(|number| provenance.may_accept(id(number), owner, now));
        assert_eq!(takes(SignatureOwner::CLAUDE), [true, false, false, true]);
        assert_eq!(takes(zai), [false, true, true, true]);
        assert_eq!(takes(ollama), [false, false, true, true]);
        provenance.record_unsigned(ollama);
        assert!(provenance.sends_unsigned(ollama) && !provenance.sends_unsigned(zai));
    }

    #[test]
    fn signatures_that_are_not_read_are_dropped_and_the_others_are_kept() {
        let (provenance, now) = (ThinkingProvenance::default(), Instant::now());
        let zai = at("https://api.z.ai");
        let known = |number| !provenance.may_accept(id(number), SignatureOwner::CLAUDE, now);
        provenance.record_signature(id(0), zai, now);
        provenance.record_signature(id(1), zai, now);
        for number in 2..2 + SIGNATURES / 2 {
            provenance.record_signature(id(number), zai, now);
        }
        assert!(known(0), "a signature of the old generation is kept if it is read");
        for number in 2..1 + SIGNATURES / 2 {
            provenance.record_signature(id(SIGNATURES + number), zai, now);
        }
        assert!(known(0) && !known(1));
        assert!(provenance.lock().signatures.len() <= SIGNATURES);
    }

    #[test]
    fn a_generation_ends_after_its_maximum_time() {
        let (provenance, mut now) = (ThinkingProvenance::default(), Instant::now());
        let zai = at("https://api.z.ai");
        for number in 0..3 {
            now += GENERATION;
            provenance.record_signature(id(number), zai, now);
        }
        let is_known = |number, now| !provenance.may_accept(id(number), SignatureOwner::CLAUDE, now);
        assert!(!is_known(0, now) && is_known(1, now));
        assert!(
            !is_known(2, now + 2 * GENERATION),
            "all signatures are dropped after two generations without reads"
        );
    }
}
