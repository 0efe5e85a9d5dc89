//! Finds the first part of a prompt that differs from the prompt of the turn before, without keeping any text of it.
//!
//! ```text
//! MessagesBody ─▶ PromptDigest: one hash per block, in the order of the prompt
//!                 tools ▸ system ▸ messages, and the settings that a cached prefix depends on
//! PromptDigest of the turn before ─ change_in ─▶ PromptChange: the first block or setting that differs
//! ```
//! An upstream caches the prefix of a prompt up to a block with `cache_control`. A later request reads it from the cache if all
//! bytes of the prefix are the same. The `cache_control` members themselves do not count: clients move them from turn to turn.
//! # Source
//! Anthropic's documentation of prompt caching: the order tools, system, messages; a change in one of them invalidates it and those
//! after it; a change of `tool_choice` or of thinking invalidates the messages, one of `speed` also the system prompt.

mod change;
mod digest;
mod hash;
mod part;
mod ttl;
mod walk;

pub use change::{ChangeKind, PromptChange};
pub use digest::PromptDigest;
pub use part::PromptPart;
pub use ttl::CacheTtl;

#[cfg(test)]
mod tests;
