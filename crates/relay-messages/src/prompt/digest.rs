//! The hashes of one prompt.

use super::part::SETTINGS;
use super::ttl::CacheTtl;

/// The hashes of the blocks of a prompt, and of the settings that its cached prefix depends on. It contains no text.
///
/// It takes 8 bytes per block and 16 bytes per message.
///
/// ```
/// use relay_messages::{MessagesBody, PromptDigest, PromptPart};
///
/// # fn main() -> Result<(), relay_messages::BodyError> {
/// let digest = |system: &str| {
///     let text = format!(
///         r#"{{"model":"m","system":[{{"type":"text","text":"{system}","cache_control":{{"type":"ephemeral"}}}}],"messages":[]}}"#
///     );
///     Ok::<_, relay_messages::BodyError>(PromptDigest::of(&MessagesBody::parse(text.into())?))
/// };
/// let change = digest("Today is Monday.")?.change_in(&digest("Today is Tuesday.")?);
/// assert_eq!(change.map(|change| (change.part, change.index)), Some((PromptPart::System, 0)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptDigest {
    /// The hash of each setting, in the order of [`SETTINGS`]; 0 for a setting that is absent.
    pub(super) settings: [u64; SETTINGS.len()],
    /// The hashes of all blocks: first of the tools, then of the system prompt, then of the messages.
    pub(super) blocks: Box<[u64]>,
    /// The number of tools.
    pub(super) tools: u32,
    /// The number of tools and of blocks of the system prompt.
    pub(super) setup: u32,
    pub(super) messages: Box<[Message]>,
    /// The index of the last block with a breakpoint.
    pub(super) breakpoint: Option<u32>,
    pub(super) ttl: CacheTtl,
}

/// One message of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    /// The hash of the whole message; 0 for a message with a breakpoint.
    pub(super) hash: u64,
    /// The number of blocks up to its end.
    pub(super) end: u32,
    /// True if it is an answer of the model.
    pub(super) is_answer: bool,
}

impl PromptDigest {
    /// The maximum number of blocks that are compared. A conversation of 10 MB has about two thousand.
    pub const MAX_BLOCKS: usize = 2048;

    /// Returns `true` if both prompts have the same model, tools and system prompt.
    #[must_use]
    pub fn has_setup_of(&self, other: &Self) -> bool {
        self.settings[0] == other.settings[0] && self.setup() == other.setup()
    }

    /// Returns the number of messages up to the first one that differs.
    #[must_use]
    pub fn common_opening(&self, other: &Self) -> usize {
        (0..self.messages.len()).take_while(|at| self.has_message_of(other, *at)).count()
    }

    /// Returns the number of messages that are the same in both prompts at the same place.
    #[must_use]
    pub fn common_messages(&self, other: &Self) -> usize {
        (0..self.messages.len()).filter(|at| self.has_message_of(other, *at)).count()
    }

    fn has_message_of(&self, other: &Self, at: usize) -> bool {
        match (self.message(at), other.message(at)) {
            (Some((_, blocks)), Some((_, others))) => blocks == others,
            _ => false,
        }
    }

    /// Returns `true` if the messages have an answer of the model, so that this is not the first turn of the conversation.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        self.messages.iter().any(|message| message.is_answer)
    }

    /// Returns `true` if the client has set a cache breakpoint.
    #[must_use]
    pub fn has_breakpoint(&self) -> bool {
        self.breakpoint.is_some()
    }

    /// The number of blocks up to the last breakpoint, or of all blocks if there is none.
    #[must_use]
    pub fn cached_blocks(&self) -> usize {
        self.breakpoint.map_or(self.blocks.len(), |at| at as usize + 1)
    }

    /// The time to live of the last breakpoint.
    #[must_use]
    pub fn ttl(&self) -> CacheTtl {
        self.ttl
    }

    fn setup(&self) -> (u32, &[u64]) {
        (self.tools, &self.blocks[..self.setup as usize])
    }

    /// Returns the message at `at` with the hashes of its blocks.
    pub(super) fn message(&self, at: usize) -> Option<(Message, &[u64])> {
        let message = *self.messages.get(at)?;
        Some((message, &self.blocks[self.start(at)..message.end as usize]))
    }

    /// Returns the number of blocks before the message at `at`.
    pub(super) fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(self.setup, |before| self.messages[before].end) as usize
    }
}
