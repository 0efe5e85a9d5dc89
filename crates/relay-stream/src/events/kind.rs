//! The kinds of events in a Messages stream.

/// A kind of event that the Messages API has.
///
/// # Source
/// Anthropic's documentation of streaming messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    MessageStart,
    MessageDelta,
    MessageStop,
    ContentBlockStart,
    ContentBlockDelta,
    ContentBlockStop,
    Ping,
    Error,
}

impl EventKind {
    /// Returns the kind of a name, or of a `type`.
    #[inline]
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "content_block_delta" => Self::ContentBlockDelta,
            "content_block_start" => Self::ContentBlockStart,
            "content_block_stop" => Self::ContentBlockStop,
            "message_start" => Self::MessageStart,
            "message_delta" => Self::MessageDelta,
            "message_stop" => Self::MessageStop,
            "ping" => Self::Ping,
            "error" => Self::Error,
            _ => return None,
        })
    }

    /// Returns the name of the event, which is also its `type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MessageStart => "message_start",
            Self::MessageDelta => "message_delta",
            Self::MessageStop => "message_stop",
            Self::ContentBlockStart => "content_block_start",
            Self::ContentBlockDelta => "content_block_delta",
            Self::ContentBlockStop => "content_block_stop",
            Self::Ping => "ping",
            Self::Error => "error",
        }
    }
}
