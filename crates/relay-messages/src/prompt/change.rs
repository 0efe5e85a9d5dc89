//! The first difference between two prompts.

use std::fmt;

use super::digest::PromptDigest;
use super::part::{PromptPart, SETTINGS};

/// The first difference of a prompt from the prompt of the turn before. Its `Display` is a clause such as `messages[3] block 1
/// changed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptChange {
    /// The part that differs.
    pub part: PromptPart,
    /// The index of the tool, of the block of the system prompt, or of the message; 0 for a setting.
    pub index: usize,
    /// The index of the block in the message; `None` for other parts.
    pub block: Option<usize>,
    /// The kind of the difference.
    pub kind: ChangeKind,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The bytes differ.
    Changed,
    /// The turn before did not have it.
    Added,
    /// Only the turn before had it.
    Removed,
}

impl fmt::Display for PromptChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.part.as_str())?;
        if matches!(self.part, PromptPart::Tools | PromptPart::System | PromptPart::Messages) {
            write!(f, "[{}]", self.index)?;
        }
        if let Some(block) = self.block {
            write!(f, " block {block}")?;
        }
        f.write_str(match self.kind {
            ChangeKind::Changed => " changed",
            ChangeKind::Added => " added",
            ChangeKind::Removed => " removed",
        })
    }
}

/// The place of a block in a prompt, in ascending order.
type Place = (PromptPart, usize, usize);

/// Returns the first difference of `next` from `before`, within the cached prefix of `before`.
fn first(before: &PromptDigest, next: &PromptDigest) -> Option<PromptChange> {
    [setting(before, next), block(before, next)].into_iter().flatten().min_by_key(|change| change.part)
}

fn setting(before: &PromptDigest, next: &PromptDigest) -> Option<PromptChange> {
    let values = before.settings.iter().zip(&next.settings);
    let (at, (old, new)) = values.enumerate().find(|(_, (old, new))| old != new)?;
    let kind = match (old, new) {
        (0, _) => ChangeKind::Added,
        (_, 0) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    };
    Some(PromptChange { part: SETTINGS[at].0, index: 0, block: None, kind })
}

fn block(before: &PromptDigest, next: &PromptDigest) -> Option<PromptChange> {
    let cached = &before.blocks[..before.cached_blocks()];
    let same = cached.iter().zip(&next.blocks).take_while(|(old, new)| old == new).count();
    let old = (same < cached.len()).then(|| before.place(same))?;
    let (place, kind) = match (same < next.blocks.len()).then(|| next.place(same)) {
        Some(new) if new == old => (new, ChangeKind::Changed),
        Some(new) if new < old => (new, ChangeKind::Added),
        // The blocks of a long prompt after the last one that is compared.
        None if same == PromptDigest::MAX_BLOCKS => return None,
        _ => (old, ChangeKind::Removed),
    };
    let (part, index, block) = place;
    let block = (part == PromptPart::Messages).then_some(block);
    Some(PromptChange { part, index, block, kind })
}

impl PromptDigest {
    /// Returns the first part of the cached prefix of `self`, the prompt of the turn before, that differs in `next`. The cached
    /// prefix ends with the last block that has a breakpoint, or with the last block if none has one.
    #[must_use]
    pub fn change_in(&self, next: &Self) -> Option<PromptChange> {
        first(self, next)
    }

    /// Returns the place of the block at `at`.
    pub(super) fn place(&self, at: usize) -> Place {
        let (tools, setup) = (self.tools as usize, self.setup as usize);
        if at < tools {
            return (PromptPart::Tools, at, 0);
        }
        if at < setup {
            return (PromptPart::System, at - tools, 0);
        }
        let message = self.messages.partition_point(|message| message.end as usize <= at);
        (PromptPart::Messages, message, at - self.start(message))
    }
}
