//! The settings of the keys of a provider.

use std::num::{NonZeroU32, NonZeroU64};

use crate::names::KeyId;
use crate::secret::Secret;

/// A credential of a provider.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
    /// Creates a key with every setting at its default: no name, priority and weight 1, no limits, no organization.
    ///
    /// `key` is a [`Secret`], or `None` for a kind that sends no key.
    pub fn new(key: impl Into<Option<Secret>>) -> Self {
        let (key, limits, organization) = (key.into(), KeyLimits::default(), None);
        Self { key, name: None, priority: 1, weight: NonZeroU32::MIN, limits, organization }
    }

    /// Sets the name in logs and in `status`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the rank: higher is tried first. Default 1.
    #[must_use]
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the share in weighted strategies. 0 counts as 1, the default.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Sets the limits per minute. Default: they are learned from the upstream's responses.
    #[must_use]
    pub fn with_limits(mut self, limits: KeyLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the organization that the limits belong to.
    #[must_use]
    pub fn with_organization(mut self, organization: impl Into<String>) -> Self {
        self.organization = Some(organization.into());
        self
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
#[non_exhaustive]
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

impl KeyLimits {
    /// Limits the requests per minute. 0, the default: the limit is learned.
    #[must_use]
    pub fn with_requests(mut self, per_minute: u64) -> Self {
        self.requests = NonZeroU64::new(per_minute);
        self
    }

    /// Limits the input and output tokens together per minute. 0, the default: the limit is learned.
    #[must_use]
    pub fn with_tokens(mut self, per_minute: u64) -> Self {
        self.tokens = NonZeroU64::new(per_minute);
        self
    }

    /// Limits the input tokens per minute. 0, the default: the limit is learned.
    #[must_use]
    pub fn with_input_tokens(mut self, per_minute: u64) -> Self {
        self.input_tokens = NonZeroU64::new(per_minute);
        self
    }

    /// Limits the output tokens per minute. 0, the default: the limit is learned.
    #[must_use]
    pub fn with_output_tokens(mut self, per_minute: u64) -> Self {
        self.output_tokens = NonZeroU64::new(per_minute);
        self
    }
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
