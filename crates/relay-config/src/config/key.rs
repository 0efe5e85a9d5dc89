//! The settings of the keys of a provider.

use std::num::{NonZeroU32, NonZeroU64};

use crate::names::KeyId;
use crate::secret::Secret;

/// A credential of a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyConfig {
    /// The credential itself. `None` for kinds that send none: such a key carries only priority, weight and limits.
    pub key: Option<Secret>,
    /// The name in logs and in `status`. Default: `None`, which names the key by its [`KeyId`].
    pub name: Option<String>,
    /// The rank: higher is tried first. Default: the provider's.
    pub priority: i32,
    /// The share in weighted strategies. Default 1.
    pub weight: NonZeroU32,
    /// The configured limits. Default: none.
    pub limits: KeyLimits,
    /// The organization that the limits belong to. Keys of a provider with the same organization share one set of
    /// limits. Default: `None`, the limits are the key's own.
    pub organization: Option<String>,
}

impl KeyConfig {
    /// Returns a key with every setting at its default: no name, priority and weight 1, no limits, no organization.
    #[must_use]
    pub fn new(key: Option<Secret>) -> Self {
        let (limits, organization) = (KeyLimits::default(), None);
        Self { key, name: None, priority: 1, weight: NonZeroU32::MIN, limits, organization }
    }

    /// Returns the identity of the key with its name, or `None` for a kind that sends no key.
    #[must_use]
    pub fn id(&self) -> Option<KeyId> {
        let id = KeyId::of(self.key.as_ref()?);
        Some(match &self.name {
            Some(name) => id.with_name(name.as_str()),
            None => id,
        })
    }
}

/// The limits per minute. A limit that is `None` is learned from the upstream's responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests per minute.
    pub requests: Option<NonZeroU64>,
    /// Input and output tokens per minute together.
    pub tokens: Option<NonZeroU64>,
    /// Input tokens per minute.
    pub input_tokens: Option<NonZeroU64>,
    /// Output tokens per minute.
    pub output_tokens: Option<NonZeroU64>,
}

/// The choice of the first key among a provider's keys of equal priority. If it fails, the others are tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The key with the fewest requests in flight relative to its weight, then the one with the most left of its
    /// limits, then the one that has been idle for longest.
    #[default]
    LeastLoaded,
    /// Each key in turn.
    RoundRobin,
    /// A random key.
    Random,
    /// Each key in turn, in proportion to its weight.
    Weighted,
}
