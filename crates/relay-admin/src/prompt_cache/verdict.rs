//! The judgement of one turn.

use std::time::Duration;

use relay_messages::{PromptChange, PromptDigest};
use serde::Serialize;
use utoipa::ToSchema;

/// The smallest prompt that every model caches, in tokens. Some models cache shorter ones.
const MIN_TOKENS: u64 = 4096;
/// The number of blocks before a breakpoint in which an upstream looks for a cached prefix.
///
/// # Source
/// Anthropic's documentation of prompt caching: the lookback window has 20 blocks.
const LOOKBACK: usize = 20;

/// The use that one turn made of the prompt cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheVerdict {
    /// The first turn of a conversation, or the first one that wrote to a cache.
    First,
    /// At least nine tenths of the cached prefix were read.
    Hit,
    /// A part of the prefix differs from the turn before.
    Broken,
    /// Another provider, key or model answered than in the turn before.
    Moved,
    /// The time to live of the prefix had passed.
    Expired,
    /// The prefix is the same, but its last breakpoint is too many blocks after that of the turn before.
    Lookback,
    /// The prompt is shorter than the smallest one that is cached.
    TooShort,
    /// The client set no breakpoint, or the upstream has no cache.
    Uncached,
    /// The prefix was not read, and no reason is known.
    Unexplained,
}

impl CacheVerdict {
    /// Returns the name, such as `broken`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Hit => "hit",
            Self::Broken => "broken",
            Self::Moved => "moved",
            Self::Expired => "expired",
            Self::Lookback => "lookback",
            Self::TooShort => "too_short",
            Self::Uncached => "uncached",
            Self::Unexplained => "unexplained",
        }
    }

    /// Returns `true` if a prefix was cached and was not read.
    #[must_use]
    pub fn is_loss(self) -> bool {
        matches!(self, Self::Broken | Self::Moved | Self::Expired | Self::Lookback | Self::Unexplained)
    }
}

/// The facts about the turn before in the same conversation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) digest: &'a PromptDigest,
    /// The tokens that the turn read from the cache or wrote to it.
    pub(super) cached_tokens: u64,
    /// The time between the starts of the two turns.
    pub(super) gap: Duration,
    /// True if the same provider, key and model answered both turns.
    pub(super) is_same_place: bool,
}

/// The tokens of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PromptTokens {
    /// Neither read from a cache nor written to one.
    pub(super) input: u64,
    pub(super) read: u64,
    pub(super) written: u64,
}

impl PromptTokens {
    pub(super) fn total(self) -> u64 {
        self.input.saturating_add(self.read).saturating_add(self.written)
    }

    pub(super) fn cached(self) -> u64 {
        self.read.saturating_add(self.written)
    }
}

/// Judges a turn. `before` is `None` for the first one of its conversation.
pub(super) fn judge(
    before: Option<Before<'_>>,
    digest: &PromptDigest,
    tokens: PromptTokens,
) -> (CacheVerdict, Option<PromptChange>) {
    let cached_before = before.map_or(0, |before| before.cached_tokens);
    let Some(before) = before.filter(|_| cached_before > 0) else {
        return (uncached_before(digest, tokens, before.is_some()), None);
    };
    if u128::from(tokens.read) * 10 >= u128::from(cached_before) * 9 {
        return (CacheVerdict::Hit, None);
    }
    if let Some(change) = before.digest.change_in(digest) {
        return (CacheVerdict::Broken, Some(change));
    }
    let blocks = digest.cached_blocks().saturating_sub(before.digest.cached_blocks());
    let verdict = if !before.is_same_place {
        CacheVerdict::Moved
    } else if before.gap > before.digest.ttl().duration() {
        CacheVerdict::Expired
    } else if blocks > LOOKBACK && digest.has_breakpoint() {
        CacheVerdict::Lookback
    } else {
        CacheVerdict::Unexplained
    };
    (verdict, None)
}

/// Judges a turn after one without a cached prefix.
fn uncached_before(digest: &PromptDigest, tokens: PromptTokens, has_before: bool) -> CacheVerdict {
    match tokens {
        PromptTokens { written: 1.., .. } => CacheVerdict::First,
        PromptTokens { read: 1.., .. } if has_before => CacheVerdict::Hit,
        PromptTokens { read: 1.., .. } => CacheVerdict::First,
        _ if !digest.has_breakpoint() => CacheVerdict::Uncached,
        tokens if tokens.total() < MIN_TOKENS => CacheVerdict::TooShort,
        _ if !has_before => CacheVerdict::First,
        _ => CacheVerdict::Uncached,
    }
}
